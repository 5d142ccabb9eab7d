package hub

import "time"

// TimeOf is a log's time in a hub, when the wall clock shows now.
func TimeOf(h *Hub, at, now time.Time) time.Duration { return time.Duration(h.timeOf(at, now)) }

// Waiting returns how many subscriptions wait for an event of a topic.
func Waiting(h *Hub, topic string) int {
	h.lock()
	defer h.mu.Unlock()
	return len(h.topics[topic].waiting)
}

// SetStep sets how much work a hub does before it lets others have its lock.
func SetStep(h *Hub, work int) {
	h.lock()
	defer h.mu.Unlock()
	h.step = work
}
