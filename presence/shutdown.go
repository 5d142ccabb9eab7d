package presence

import (
	"context"
	"errors"
	"fmt"
)

// Shutdown has the members of this process leave, in all processes, and ends the streams of this
// process. Joins and streams that come later are refused with [core.ErrShutdown]. It waits until
// the log has it and the streams have ended. If ctx ends first, or the log fails or does not answer
// within 5 s or half a lease, it returns an error; in other processes the members then leave with
// the lease. Each further call waits as well, and has the result of the first one for other
// processes. Call it before you close the log.
func (t *Tracker) Shutdown(ctx context.Context) error {
	t.lock()
	first, c := !t.closed, t.cluster
	t.closed = true
	for _, m := range t.own {
		m.stop()
		t.remove(m)
	}
	clear(t.own)
	t.mu.Unlock()
	var failure error
	if c != nil {
		failure = c.leave(ctx, first)
	}
	if err := t.streams.Shutdown(ctx); err != nil && failure == nil {
		failure = fmt.Errorf("presence: %w", err)
	}
	return failure
}

// leave tells others, the first time, that this process leaves, and ends the goroutines.
func (c *cluster) leave(ctx context.Context, first bool) error {
	if first {
		c.failure = c.bye(ctx)
		c.cancel()
		close(c.left)
	}
	if !happens(ctx, c.left) {
		return fmt.Errorf("presence: shutdown: another call has not yet told other processes: %w", context.Cause(ctx))
	}
	failure := c.hub.Shutdown(ctx)
	if failure == nil && !happens(ctx, c.follows) {
		failure = fmt.Errorf("presence: shutdown: the logger's handler has not returned: %w", context.Cause(ctx))
	}
	return errors.Join(c.failure, failure)
}

// happens waits until done is closed, or until ctx ends. If both have happened, it returns true.
func happens(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (c *cluster) bye(ctx context.Context) error {
	c.hush()
	var err error
	select {
	case <-c.tells: // so that bye is the last message; it is soon, because the context has ended, unless a handler blocks
		attempt, cancel := context.WithTimeout(ctx, c.attempt())
		defer cancel()
		err = c.publish(attempt, &message{Kind: kindBye, From: c.id, Lease: c.lease})
	case <-ctx.Done():
		err = fmt.Errorf("the log, or the logger's handler, has not returned: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("presence: shutdown: other processes notice it after the lease of %v: %w", c.lease, err)
	}
	return nil
}
