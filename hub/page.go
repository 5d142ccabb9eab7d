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

	// pagePause is how long a subscription waits before it asks its Log again after
	// an error.
	pagePause = time.Second
)

// page appends frames of about batchSize bytes that are in the log and not in the
// memory any more, after an event for the gap before them, if there is one. It appends
// none if it returns an error. It may wait.
func (s *subscription) page(frames *[][]byte) error {
	r, f := s.reach, s.hub.follower
	if !r.paging && !r.awaited {
		r.awaited = true
		s.await()
		return nil
	}
	r.paging = true // if what await waited for has not come, read it here
	s.plant()
	ending := s.isEnding()
	if ending && s.gap == nil && f.order(r.at, *r.until) >= 0 {
		return io.EOF
	}
	entries := r.pages.rest
	if len(entries) == 0 {
		var err error
		if entries, err = f.reader.page(s.ctx, r.at); err != nil {
			return s.pause(err)
		}
	}
	entries, over := s.due(entries)
	switch {
	case s.gap != nil || len(entries) > 0:
	case over || ending:
		return io.EOF
	default:
		return s.pause(nil) // until the follower has come here too
	}
	r.pages.rest = nil
	s.front(&entries)
	if s.skip(&entries) && len(entries) == 0 {
		return nil // the next page may be too old as well, and the gap longer
	}
	if s.lagged(s.gap) {
		return ErrLagged
	}
	if s.gap != nil && s.state != nil {
		return nil // it comes next
	}
	s.states = 0
	if gap := s.pending(); gap != nil {
		if err := s.tell(frames, gap); err != nil {
			return err
		}
	}
	told, size, enc, replaced := len(*frames), 0, s.encoder(), replacedIn(entries)
	for i, e := range entries {
		if size >= batchSize || e.Gap { // a gap is told of at the front of what is left
			r.pages.rest = slices.Clone(entries[i:]) // so that what was read can be freed
			break
		}
		r.at = e.ID
		if !s.follows(e) || replaced[i] {
			continue
		}
		e.Event.ID = e.ID
		if s.filter != nil && !s.filter(e.Topic, e.Attributes) {
			continue
		}
		frame, err := enc.encode(e.Event)
		if err != nil {
			continue // the follower skips it as well, and counts it
		}
		*frames = append(*frames, frame)
		size += max(len(frame), len(enc.text))
	}
	s.hub.delivered.Add(int64(len(*frames) - told))
	return nil
}

// plant makes the tree of the subscription's names.
func (s *subscription) plant() {
	if s.reach.pages != nil {
		return
	}
	s.reach.pages = &pages{names: new(tree)}
	for i := range s.links {
		source := s.links[i].source
		s.reach.pages.names.put(source.name, source)
	}
}

// follows reports whether an entry is for the subscription, after plant.
func (s *subscription) follows(e Entry) bool {
	if checkTopics(e.Topic, without(e.Topic, slices.Clone(e.Topics))) != nil {
		return false // the follower skips it as well
	}
	var work int
	matches := func(topic string) bool { return len(s.reach.pages.names.match(topic, nil, &work)) > 0 }
	return matches(e.Topic) || slices.ContainsFunc(e.Topics, matches)
}

// skip drops the entries that are too old for a client that resumes, and reports
// whether there were any. If the client misses one of them, there is a gap.
func (s *subscription) skip(entries *[]Entry) (skipped bool) {
	for s.resuming && len(*entries) > 0 {
		e := (*entries)[0]
		if s.hub.timeOf(e.Time, time.Now()) >= s.horizon {
			s.resuming = false
			break
		}
		if s.gap == nil && !s.oldest && s.follows(e) {
			s.gap = &Gap{Reason: GapExpired, After: s.reach.began()}
		}
		s.reach.at = e.ID
		*entries, skipped = (*entries)[1:], true
	}
	return skipped
}

// isEnding reports whether the subscription must end, after a Kick or a Shutdown.
func (s *subscription) isEnding() bool {
	s.hub.lock()
	defer s.hub.mu.Unlock()
	return s.ending
}

// due returns the part of a page that comes before the end, for a subscription that
// is ending, and whether there is more in the page. A gap at the front belongs to that part,
// wherever it ends: some of what came before the end may be missing.
func (s *subscription) due(entries []Entry) (part []Entry, over bool) {
	s.hub.lock()
	defer s.hub.mu.Unlock()
	r, f := s.reach, s.hub.follower
	if len(r.pages.rest) == 0 { // the log has just answered
		f.pageErr = nil
	}
	if !s.ending || len(entries) == 0 {
		return entries, false
	}
	n := 0
	if entries[0].Topic == "" && f.order(r.at, *r.until) < 0 {
		n++
	}
	for n < len(entries) && f.order(entries[n].ID, *r.until) <= 0 {
		n++
	}
	return entries[:n], n < len(entries)
}

// await waits for the follower to bring what comes before the end.
func (s *subscription) await() {
	h, f := s.hub, s.hub.follower
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

// front removes the position at the front of a page, if there is one, and stores the
// gap that the client must be told of.
func (s *subscription) front(entries *[]Entry) {
	if len(*entries) == 0 || (*entries)[0].Topic != "" {
		return
	}
	r, position := s.reach, (*entries)[0]
	*entries = (*entries)[1:]
	if position.Gap && s.gap == nil {
		switch _, err := s.hub.follower.log.Compare(r.at, position.ID); {
		case s.inState(position.ID):
		case errors.Is(err, ErrOtherEpoch):
			s.gap = &Gap{Reason: GapRestarted, After: r.at} // because everything that is held follows
		default:
			s.gap = &Gap{Reason: GapDropped, After: r.at}
		}
	}
	r.at = position.ID
}

// inState reports whether what is missing up to an ID is in the state that the client was sent.
func (s *subscription) inState(id string) bool {
	m := s.reach.marks
	if m == nil || m.taken == "" {
		return false
	}
	order, err := s.hub.follower.log.Compare(id, m.taken)
	return err == nil && order <= 0
}

// replacedIn reports which entries of a page a later one replaces. One that cannot be encoded
// does not.
func replacedIn(page []Entry) []bool {
	type name struct{ topics, key string }
	type last struct {
		entry Entry
		valid bool // it can be encoded
	}
	replaced, later := make([]bool, len(page)), make(map[name]*last)
	for i, e := range slices.Backward(page) {
		if !e.Keyed {
			continue
		}
		n := name{jointName(e.Topic, e.Topics), e.Key}
		l := later[n]
		if l != nil && !l.valid {
			_, err := l.entry.Event.AppendText(nil)
			l.valid = err == nil
		}
		if replaced[i] = l != nil && l.valid; !replaced[i] {
			later[n] = &last{entry: e}
		}
	}
	return replaced
}

// pause waits before the log is asked again. err is what the log has failed with, or
// nil. If it has failed, a subscription that is ending does not wait: its stream fails, and
// its client comes back for the rest.
func (s *subscription) pause(err error) error {
	h, f := s.hub, s.hub.follower
	if s.ctx.Err() != nil {
		return io.EOF
	}
	if err != nil {
		h.lock()
		f.pageErr, f.pageFailed = err, time.Now()
		ending := s.ending
		h.mu.Unlock()
		if ending {
			return fmt.Errorf("hub: the subscription was ended, and its last events cannot be read from the log: %w", err)
		}
	}
	t := time.NewTimer(pagePause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.bell(): // perhaps it must end
	case <-f.ctx.Done():
	case <-s.ctx.Done():
	}
	return nil
}
