package hub

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// pageSize is how many entries are read from a Log at once.
	pageSize = 256

	// pagePause is how long a subscription waits before it asks its Log again, if
	// that has failed.
	pagePause = time.Second
)

// page appends frames that are in the log and not in the memory any more, of about
// batchSize bytes, behind the gap that is in front of them, if there is one; with an
// error, none. It takes its time.
func (s *subscription) page(frames *[][]byte) error {
	r := s.reach
	if !r.paging && !r.awaited {
		r.awaited = true
		s.await()
		return nil
	}
	r.paging = true // or what has not come to the memory in time
	ending := s.isEnding()
	if ending && s.gap == nil && r.order(r.at) >= 0 {
		return io.EOF
	}
	entries := r.rest
	if len(entries) == 0 {
		var err error
		if entries, err = r.follower.reader.page(s.ctx, r.at); err != nil {
			return s.pause(err)
		}
	}
	entries, over := s.due(entries)
	switch {
	case s.gap != nil || len(entries) > 0:
	case over || ending:
		return io.EOF
	default:
		return s.pause(nil) // until the follower has come here too, or the end has
	}
	r.rest = nil
	s.front(&entries)
	if s.skip(&entries) && len(entries) == 0 {
		return nil // what follows may be as old, and the gap longer
	}
	gap := s.pending()
	if s.lagged(gap) {
		return ErrLagged
	}
	if gap != nil {
		if err := s.tell(frames, gap); err != nil {
			return err
		}
	}
	size := 0
	for i, e := range entries {
		if size >= batchSize {
			r.rest = slices.Clone(entries[i:]) // without what was read
			break
		}
		r.at = e.ID
		if !s.follows(e) || replaced(e, entries[i+1:]) {
			continue
		}
		e.Event.ID = e.ID
		frame, err := e.Event.AppendText(nil)
		if err != nil {
			continue // as the follower does, which counts it
		}
		*frames = append(*frames, frame)
		size += len(frame)
	}
	return nil
}

// follows reports whether an entry is the subscription's.
func (s *subscription) follows(e Entry) bool {
	var work int
	return len(s.reach.filter.match(e.Topic, nil, &work)) > 0 && CheckTopic(e.Topic) == nil
}

// skip drops the entries that are too old for a client that resumes, and reports
// whether there were any. If the client misses something so, there is a gap.
func (s *subscription) skip(entries *[]Entry) (skipped bool) {
	for s.resuming && len(*entries) > 0 {
		e := (*entries)[0]
		if int64(e.Time.Sub(s.hub.began)) >= s.horizon {
			s.resuming = false
			break
		}
		if s.gap == nil && !s.oldest && s.follows(e) {
			s.gap = &Gap{Reason: GapExpired, After: s.reach.began}
		}
		s.reach.at = e.ID
		*entries, skipped = (*entries)[1:], true
	}
	return skipped
}

// isEnding reports whether the subscription was kicked.
func (s *subscription) isEnding() bool {
	s.hub.lock()
	defer s.hub.mu.Unlock()
	return s.ending
}

// due returns the part of a page that comes before the end, for a subscription that
// is ending, and whether there is more in the page. A gap in front belongs to it,
// wherever that leads: some of what came before the end may be missing.
func (s *subscription) due(entries []Entry) (part []Entry, over bool) {
	s.hub.lock()
	defer s.hub.mu.Unlock()
	r := s.reach
	if len(r.rest) == 0 { // the log has just answered
		r.follower.pageErr = nil
	}
	if !s.ending || len(entries) == 0 {
		return entries, false
	}
	n := 0
	if entries[0].Topic == "" && r.order(r.at) < 0 {
		n++
	}
	for n < len(entries) && r.order(entries[n].ID) <= 0 {
		n++
	}
	return entries[:n], n < len(entries)
}

// order compares an ID with the one behind which the stream ends.
func (r *reach) order(id string) int { return r.follower.order(id, r.until) }

// await waits for the follower to bring what comes before the end.
func (s *subscription) await() {
	h, f := s.hub, s.reach.follower
	h.lock()
	arrived := f.arrived
	h.mu.Unlock()
	if arrived == nil {
		return
	}
	t := time.NewTimer(pagePause)
	defer t.Stop()
	select {
	case <-arrived:
	case <-t.C:
	case <-f.ctx.Done():
	case <-s.ctx.Done():
	}
}

// front takes the position off that is in front of a page's events, if one is
// there, and notes the gap that is to be told.
func (s *subscription) front(entries *[]Entry) {
	if len(*entries) == 0 || (*entries)[0].Topic != "" {
		return
	}
	r, position := s.reach, (*entries)[0]
	*entries = (*entries)[1:]
	if position.Gap && s.gap == nil {
		s.gap = &Gap{Reason: GapDropped, After: r.at}
		if _, err := r.follower.log.Compare(r.at, position.ID); errors.Is(err, ErrOtherEpoch) {
			s.gap.Reason = GapRestarted // for all that is held follows
		}
	}
	r.at = position.ID
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
// anything. A subscription that is ending does not wait for it: it is broken off, and
// its client comes back for the rest.
func (s *subscription) pause(err error) error {
	h, f := s.hub, s.reach.follower
	if s.ctx.Err() != nil {
		return io.EOF
	}
	if err != nil {
		h.lock()
		f.pageErr, f.pageFailed = err, time.Now()
		ending := s.ending
		h.mu.Unlock()
		if ending {
			return fmt.Errorf("hub: the stream is to end, and its last events cannot be read: %w", err)
		}
	}
	t := time.NewTimer(pagePause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake: // it may be to end
	case <-f.ctx.Done():
	case <-s.ctx.Done():
	}
	return nil
}
