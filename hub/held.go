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
	hint := 0 // where the next place may be
	limit := min(batchFrames, max(batchWork/len(s.links), 1))
	if more, done := s.takeNext(to, &most, limit, &hint); done {
		return more
	}
	merging := s.hub.merging[:0]
	for i := range s.links {
		l := &s.links[i]
		l.next = l.source.records.after(max(s.cursor, l.passed.Load()))
		if l.next < len(l.source.records.items) {
			merging = append(merging, l)
		}
	}
	more = s.merge(merging, to, most, limit, &hint)
	clear(merging) // they keep subscriptions alive
	s.hub.merging = merging
	return more
}

// merge is takeHeld for the links that have something new.
func (s *subscription) merge(links []*link, to *batch, most, limit int, hint *int) (more bool) {
	for most > 0 && to.size() < limit {
		r, ok := s.nextRecord(links)
		if !ok {
			return false
		}
		to.add(s.hub, r, s.cursor, hint)
		most -= int(r.size)
	}
	return true
}

const (
	// manyNames is how many names a subscription has if it is better not to look at all of them
	// whenever one has something new.
	manyNames = 8

	// lookUps is how often such a subscription looks up a source, before it looks at all of its own.
	lookUps = 4
)

// takeNext is takeHeld for a subscription with many names: it goes through what was published,
// and not through its names, because most of them have nothing new. done is false if there is too
// much that is not for it.
func (s *subscription) takeNext(to *batch, most *int, limit int, hint *int) (more, done bool) {
	if len(s.links) < manyNames || s.filter != nil {
		return false, false
	}
	order, left := &s.hub.order, lookUps
	for i := order.after(s.cursor); i < len(order.items); i++ {
		number, t := order.numbers[i], order.items[i].topic
		switch {
		case s.ending && number > s.final:
			return false, true
		case *most <= 0 || to.size() >= limit:
			return true, true
		}
		if t == nil { // it was replaced
			if left--; left == 0 {
				return false, false
			}
			continue
		}
		for _, source := range t.sources {
			if s.link(source) != nil {
				r := t.record(number)
				to.add(s.hub, r, number, hint)
				s.cursor = number
				*most -= int(r.size)
				left = lookUps
				break
			}
			if left--; left == 0 {
				return false, false
			}
		}
	}
	return false, true
}

// link returns the link to a source, or nil. Subscriptions often have the same names, so it
// first looks where that of the source was found before.
func (s *subscription) link(to *source) *link {
	if i := to.index; i < len(s.links) && s.links[i].source == to {
		return &s.links[i]
	}
	for i := range s.links {
		if s.links[i].source == to {
			to.index = i
			return &s.links[i]
		}
	}
	return nil
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

// nextRecord moves the cursor to the next event of some links, if there is one.
func (s *subscription) nextRecord(links []*link) (record, bool) {
	number, found := uint64(math.MaxUint64), record{}
	for _, l := range links {
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
	if !s.enlistAgain() {
		for i := range s.links {
			s.links[i].enlist()
		}
	}
	s.listed = s.hub.last + 1
}

// enlistAgain is enlist for the links whose sources have sent off those that had waited. It returns
// false if it is better to look at all links.
func (s *subscription) enlistAgain() bool {
	h := s.hub
	if len(s.links) < manyNames || h.dropped >= s.listed {
		return false
	}
	i := h.order.after(s.listed - 1)
	if len(h.order.items)-i > lookUps {
		return false
	}
	for left := lookUps; i < len(h.order.items); i++ {
		t := h.order.items[i].topic
		if t == nil { // the event that has replaced it has the same sources
			continue
		}
		for _, source := range t.sources {
			if l := s.link(source); l != nil {
				l.enlist()
			}
			if left--; left < 0 {
				return false
			}
		}
	}
	return true
}

// enlist has the next event of the source wake the subscription up.
func (l *link) enlist() {
	if source := l.source; l.round != source.round+1 {
		l.round, l.slot = source.round+1, len(source.waiting)
		source.waiting = append(source.waiting, l)
	}
}

// mayBeOvertaken reports whether the hub has dropped an event after the cursor, of any topic.
func (s *subscription) mayBeOvertaken() bool { return s.hub.dropped > s.cursor }

// overtaken returns the gap after the cursor and moves the cursor to its end, or returns
// nil if there is none.
func (s *subscription) overtaken() *Gap {
	if s.gap == nil && s.lost <= s.cursor && !s.mayBeOvertaken() {
		return nil
	}
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
