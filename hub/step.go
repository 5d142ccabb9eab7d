package hub

import "runtime"

// stepWork is how much is done under the hub's lock at once, in units of some 20 ns.
// A subscription with many names or with an old ID, or a bound that drops
// much at once, would otherwise keep everybody else waiting.
const stepWork = 1 << 12

// coldWork is the work of finding one of a million topics or records, none of which is in a cache.
const coldWork = 16

// lock locks the hub, and sets it up if it is a zero Hub.
func (h *Hub) lock() {
	h.mu.Lock()
	h.most, h.work = max(h.most, h.work), 0
	if h.epoch == "" {
		h.config = newConfig(nil)
		h.setUp()
	}
}

// spent reports whether the step is over.
func (h *Hub) spent() bool { return h.work >= h.step }

// breathe lets others take the lock between two steps. What the lock guards may change
// in the meantime.
func (h *Hub) breathe() {
	h.mu.Unlock()
	runtime.Gosched()
	h.lock()
	h.breaths++
}

// did counts work, and ends the step if it is over.
func (h *Hub) did(work int) {
	if h.work += work; h.spent() {
		h.breathe()
	}
}
