package hub

import "strings"

// join makes the subscription a member of its sources. It returns errShutdown if the hub
// was shut down in the meantime: then the client gets nothing.
func (s *subscription) join(names []string) error {
	h := s.hub
	h.lock()
	defer h.mu.Unlock()
	if h.closed {
		return errShutdown
	}
	h.running++
	s.links = make([]link, 0, len(names)) // never grows, because sources point into it
	for _, name := range names {
		source := h.source(name)
		if source == nil {
			source = h.newSource(name)
		}
		s.links = append(s.links, link{subscription: s, source: source, member: len(source.members)})
		l := &s.links[len(s.links)-1]
		source.members = append(source.members, l)
		if s.filter != nil {
			source.watchers.add(l, h.last)
		}
		h.did(nameWork(name))
	}
	if s.reach == nil {
		s.begin()
	}
	if h.finished { // Finish may have missed some of the memberships
		s.ending, s.final = true, h.last
	}
	if h.closed { // Shutdown may have missed some of the memberships
		return errShutdown
	}
	return nil
}

// nameWork is the work of making or dismissing a source: a tree for each token.
func nameWork(name string) int { return 16 * (1 + strings.Count(name, ".")) }

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

// leave ends the memberships.
func (s *subscription) leave() {
	h := s.hub
	h.lock()
	defer h.mu.Unlock()
	s.idle.Store(false) // a filter that is asked about many events is not asked any more
	for i := range s.links {
		l := &s.links[i]
		members := l.source.members
		last := len(members) - 1
		members[l.member], members[last].member = members[last], l.member
		members[last] = nil
		l.source.members = members[:last]
		if s.filter != nil {
			l.source.watchers.remove(l)
		} else if l.round == l.source.round+1 {
			waiting := l.source.waiting
			last := len(waiting) - 1
			waiting[l.slot], waiting[last].slot = waiting[last], l.slot
			waiting[last] = nil
			l.source.waiting = waiting[:last]
		}
		if len(l.source.members) == 0 {
			h.dismiss(l.source)
		}
		h.did(nameWork(l.source.name))
	}
}

// left counts a subscription's end.
func (h *Hub) left() {
	h.lock()
	defer h.mu.Unlock()
	if h.running--; h.running == 0 && h.ended != nil {
		close(h.ended)
		h.ended = nil
	}
}

// dismiss forgets a source that has no members any more.
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
