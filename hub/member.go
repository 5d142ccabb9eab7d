package hub

import (
	"slices"
	"strings"
)

// join makes the subscription a member of its sources.
func (s *subscription) join(names []string) error {
	h := s.hub
	h.lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrShutdown
	}
	if s.oldest {
		h.trim()
		s.cursor = h.dropped
	}
	h.running++
	s.links = make([]link, 0, len(names)) // which does not move
	for _, name := range names {
		source := h.source(name)
		if source == nil {
			source = h.newSource(name)
		}
		if source.since > s.cursor {
			h.complete(source, s.cursor)
		}
		s.lost = max(s.lost, source.before)
		s.links = append(s.links, link{subscription: s, source: source, member: len(source.members)})
		source.members = append(source.members, &s.links[len(s.links)-1])
	}
	return nil
}

// newSource makes a topic or a pattern for its first subscriber.
func (h *Hub) newSource(name string) *source {
	if pattern, _ := check(name); !pattern {
		return &h.newTopic(name).source
	}
	name = strings.Clone(name)
	s := &source{name: name, since: h.last}
	h.patterns[name] = s
	h.tree.put(name, s)
	h.changes++
	return s
}

// complete gives a pattern what the log has after that event. It costs time for
// each of those events only, and for each topic if any were dropped since.
func (h *Hub) complete(s *source, after uint64) {
	var older list[record]
	for i := h.order.after(after); i < len(h.order.numbers) && h.order.numbers[i] <= s.since; i++ {
		t, number := h.order.items[i].topic, h.order.numbers[i]
		if t == nil {
			continue
		}
		if h.refresh(t); slices.Contains(t.sources, s) {
			older.push(number, t.records.items[t.records.find(number)])
		}
	}
	for i := s.records.front; i < len(s.records.items); i++ {
		if s.records.items[i] != (record{}) {
			older.push(s.records.numbers[i], s.records.items[i])
		}
	}
	s.records, s.since = older, after
	if after >= h.dropped {
		return
	}
	s.before = max(s.before, h.forgotten)
	for _, t := range h.topics {
		if h.refresh(t); t.lost > s.before && slices.Contains(t.sources, s) {
			s.before = t.lost
		}
	}
}

// leave ends the memberships.
func (s *subscription) leave() {
	h := s.hub
	h.lock()
	defer h.mu.Unlock()
	for i := range s.links {
		l := &s.links[i]
		members := l.source.members
		last := len(members) - 1
		members[l.member], members[last].member = members[last], l.member
		members[last] = nil
		l.source.members = members[:last]
		if l.round == l.source.round+1 {
			waiting := l.source.waiting
			last := len(waiting) - 1
			waiting[l.wait], waiting[last].wait = waiting[last], l.wait
			waiting[last] = nil
			l.source.waiting = waiting[:last]
		}
		if len(l.source.members) == 0 {
			h.dismiss(l.source)
		}
	}
}

// left takes note of a subscription's end.
func (h *Hub) left() {
	h.lock()
	defer h.mu.Unlock()
	if h.running--; h.running == 0 && h.ended != nil {
		close(h.ended)
		h.ended = nil
	}
}

// dismiss lets go of a source that has no members any more.
func (h *Hub) dismiss(s *source) {
	s.members, s.waiting, s.spare = nil, nil, nil
	if t := h.topics[s.name]; t != nil {
		h.retire(t)
		return
	}
	s.records = list[record]{} // topics may still point at it
	delete(h.patterns, s.name)
	h.tree.put(s.name, nil)
	h.changes++
}
