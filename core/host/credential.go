package host

import (
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A credential is how long a session may last because of who its client is.
type credential struct {
	expires time.Time        // zero if never
	clock   func() time.Time // the wall clock: time.Now, except in tests
	running sync.WaitGroup   // the goroutine that asks

	// The session's timerMu guards what follows.
	asking bool
	asked  time.Duration // when the last answer came, since the session's begin
}

// admit asks when the session expires, and returns why it must not begin, or nil.
func (s *Session) admit() error {
	expiry, recheck := s.config.Expiry, s.config.Recheck
	if expiry == nil && recheck == nil {
		return nil
	}
	c := &credential{clock: time.Now}
	s.credential = c
	if expiry != nil {
		c.expires = expiry(s.ctx).Round(0) // a time without a monotonic clock is compared by the wall clock
	}
	if recheck != nil {
		c.asked = -rand.N(recheck.Every) //nolint:gosec // not a secret
	}
	return s.expired()
}

// expired returns the refusal of a session that has expired, or nil.
func (s *Session) expired() error {
	if !s.credential.over() {
		return nil
	}
	return &core.RefusedError{Status: 401, Err: core.ErrExpired}
}

// over reports whether the session has expired. c may be nil.
func (c *credential) over() bool { return c.expiring() && !c.clock().Before(c.expires) }

func (c *credential) expiring() bool { return c != nil && !c.expires.IsZero() }

// left returns how long the session's timer may wait: until it expires, and not longer than
// lookAgain, because the clock may be set forward or the machine may sleep.
func (c *credential) left() time.Duration { return min(max(c.expires.Sub(c.clock()), 1), lookAgain) }

const lookAgain = time.Minute

// recheck asks whether the session may continue, if it is time to. The session's timerMu is
// held.
func (s *Session) recheck(now time.Duration) {
	r, c := s.config.Recheck, s.credential
	if r == nil || c.asking || now < c.asked+r.Every {
		return
	}
	c.asking = true
	c.running.Go(s.ask)
}

func (s *Session) ask() {
	var err error
	returned := false
	defer func() {
		if !returned {
			s.failLate(&core.PanicError{Value: recover(), Stack: debug.Stack()}) // nil after runtime.Goexit
		} else if err != nil && s.ctx.Err() == nil {
			s.dismiss(err, 0)
		}
		s.timerMu.Lock()
		defer s.timerMu.Unlock()
		now := s.now()
		s.credential.asking, s.credential.asked = false, now
		if !s.stopped && s.ctx.Err() == nil {
			s.setTimer(now, s.due(now))
		}
	}()
	err = s.config.Recheck.Ask(s.ctx)
	returned = true
}

// failLate ends a session that has not ended yet, because something besides its stream has
// panicked.
func (s *Session) failLate(err *core.PanicError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.fail(err)
	}
}

// answered waits until nobody asks any more. The session's context has ended.
func (s *Session) answered() {
	if s.credential != nil {
		s.credential.running.Wait()
	}
}
