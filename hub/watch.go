package hub

import "sync"

// A subscription with a filter does not wait for events as others do, because most of them are
// not for it, and waking it up costs much more than its filter. It is a watcher of its sources. When
// events have come, a goroutine for each source asks the filters of the watchers that are idle,
// outside the lock and about many events at once, and wakes only those that want one. So
// publishers do not wait for filters. A watcher that is not idle reads the events later, and
// asks its filter itself.

// watchers are those of a source. The hub's lock guards it.
type watchers struct {
	links  []*link
	asking bool    // a goroutine asks, and walks through links
	gone   []*link // have left meanwhile, and are still in links
	asked  uint64  // events up to this one were asked about
	broken uint64  // the number of a gap in the log, of which all must be told; 0 for none
}

func (w *watchers) add(l *link, last uint64) {
	if len(w.links) == 0 {
		w.asked = last
	}
	l.slot = len(w.links)
	w.links = append(w.links, l)
}

func (w *watchers) remove(l *link) {
	if w.asking {
		w.gone = append(w.gone, l)
	} else {
		w.drop(l)
	}
}

// drop is remove while nobody asks.
func (w *watchers) drop(l *link) {
	last := len(w.links) - 1
	w.links[l.slot], w.links[last].slot = w.links[last], l.slot
	w.links[last] = nil
	if w.links = w.links[:last]; last == 0 {
		w.links = nil
	}
}

// inquire has the watchers of a source be asked about what is new.
func (h *Hub) inquire(s *source) {
	if w := &s.watchers; len(w.links) > 0 && !w.asking {
		w.asking = true
		go h.asker(s)
	}
}

// ask asks the watchers of a source until there is nothing new.
func (h *Hub) ask(s *source) {
	h.askOn(s, rounds.Get().(*round)) //nolint:forcetypeassert // the pool's only type
}

// askOn is ask, from the middle of a round on.
func (h *Hub) askOn(s *source, r *round) {
	returned := false
	defer func() {
		if !returned {
			go h.askOn(s, r) // a filter has ended the goroutine
		}
	}()
	for r.next < len(r.links) || h.nextRound(s, r) {
		r.ask()
	}
	rounds.Put(r)
	returned = true
}

// roundSize is about how many events are asked about at once: what an idle watcher costs apart
// from its filter is divided by that, and a watcher that wants the last of them waits for the rest.
const roundSize = 256

// A round is what the watchers of a source are asked about next.
type round struct {
	links   []*link
	next    int    // the index of the link that is asked next
	lost    uint64 // those that have not come this far have missed events, and are woken; 0 if none have
	events  []asking
	through uint64 // the number up to which there is nothing else
}

// An asking is an event as a filter sees it.
type asking struct {
	number     uint64
	topic      string
	attributes Attributes
}

var rounds = sync.Pool{New: func() any { return new(round) }}

// nextRound prepares the next round, and reports whether there is one.
func (h *Hub) nextRound(s *source, r *round) bool {
	h.lock()
	defer h.mu.Unlock()
	w := &s.watchers
	for len(w.gone) > 0 {
		last := len(w.gone) - 1
		w.drop(w.gone[last])
		w.gone[last] = nil
		w.gone = w.gone[:last]
		h.did(1)
	}
	clear(r.events)
	r.links, r.next, r.lost, r.events = w.links, 0, w.broken, r.events[:0]
	w.gone, w.broken = nil, 0
	if w.asking = len(w.links) > 0; !w.asking {
		return false
	}
	if s.lost > w.asked {
		r.lost = max(r.lost, s.lost)
	}
	hint, i := 0, s.records.after(w.asked)
	for ; i < len(s.records.items) && len(r.events) < roundSize; i++ {
		if s.records.items[i] != (record{}) {
			w.asked = s.records.numbers[i]
			p := h.place(w.asked, &hint)
			r.events = append(r.events, asking{w.asked, p.name(), p.more.all()})
		}
	}
	h.work += len(r.events)
	if i == len(s.records.items) {
		w.asked = h.last
	}
	r.through = w.asked
	if w.asking = len(r.events) > 0 || r.lost > 0; !w.asking {
		r.links = nil
	}
	return w.asking
}

// ask asks the watchers that are next. It stops after a filter that panics or ends the goroutine.
func (r *round) ask() {
	defer func() {
		if r.next < len(r.links) {
			_ = recover() // the subscription asks the filter again, and panics in its own goroutine
			r.links[r.next].subscription.rouse()
			r.next++
		}
	}()
	for ; r.next < len(r.links); r.next++ {
		if l := r.links[r.next]; l.subscription.idle.Load() && r.concerns(l) {
			l.subscription.rouse()
		}
	}
}

// concerns reports whether a subscription that was idle must read. It records what the
// subscription does not want, unless it has read that by itself in the meantime.
func (r *round) concerns(l *link) bool {
	passed := l.passed.Load()
	if passed < r.lost || passed >= r.through {
		return passed < r.lost
	}
	wants := l.subscription.filter
	for i := range r.events {
		if e := &r.events[i]; e.number > passed && wants(e.topic, e.attributes) {
			l.passed.CompareAndSwap(passed, e.number-1)
			return true
		}
	}
	l.passed.CompareAndSwap(passed, r.through)
	return false
}

// rouse wakes the subscription if it is idle.
func (s *subscription) rouse() {
	if s.idle.CompareAndSwap(true, false) {
		s.wakeUp()
	}
}

// lost is the last event that the link's source has lost and that the subscription may want.
func (l *link) lost() uint64 {
	if lost := l.source.lost; lost > l.passed.Load() {
		return lost
	}
	return 0
}

// unpass forgets what the filter has not wanted, because the subscription goes back.
func (s *subscription) unpass() {
	for i := range s.links {
		s.links[i].passed.Store(0)
	}
}
