package hub

// SetStep has a hub let others have its lock after so much work.
func SetStep(h *Hub, work int) {
	h.lock()
	defer h.mu.Unlock()
	h.step = work
}
