package host

import (
	"context"
	"errors"
	"os"
	"reflect"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// fail ends the session because its stream has failed with err. If something else has just
// ended it, that is the cause, and err is only a late error, unless it is a panic. The
// session's mu is held.
func (s *Session) fail(err error) {
	err = usable(err)
	alive := s.ctx.Err() == nil
	s.end(err)
	_, panicked := err.(*core.PanicError) //nolint:errorlint // the very one
	switch {
	case alive && identical(context.Cause(s.ctx), err):
		s.remember().failure, s.failed = err, true
	case s.outcome.failure != nil:
	case panicked:
		s.remember().failure = err
	default:
		s.remember().late = err
	}
}

func identical(a, b error) bool {
	v := reflect.ValueOf(a)
	return v.Type() == reflect.TypeOf(b) && (!v.Comparable() || a == b) //nolint:errorlint // the very one
}

// panicked is fail for a panic.
func (s *Session) panicked(err *core.PanicError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(err)
}

// A farewell is why the server has ended a session, and when its client should come back; 0
// if it may choose.
type farewell struct {
	cause error
	retry time.Duration
}

// dismiss ends the session cleanly, unless it has been called before. Whatever cause is, it
// does not say that the client has gone.
func (s *Session) dismiss(cause error, retry time.Duration) {
	cause = usable(cause)
	if s.farewell.CompareAndSwap(nil, &farewell{cause, retry}) {
		s.end(cause)
	}
}

// dismissed reports whether cause comes from dismiss.
func (s *Session) dismissed(cause error) bool {
	f := s.farewell.Load()
	return f != nil && cause != nil && identical(cause, f.cause)
}

// A cut is when and why a host cuts the response off.
type cut struct {
	at    time.Time
	cause error
}

// CutAt tells the session that its host will cut the response off at this time, which the
// adapter cannot prevent. If the request's context is cancelled or a write fails at that
// time or later, the session's cause is this one and not [core.ErrClientGone]. Any
// goroutine may call it at any time.
func (s *Session) CutAt(at time.Time, cause error) { s.cut.Store(&cut{at, cause}) }

// whyGone returns why the host has given the response up.
func (s *Session) whyGone() error {
	if c := s.cut.Load(); c != nil && !time.Now().Before(c.at) {
		return c.cause
	}
	return core.ErrClientGone
}

// written records the result of a write, and reports whether it was successful.
func (s *Session) written(err error) bool {
	if err == nil {
		if s.outcome.lost != nil {
			s.outcome.lost = nil
		}
		return true
	}
	s.remember().lost = err
	s.cancel(s.whyLost(err))
	return false
}

// whyLost returns the cause of the session's end for a write that failed with err.
func (s *Session) whyLost(err error) error {
	cause := s.whyGone()
	if cause == core.ErrClientGone && errors.Is(err, os.ErrDeadlineExceeded) { //nolint:errorlint // the very one
		return core.ErrSlowClient
	}
	return cause
}

// errWriter ends a session whose host's writer does not return at the end of the response. The
// host gets the panic, if there is one.
var errWriter = errors.New("host: the writer panicked, or called runtime.Goexit, at the end of the response")

// finish ends the response when the generator is done, and releases the session.
func (s *Session) finish() {
	whole, returned := false, false // also if the error event's function panics
	defer func() {
		if !returned && s.outcome.failure == nil {
			s.lose(errWriter)
		}
		s.release(!whole)
	}()
	whole = s.complete()
	returned = true
}

// complete sends what is left, and reports whether the response is whole.
func (s *Session) complete() bool {
	switch {
	case !s.settle():
		return false
	case s.outcome.failure == nil:
		return s.conclude(nil)
	case s.config.ErrorEvent == nil: // it is broken, so that nobody mistakes part of it for all of it
		return false
	}
	last := s.config.ErrorEvent(s.outcome.failure) // not under the lock, because the function is the application's
	return s.conclude(&last)
}

// lose ends the session because its host's writer has failed.
func (s *Session) lose(err error) {
	s.remember().lost = err
	s.cancel(err)
}

// settle sends what waits when the generator is done, and the reconnection time of a
// farewell. It reports whether the response can still end cleanly.
func (s *Session) settle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	gone := s.gone.Load()
	if gone {
		s.cancel(core.ErrClientGone) // ClientGone may not have done so yet
	}
	if cause := context.Cause(s.ctx); cause != nil && !s.failed {
		s.remember().cause = cause
	}
	dismissed := s.dismissed(s.outcome.cause)
	if s.outcome.lost != nil || gone || !dismissed && errors.Is(s.outcome.cause, core.ErrSlowClient) {
		return false
	}
	if dismissed && s.outcome.failure == nil && s.farewell.Load().retry > 0 {
		b := s.buffer()
		*b = appendRetry(*b, s.farewell.Load().retry) // without a blank line, which some clients mistake for an event
	}
	return s.flush(s.now()) && (dismissed || !s.abandoned())
}

// abandoned reports whether the host has given the response up. Then it is not known
// whether anybody still reads it, because a client that has only closed its half of the
// connection looks the same as one that has gone.
func (s *Session) abandoned() bool {
	c := s.cut.Load()
	return errors.Is(s.outcome.cause, core.ErrClientGone) || c != nil && s.outcome.cause == c.cause //nolint:errorlint // the very one
}

// conclude writes the last event, if there is one, and the end of the response. It reports
// whether it could.
func (s *Session) conclude(last *core.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last != nil && s.gather(last) != nil {
		return false
	}
	if s.gzip != nil {
		s.gzip.end(s.buffer())
	}
	if !s.flush(s.now()) {
		return false
	}
	s.beginSend(s.now())
	err := s.conn.End()
	s.endSend(false)
	return s.written(err)
}

func (s *Session) release(broken bool) {
	defer s.leaveGroups()
	defer s.answered()
	// First, because aborting may end the request's context, as if the client had left.
	s.letGo()
	s.stop(broken)
	if s.flusher != nil {
		s.flusher.Stop()
	}
	end := s.summary()
	s.cancel(s.outcome.failure)
	if s.detached != nil {
		s.detached.hangUp()
	}
	s.tellClosed(end)
}

// stop stops the timer for good, and breaks the response if it must be broken.
func (s *Session) stop(broken bool) {
	s.timerMu.Lock()
	defer s.timerMu.Unlock() // even if a writer of the host panics
	s.stopTimer()
	if broken && !s.aborted {
		s.conn.Abort()
	}
}

// summary returns the Summary of a session that has ended.
func (s *Session) summary() core.Summary {
	o := s.outcome
	end := core.Summary{Cause: o.cause, Err: o.failure, Events: int(s.events.Load()), Bytes: s.sent.Load(), Duration: s.now()}
	if end.Cause == nil && o.failure == nil && (o.lost != nil || s.aborted) { // at the very end
		end.Cause = context.Cause(s.ctx)
	}
	if end.Err == nil && o.late != nil && !errors.Is(o.late, context.Canceled) && !errors.Is(o.late, end.Cause) {
		end.Err = o.late
	}
	return end
}
