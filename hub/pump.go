package hub

import "context"

// Take implements [core.Pump].
func (s *subscription) Take(frames *[][]byte) (more bool, err error) {
	if s.reach == nil {
		return s.take(frames, batchSize)
	}
	return s.takePaged(frames)
}

// Wait implements [core.Pump].
func (s *subscription) Wait() { s.reach.ready, s.reach.err = s.readPage() }

// Leave implements [core.Pump], and ends any subscription.
func (s *subscription) Leave() {
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.links == nil {
		return
	}
	defer s.hub.left()
	s.leave()
	s.tellLeave(s.joined)
}

// tellLeave calls the leave hook for the first n names, also if it panics for some.
func (s *subscription) tellLeave(n int) {
	if s.hub.config.leave == nil {
		return
	}
	ctx := context.WithoutCancel(s.ctx)
	for i := n - 1; i >= 0; i-- {
		defer s.hub.config.leave(ctx, s.links[i].source.name) // the last one deferred is the first
	}
}
