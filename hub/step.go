package hub

import "runtime"

// stepWork is how much is done under the hub's lock in one go, in units of some
// 20 ns: a subscription with many names or with an old ID, or a bound that drops
// much at once, would otherwise hold up everybody else.
const stepWork = 1 << 12

// lock locks the hub, which has been set up then.
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

// breathe lets others have the lock between two steps. What it guards may have
// changed then.
func (h *Hub) breathe() {
	h.mu.Unlock()
	runtime.Gosched()
	h.lock()
	h.breaths++
}

// did takes note of work, and ends the step if it is over.
func (h *Hub) did(work int) {
	if h.work += work; h.spent() {
		h.breathe()
	}
}
