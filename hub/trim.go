package hub

import "time"

// now is the time at which an event comes, or 0 if no age is bounded.
func (h *Hub) now() int64 {
	if h.memory.maxAge <= 0 && h.maxReplay <= 0 {
		return 0
	}
	return int64(time.Since(h.began))
}

// timeOf returns the time of the log's clock at, in ns since the hub began. It is never in the
// future. now is the wall clock: at is as old as that says, because since the hub began, the
// clock may have been set.
func (h *Hub) timeOf(at, now time.Time) int64 {
	return int64(time.Since(h.began) - max(now.Sub(at), 0))
}

// before returns the number after which the events begin that have come since then.
func (h *Hub) before(then int64) uint64 {
	if h.ids != nil {
		return h.ids.before(h.last, func(e identity) bool { return e.time >= then })
	}
	return h.order.before(h.last, func(p place) bool { return p.at >= then })
}

// trim drops what exceeds the bounds, and reports whether there is more of it than
// one step takes.
func (h *Hub) trim() (more bool) {
	now := h.now()
	for first := true; ; first = false {
		number, t := h.excess(now)
		if t == nil {
			break
		}
		if h.spent() && !first {
			return true
		}
		h.work += 4 //nolint:mnd // some lists and maps
		h.refresh(t)
		if h.follower != nil {
			h.follower.since = h.ids.items[h.ids.find(number)].id
		}
		h.remove(number)
		t.forgetKey(number)
		for _, s := range t.sources {
			s.lost = number
		}
		h.dropped = number
		h.drops++
		for _, part := range t.parts {
			h.retire(part)
		}
		if t.parts == nil {
			h.retire(t)
		}
	}
	if h.memory.maxAge > 0 && h.expiry == nil && h.order.live > 0 {
		_, oldest := h.order.oldest()
		left := h.memory.maxAge - time.Duration(now-oldest.at)
		h.expireAfter(max(left, h.memory.maxAge/16))
	}
	return false
}

// expireAfter has expire called after d.
func (h *Hub) expireAfter(d time.Duration) {
	switch {
	case h.closed:
	case h.expiry == nil:
		h.expiry = time.AfterFunc(d, h.expire)
	default:
		h.expiry.Reset(d)
	}
}

// expire drops what is too old while nobody publishes, and what one step of trim has
// left.
func (h *Hub) expire() {
	h.lock()
	defer h.mu.Unlock()
	h.expiry = nil
	for h.trim() {
		h.breathe()
	}
}

// retire forgets a topic that is no longer used, now or later. As long as it is remembered,
// a client that resumes from an old ID is told of a gap only if there is one.
func (h *Hub) retire(t *topic) {
	switch {
	case t.idle || !t.unused():
		return
	case t.lost <= h.forgotten:
		delete(h.topics, t.name)
		return
	}
	t.idle = true
	h.idle = append(h.idle, t)
	for len(h.idle) > maxIdle {
		t, h.idle[0] = h.idle[0], nil
		h.idle = h.idle[1:]
		t.idle = false
		if t.unused() {
			delete(h.topics, t.name)
			h.forgotten = max(h.forgotten, t.lost)
		}
	}
}
