package hub

import (
	"errors"
	"io"
	"time"
)

const (
	// pageSize is how many entries are read from a Log at once.
	pageSize = 256

	// pagePause is how long a subscription waits before it asks its Log again, if
	// that has failed.
	pagePause = time.Second
)

// page appends frames that are in the log and not in the memory any more, behind
// the gap that is in front of them, if there is one. It takes its time.
func (s *subscription) page(frames *[][]byte) error {
	r := s.reach
	entries, err := r.follower.log.Range(s.ctx, r.at, pageSize)
	if err != nil {
		return s.pause(err)
	}
	entries, over := s.due(entries)
	switch {
	case over:
		return io.EOF
	case len(entries) == 0 && s.gap == nil:
		return s.pause(nil) // until the follower has come here too
	}
	gap := s.front(&entries)
	if s.lagged(gap) {
		return ErrLagged
	}
	for i, e := range entries {
		r.at = e.ID
		if len(r.filter.match(e.Topic, nil)) == 0 || CheckTopic(e.Topic) != nil || replaced(e, entries[i+1:]) {
			continue
		}
		e.Event.ID = e.ID
		frame, err := e.Event.AppendText(nil)
		if err != nil {
			continue // as the follower does
		}
		*frames = append(*frames, frame)
	}
	if gap == nil {
		return nil
	}
	return s.tell(frames, gap)
}

// due returns the part of a page that comes before the end, for a subscription that
// is ending, and whether it has come there.
func (s *subscription) due(entries []Entry) (part []Entry, over bool) {
	f := s.reach.follower
	s.hub.lock()
	defer s.hub.mu.Unlock()
	f.pageErr = nil
	if !s.ending {
		return entries, false
	}
	n := 0
	for n < len(entries) {
		if order, err := f.log.Compare(entries[n].ID, s.reach.until); err != nil || order > 0 {
			break
		}
		n++
	}
	return entries[:n], n == 0
}

// front takes the position off that is in front of a page's events, if one is
// there, and returns the gap that is to be told.
func (s *subscription) front(entries *[]Entry) *Gap {
	r, gap := s.reach, s.gap
	s.gap = nil
	if len(*entries) > 0 && (*entries)[0].Topic == "" {
		position := (*entries)[0]
		*entries = (*entries)[1:]
		if position.Gap && gap == nil {
			gap = &Gap{Reason: GapDropped, After: r.at}
			if _, err := r.follower.log.Compare(r.at, position.ID); errors.Is(err, ErrOtherEpoch) {
				gap.Reason = GapRestarted // for all that is held follows
			}
		}
		r.at = position.ID
	}
	if gap != nil {
		gap.Through, gap.Topics = r.at, s.names()
	}
	return gap
}

// replaced reports whether a later entry of the page stands for e.
func replaced(e Entry, later []Entry) bool {
	if !e.Keyed {
		return false
	}
	for _, l := range later {
		if l.Keyed && l.Key == e.Key && l.Topic == e.Topic {
			return true
		}
	}
	return false
}

// pause waits before the log is asked again, which has failed with err, if with
// anything. It returns an error if there is no need to ask any more.
func (s *subscription) pause(err error) error {
	h, f := s.hub, s.reach.follower
	if s.ctx.Err() != nil {
		return io.EOF
	}
	if err != nil {
		h.lock()
		f.pageErr, f.pageFailed = err, time.Now()
		h.mu.Unlock()
	}
	t := time.NewTimer(pagePause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake: // it may be to end
	case <-f.ended:
	case <-s.ctx.Done():
	}
	h.lock()
	defer h.mu.Unlock()
	switch {
	case s.ending || s.ctx.Err() != nil:
		return io.EOF
	case h.closed:
		return ErrShutdown
	}
	return nil
}
