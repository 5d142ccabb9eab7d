package hub

import "slices"

// A pattern has no list of the events before its first subscription. A subscription that
// resumes from there searches the whole log for them, in steps, until it has come to where
// the youngest of its patterns begins. From there on it reads the lists of its sources.

// begin finds out where in the memory the subscription begins, when it is a member
// of its sources. The hub is locked, and may be unlocked in the meantime.
func (s *subscription) begin() {
	h := s.hub
	if s.oldest {
		for h.trim() {
			h.breathe()
		}
		s.cursor = h.dropped
		if s.resuming {
			s.cursor = max(s.cursor, h.before(s.horizon))
		}
	}
	s.beginHere()
}

// beginHere has the subscription continue after its cursor.
func (s *subscription) beginHere() {
	s.recall()
	s.findOlder()
	for i := range s.links {
		if source := s.links[i].source; source.since > s.cursor {
			s.lost = max(s.lost, source.before)
		}
	}
}

// findOlder finds out how far the log must be searched.
func (s *subscription) findOlder() {
	s.older, s.searched = 0, 0
	for i := range s.links {
		s.older = max(s.older, s.links[i].source.since)
	}
}

// recall finds out what the subscription's patterns have lost before they existed, if that
// matters and is not known yet. What they lose during the call is recorded as usual, and what
// is forgotten during the call counts as theirs.
func (s *subscription) recall() {
	h := s.hub
	unknown := false
	for i := range s.links {
		source := s.links[i].source
		unknown = unknown || source.since > s.cursor && !source.recalled
	}
	if s.cursor >= h.dropped || !unknown {
		return
	}
	for _, t := range h.topics {
		h.refresh(t)
		for _, pattern := range t.sources[1:] {
			pattern.before = max(pattern.before, min(t.lost, pattern.since))
		}
		h.did(1)
	}
	for i := range s.links {
		source := s.links[i].source
		source.before = max(source.before, min(h.forgotten, source.since))
		source.recalled = true
	}
}

// search looks through the log for the subscription's events up to the number until,
// in order, until found returns false or the step is over. It reports whether it has
// come to the end. If not, the next call continues from there.
func (s *subscription) search(until uint64, found func(number uint64, t *topic) bool) (done bool) {
	h := s.hub
	h.searches++
	for i := range s.links {
		s.links[i].source.search = h.searches
	}
	mine := func(source *source) bool { return source.search == h.searches }
	h.work += len(s.links)
	begin := h.order.after(max(s.cursor, s.searched))
	for i := begin; i < len(h.order.items) && h.order.numbers[i] <= until; i++ {
		if h.spent() && i > begin {
			return false
		}
		number, t := h.order.numbers[i], h.order.items[i].topic
		s.searched = number
		h.work++
		if t == nil {
			continue // replaced
		}
		if h.refresh(t); slices.ContainsFunc(t.sources, mine) && !found(number, t) {
			return false
		}
	}
	s.searched = until
	return true
}

// takeOlder appends events that must be searched for, about most bytes. It returns how
// many bytes are left, and whether there are no such events any more.
func (s *subscription) takeOlder(to *batch, most int) (left int, done bool) {
	until := s.older
	if s.ending {
		until = min(until, s.final)
	}
	done = s.search(until, func(number uint64, t *topic) bool {
		s.hub.work += coldWork
		r := t.record(number)
		var hint int
		to.add(s.hub, r, number, &hint)
		s.cursor = number
		most -= int(r.size)
		return most > 0 && to.size() < batchFrames
	})
	if done {
		s.older = 0
	}
	return most, done
}

// bound has a client that resumes begin after what is too old for it, with a gap if the
// client misses something. It reports whether that takes another step.
func (s *subscription) bound() (more bool) {
	if !s.resuming {
		return false
	}
	through := s.hub.before(s.horizon)
	if s.gap == nil && through > s.cursor {
		missed, done := s.misses(through)
		if !missed && !done {
			return true
		}
		if missed && !s.oldest { // with the oldest event as its beginning, a client misses nothing
			s.gap = &Gap{Reason: GapExpired, After: s.after()}
		}
		if missed {
			s.moveTo(through)
		}
	} else if through > s.cursor {
		s.moveTo(through) // the gap that the client is told of ends there
	}
	s.resuming = false
	return false
}

// misses reports whether there is an event for the subscription from its cursor
// through that number; done is false if it takes another step to find out.
func (s *subscription) misses(through uint64) (missed, done bool) {
	for i := range s.links {
		if s.links[i].source.records.any(s.cursor, through) {
			return true, true
		}
	}
	done = s.search(min(through, s.older), func(uint64, *topic) bool {
		missed = true
		return false
	})
	return missed, done
}

// moveTo has the subscription continue after an event, or after the last one before it
// that is held.
func (s *subscription) moveTo(number uint64) {
	if s.reach == nil {
		s.cursor = number
		return
	}
	ids := s.hub.ids
	for i := ids.after(number) - 1; i >= ids.front && ids.numbers[i] > s.cursor; i-- {
		if ids.items[i] != (identity{}) {
			s.cursor, s.reach.at = ids.numbers[i], ids.items[i].id
			return
		}
	}
}

// after is the ID that the subscription has begun with, or its position.
func (s *subscription) after() string {
	if s.reach != nil {
		return s.reach.began()
	}
	return s.hub.id(s.cursor)
}
