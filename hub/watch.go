package hub

// A subscription with a filter does not wait for events as others do, because most of them are
// not for it, and waking it up costs much more than its filter. It is a watcher of its sources: whoever
// publishes an event asks the filters of the watchers that are idle, outside the lock, and
// wakes only those that want it. A watcher that is not idle reads the event later, and asks its
// filter itself.

// watchers are those of a source. The hub's lock guards it.
type watchers struct {
	links  []*link
	lent   int // how many watches use links: then it must not be changed
	copied int // how often links was copied for that
}

// A watch is an event that the watchers of a source have yet to be asked about, or a gap in
// the log, of which all are told: then it has no topic.
type watch struct {
	candidate

	source *source
	links  []*link
	copied int
	before uint64 // the number of the source's event before it
	number uint64
}

// lend returns a watch for an event, or nil if there is no watcher. The caller gives it back
// with restore.
func (s *source) lend(c candidate, before, number uint64) *watch {
	w := &s.watchers
	if len(w.links) == 0 {
		return nil
	}
	w.lent++
	return &watch{c, s, w.links, w.copied, before, number}
}

func (w *watch) restore() {
	if s := &w.source.watchers; s.copied == w.copied {
		s.lent--
	}
}

// own makes links the source's own, to be changed.
func (w *watchers) own() {
	if w.lent > 0 {
		w.links = append(make([]*link, 0, len(w.links)+len(w.links)/8+1), w.links...)
		w.lent = 0
		w.copied++
	}
}

func (w *watchers) add(l *link) {
	w.own()
	l.slot = len(w.links)
	w.links = append(w.links, l)
}

func (w *watchers) remove(l *link) {
	w.own()
	last := len(w.links) - 1
	w.links[l.slot], w.links[last].slot = w.links[last], l.slot
	w.links[last] = nil
	w.links = w.links[:last]
}

// ask wakes the watchers that want the event.
func (w *watch) ask() {
	for i := 0; i < len(w.links); {
		i = w.askFrom(i)
	}
}

// askFrom is ask for the watchers from an index on. It stops after a filter that panics, and returns
// the next index.
func (w *watch) askFrom(i int) (next int) {
	defer func() {
		if next < len(w.links) {
			_ = recover() // the subscription asks the filter again, and panics in its own goroutine
			w.links[next].subscription.rouse()
			next++
		}
	}()
	for next = i; next < len(w.links); next++ {
		l := w.links[next]
		s := l.subscription
		if s.idle.Load() && (w.topic == nil || s.filter(w.topic.first(), w.more.all()) || !l.passes(w.before, w.number)) {
			s.rouse()
		}
	}
	return next
}

// passes records that the subscription does not want an event of its source. It reports false if it is not
// known whether it wants the one before.
func (l *link) passes(before, number uint64) bool {
	for {
		passed := l.passed.Load()
		switch {
		case passed >= number:
			return true
		case passed < before:
			return false
		case l.passed.CompareAndSwap(passed, number):
			return true
		}
	}
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
