package core

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/internal/config"
)

// A Group is a set of live sessions, to limit, count and end them together. Sessions
// join it through [WithGroup]. The zero Group is ready to use. Its methods may be
// called by any goroutine at any time. It must not be copied after first use.
type Group struct {
	// Limit is how many sessions there may be at once. A request beyond it is
	// refused with 503 and a Retry-After, before its view runs. An EventSource
	// does not try again after that, so its page has to. Zero or less means no
	// limit. Set it before the first session joins.
	Limit int

	mu       sync.Mutex
	sessions map[config.Member]struct{}
	closing  bool
	empty    chan struct{} // closed when the last session leaves; nil if nobody waits for that
}

// Len returns how many sessions there are.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Shutdown ends all sessions with [ErrShutdown], refuses new ones, and waits until the
// generators have returned. Each client is sent a reconnection time between 1 and 5 s,
// evenly spread, and then a clean end.
//
// If ctx ends first, Shutdown returns an error that wraps the cause of that. The
// remaining sessions still end.
//
// The host writes the end of a response, so shut the server down after the group.
func (g *Group) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	g.closing = true
	n, i := len(g.sessions), 0
	for s := range g.sessions {
		s.Shutdown(config.ReturnFrom + config.ReturnSpread*time.Duration(i)/time.Duration(n))
		i++
	}
	if g.empty == nil && n > 0 {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()

	if n == 0 {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("core: shutdown: %d of %d streams have not ended: %w", g.Len(), n, context.Cause(ctx))
	}
}

// A membership is a Group as sessions see it.
type membership struct{ *Group }

// Join implements [config.Group].
func (g membership) Join(m config.Member) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return ErrShutdown
	}
	if g.Limit > 0 && len(g.sessions) >= g.Limit {
		return ErrGroupFull
	}
	if g.sessions == nil {
		g.sessions = make(map[config.Member]struct{})
	}
	g.sessions[m] = struct{}{}
	return nil
}

// Leave implements [config.Group].
func (g membership) Leave(m config.Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, m)
	if len(g.sessions) == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}
