package hub

// SetStep sets how much work a hub does before it lets others have its lock.
func SetStep(h *Hub, work int) {
	h.lock()
	defer h.mu.Unlock()
	h.step = work
}
