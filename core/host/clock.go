package host

import (
	"math"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A duration of never or more means that there is nothing to wait for.
const never = time.Duration(math.MaxInt64 / 2)

// tick is called by the session's timer. A session whose writes do not wait and that a worker
// serves has none: the worker calls the conn's tick.
func (s *Session) tick() {
	if s.check() {
		s.beat(true)
	}
}

// check breaks a write that takes too long, ends the session at its maximum duration or when
// it expires, and asks whether it may continue. It reports whether beat must be called. When
// the session has ended, the timer runs only during a write: many sessions may end at once and
// wait for their turn.
func (s *Session) check() (alive bool) {
	s.timerMu.Lock()
	if s.stopped {
		s.timerMu.Unlock()
		return false
	}
	now := s.now()
	switch {
	case s.age > 0 && now >= s.age:
		s.cancel(core.ErrMaxDuration)
	case s.credential.over():
		s.cancel(core.ErrExpired)
	}
	if start := s.sending.Load(); start != 0 {
		if limit := s.patience(); limit > 0 && now-time.Duration(start-1) >= limit {
			s.cancel(core.ErrSlowClient)
			s.aborted = true
			s.conn.Abort()
		}
	}
	ended, detached := s.ctx.Err() != nil, s.detached
	if !ended {
		s.recheck(now)
	}
	if !ended || s.sending.Load() != 0 {
		s.setTimer(now, s.due(now))
	}
	s.timerMu.Unlock()
	if ended && detached != nil {
		detached.wake() // to end it
	}
	return !ended
}

// beat sends a heartbeat if the session is silent. If that may have to wait for the client, and
// it must not, beat reports false.
func (s *Session) beat(mayWait bool) bool {
	// If the lock is taken, something is being written, which is as good as a heartbeat.
	if s.config.Heartbeat <= 0 || !s.mu.TryLock() {
		return true
	}
	defer s.mu.Unlock()
	defer s.recoverHost()
	now := s.now()
	switch {
	case s.closed || s.ctx.Err() != nil || now-time.Duration(s.spoke.Load()) < s.config.Heartbeat:
	case s.waiting == nil && s.detached != nil && s.detached.served.Load():
		s.detached.beat(now)
	case !mayWait:
		return false
	case s.waiting != nil: // also as good as a heartbeat
		s.flushed.Store(int64(now))
		s.flush(now)
	default:
		b := s.buffer()
		*b = s.appendOwn(*b, s.config.Beats.Heartbeat)
		s.push(now, heartbeat)
	}
	return true
}

// startTimer starts the timer.
func (s *Session) startTimer() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	s.begun = true
	s.timer = time.AfterFunc(s.due(0), s.tick)
}

// leaveTimer makes the worker of a detached session call tick from now on, because a timer
// for each of many sessions costs more than a heartbeat.
func (s *Session) leaveTimer() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer == nil || s.stopped {
		return
	}
	s.timer.Stop()
	s.timer = nil
	now := s.now()
	s.setTimer(now, s.due(now))
}

// setTimer makes the timer fire after d. timerMu is held.
func (s *Session) setTimer(now, d time.Duration) {
	if s.timer != nil {
		s.timer.Reset(d)
		return
	}
	c := s.detached
	if d >= never {
		c.worker().unschedule(c)
		return
	}
	c.worker().schedule(c, int64(s.begin.Sub(epoch)+now+d))
}

// stopTimer stops the timer for good. timerMu is held.
func (s *Session) stopTimer() {
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
		return
	}
	s.detached.worker().unschedule(s.detached)
}

// WriteTimeout returns how long a write may take while the session lives; 0 means forever.
func (s *Session) WriteTimeout() time.Duration { return max(s.config.WriteTimeout, 0) }

// patience is how long a write may take; 0 means forever.
func (s *Session) patience() time.Duration {
	if s.ctx.Err() != nil && (s.config.WriteTimeout <= 0 || s.config.WriteTimeout > grace) {
		return grace
	}
	return s.WriteTimeout()
}

// due returns how long after now tick must be called again: at the earliest time at which
// there may be something to do. Events do not move that time.
func (s *Session) due(now time.Duration) time.Duration {
	next := time.Duration(math.MaxInt64)
	later := func(since int64, d time.Duration) {
		if d <= 0 {
			return
		}
		at := time.Duration(since) + d
		if at <= now { // tick has just dealt with it
			at = now + d
		}
		next = min(next, at)
	}
	start := int64(now)
	if sending := s.sending.Load(); sending != 0 {
		start = sending - 1
	}
	later(start, s.patience())
	if s.ctx.Err() == nil {
		later(s.spoke.Load(), s.config.Heartbeat)
		if s.config.Recheck != nil && !s.credential.asking {
			later(int64(s.credential.asked), s.config.Recheck.Every)
		}
		if s.detached != nil {
			next = s.inStep(next)
		}
		later(0, s.age)
		if c := s.credential; c.expiring() {
			later(int64(now), c.left())
		}
	}
	return next - now
}

// inStep returns the end of the step that at is in, so that the timers of detached
// sessions fire together: waking up for each of them costs more than its heartbeat. A
// step is an eighth of the heartbeat interval, or of the write timeout if there are no
// heartbeats, and at most 100 ms.
func (s *Session) inStep(at time.Duration) time.Duration {
	if at >= never {
		return at
	}
	interval := s.config.Heartbeat
	if interval <= 0 {
		interval = s.config.WriteTimeout
	}
	step := min(max(interval, 0)/8+1, 100*time.Millisecond)
	since := s.begin.Sub(epoch) + at
	return at + (step-since%step)%step
}
