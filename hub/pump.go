package hub

import (
	"context"

	"github.com/yieldsse/yieldsse/internal/feed"
)

// An errand is what Prepare does for Next.
type errand struct {
	gap    *Gap  // to tell the client of; nil for what next says
	next   error // errPage or errState; or errBlocks, which is nothing for Prepare
	done   bool
	frames [][]byte
	err    error

	// For errBlocks.
	some   []candidate // that were read, and not sent
	awaits *blockAt    // which wakes the subscription when it has been made
}

// Next implements [feed.Pump]. Telling of a gap, the state and reading the log are left to
// Prepare, because other sessions wait for the worker, and compressing much to a goroutine
// that does it for all subscriptions.
func (s *subscription) Next(frames *[][]byte) (more bool, err error) {
	switch e := s.errand; {
	case e == nil || s.ctx.Err() != nil:
	case e.next == errBlocks: //nolint:errorlint // the very one
		return s.takeBlocks(frames), nil
	case e.done:
		s.errand = nil
		if len(e.frames) > 0 || e.err != nil {
			*frames = append(*frames, e.frames...)
			return true, e.err
		}
	}
	gap, more, err := s.read(frames, batchSize)
	switch {
	case gap != nil || err == errPage || err == errState: //nolint:errorlint // the very ones
		s.errand = &errand{gap: gap, next: err}
		return false, feed.ErrNotReady
	case err == errBlocks: //nolint:errorlint // the very one
		makeBlocks(s.errand.some)
		return s.takeBlocks(frames), nil
	default:
		return more, err
	}
}

// Prepare implements [feed.Pump].
func (s *subscription) Prepare() {
	s.listen() // because it may have to wait for the log
	defer s.wake.Store(nil)
	e := s.errand
	switch {
	case e.gap != nil:
		e.err = s.tell(&e.frames, e.gap)
	case e.next == errState: //nolint:errorlint // the very one
		e.err = s.sendState(&e.frames, batchSize)
	default:
		e.err = s.page(&e.frames)
	}
	e.done = true
}

// Close implements [feed.Pump]. It ends any subscription, handed over or not.
func (s *subscription) Close() {
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.links == nil {
		return
	}
	defer s.endSnapshot() // even if it panics, the rest was done
	defer s.hub.left()
	s.leave()
	s.tellLeave(int(s.joined))
}

// tellLeave calls the leave hook for the first n names, even if it panics for some.
func (s *subscription) tellLeave(n int) {
	if s.hub.config.leave == nil {
		return
	}
	ctx := context.WithoutCancel(s.ctx)
	for i := n - 1; i >= 0; i-- {
		defer s.hub.config.leave(ctx, s.links[i].source.name) // the last one deferred is the first
	}
}
