package hub

import "math"

// takeHeld appends events from the memory to a batch, and reports whether there may be more.
func (s *subscription) takeHeld(to *batch, most int) (more bool) {
	if s.older > s.cursor {
		var done bool
		if most, done = s.takeOlder(to, most); !done {
			return true
		}
	}
	for i := range s.links {
		l := &s.links[i]
		l.next = l.source.records.after(max(s.cursor, l.passed.Load()))
	}
	limit := min(batchFrames, max(batchWork/len(s.links), 1))
	hint := 0 // where the next place may be
	for most > 0 && to.size() < limit {
		r, ok := s.nextRecord()
		if !ok {
			return false
		}
		to.add(s.hub, r, s.cursor, &hint)
		most -= int(r.size)
	}
	return true
}

// lagged reports whether a gap ends the stream: GapEnd does so, except at the beginning, and
// except for a subscription with a state, which makes good for it.
func (s *subscription) lagged(gap *Gap) bool {
	moving := s.moving
	s.moving = true
	lagged := moving && gap != nil && gap.Reason == GapDropped && s.hub.gapPolicy == GapEnd && s.state == nil
	if lagged {
		s.hub.gaps.add(gap.Reason)
	}
	return lagged
}

// nextRecord moves the cursor to the next event, if there is one.
func (s *subscription) nextRecord() (record, bool) {
	number, found := uint64(math.MaxUint64), record{}
	for i := range s.links {
		l := &s.links[i]
		records := &l.source.records
		for l.next < len(records.items) && (records.items[l.next] == record{} || records.numbers[l.next] <= s.cursor) {
			l.next++ // replaced, or already read from another source
		}
		if l.next < len(records.items) && records.numbers[l.next] < number {
			number, found = records.numbers[l.next], records.items[l.next]
		}
	}
	if found == (record{}) || s.ending && number > s.final {
		return record{}, false
	}
	s.cursor = number
	return found, true
}

// enlist has the next event wake the subscription up.
func (s *subscription) enlist() {
	if s.filter != nil {
		for i := range s.links {
			s.links[i].passed.Store(s.hub.last)
		}
		s.idle.Store(true)
		return
	}
	for i := range s.links {
		l := &s.links[i]
		if l.round != l.source.round+1 {
			l.round, l.slot = l.source.round+1, len(l.source.waiting)
			l.source.waiting = append(l.source.waiting, l)
		}
	}
}

// overtaken returns the gap after the cursor and moves the cursor to its end, or returns
// nil if there is none.
func (s *subscription) overtaken() *Gap {
	through := max(s.cursor, s.lost)
	for i := range s.links {
		through = max(through, s.links[i].lost())
	}
	if s.gap == nil && through == s.cursor {
		return nil
	}
	gap, known := &Gap{Reason: GapDropped}, s.gap != nil
	if known { // since the beginning
		*gap = *s.gap
		s.gap = nil
	} else {
		gap.After = s.hub.id(s.cursor)
	}
	for i := range s.links {
		if source := s.links[i].source; known || max(s.links[i].lost(), source.before) > s.cursor {
			gap.Topics = append(gap.Topics, source.name)
		}
	}
	gap.Through = s.hub.id(through)
	s.cursor = through
	return gap
}
