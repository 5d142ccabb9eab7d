package host

import (
	"math"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// tick is the session's only clock. It breaks a write that lasts too long, ends
// a session that is old enough, and sends a heartbeat on a silent one. When the
// session has ended it runs only while a write is under way: many sessions may end
// at once, and wait for their turn.
func (s *Session) tick() {
	s.timerMu.Lock()
	if s.stopped {
		s.timerMu.Unlock()
		return
	}
	now := s.now()
	if s.config.MaxDuration > 0 && now >= s.age {
		s.cancel(core.ErrMaxDuration)
	}
	if start := s.sending.Load(); start != 0 {
		if limit := s.patience(); limit > 0 && now-time.Duration(start-1) >= limit {
			s.cancel(core.ErrSlowClient)
			s.aborted = true
			s.conn.Abort()
		}
	}
	ended, wire := s.ctx.Err() != nil, s.wire
	if !ended || s.sending.Load() != 0 {
		s.timer.Reset(s.due(now))
	}
	s.timerMu.Unlock()
	if ended {
		if wire != nil {
			wire.wake() // to end it
		}
		return
	}

	// A write that is under way is as good as a heartbeat.
	if s.config.Heartbeat <= 0 || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	defer s.recoverHost()
	switch {
	case s.closed || now-time.Duration(s.spoke.Load()) < s.config.Heartbeat:
	case s.waiting != nil: // as good as a heartbeat
		s.flushed = now
		s.flush(now)
	case wire != nil && wire.served.Load():
		wire.beat(now)
	default:
		b := s.buffer()
		*b = s.appendOwn(*b, s.config.Beats.Heartbeat)
		s.flush(now)
	}
}

// patience is how long a write may last; 0 for ever.
func (s *Session) patience() time.Duration {
	if s.ctx.Err() != nil && (s.config.WriteTimeout <= 0 || s.config.WriteTimeout > grace) {
		return grace
	}
	return max(s.config.WriteTimeout, 0)
}

// due is how long after now the timer has to look again. It is not moved by each
// event: it comes at the earliest time that there may be something to do.
func (s *Session) due(now time.Duration) time.Duration {
	next := time.Duration(math.MaxInt64)
	later := func(since int64, d time.Duration) {
		if d <= 0 {
			return
		}
		at := time.Duration(since) + d
		if at <= now { // seen to just now
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
		if s.wire != nil && s.config.Heartbeat > 0 {
			next = s.inStep(next)
		}
		later(0, s.age)
	}
	return next - now
}

// inStep returns the end of the step that at is in. The timers of detached sessions
// fire together then, since to wake up for each of them costs more than its
// heartbeat does. A step is an eighth of the heartbeat, and 100 ms at most.
func (s *Session) inStep(at time.Duration) time.Duration {
	if at > math.MaxInt64/2 { // which is never
		return at
	}
	step := min(s.config.Heartbeat/8+1, 100*time.Millisecond)
	since := s.begin.Sub(epoch) + at
	return at + (step-since%step)%step
}
