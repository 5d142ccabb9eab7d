package hub

import (
	"context"

	"github.com/yieldsse/yieldsse/core"
)

// Take implements [core.Pump]. What is in the log is waited for elsewhere.
func (s *subscription) Take(frames *[][]byte) (more bool, err error) {
	if r := s.reach; r != nil && s.ctx.Err() == nil && (len(r.ready) > 0 || r.err != nil) {
		*frames = append(*frames, r.ready...)
		err, r.ready, r.err = r.err, nil, nil
		return true, err
	}
	more, err = s.held(frames, batchSize)
	if err == errPage { //nolint:errorlint // the very one
		return false, core.ErrWait
	}
	return more, err
}

// Wait implements [core.Pump].
func (s *subscription) Wait() { s.reach.err = s.page(&s.reach.ready) }

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
