package host

import (
	"runtime/debug"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// refuse ends the context of a session whose request is refused, and tells the observers. It
// returns err.
func (s *Session) refuse(err *core.RefusedError) error {
	s.cancel(err)
	for _, o := range s.config.Observers {
		if o.Refused != nil {
			o.Refused(s.ctx, err)
		}
	}
	return err
}

// tellOpened tells the observers that the response has begun, with its first write. The
// session's mu is held.
func (s *Session) tellOpened() {
	took := s.now()
	s.tellAllOpened()
	s.opened = true
	if s.config.Counted {
		s.wrote(core.Write{Bytes: int(s.sent.Load()), Duration: took})
	}
}

// tellAllOpened tells all observers, even if one panics, because they are all told of the end.
func (s *Session) tellAllOpened() {
	for i := len(s.config.Observers) - 1; i >= 0; i-- { //nolint:modernize // as in tellClosed
		if f := s.config.Observers[i].Opened; f != nil {
			defer f(s.ctx) // the last one deferred is the first
		}
	}
}

// tellWrote tells the observers of a write that began at that time. The session's mu is
// held: nothing that an application can call waits for it, except yield, which calls the
// observers itself.
func (s *Session) tellWrote(began time.Duration, w core.Write) {
	if s.config.Counted && s.opened {
		w.Duration = s.now() - began
		s.wrote(w)
	}
}

// tellPushed is tellWrote for push. It is a call of its own, because the stack of a detached
// generator has 2 kB, and push is part of its deepest.
//
//go:noinline
func (s *Session) tellPushed(began time.Duration, n int, what content) {
	w := core.Write{Events: int(s.fresh), Bytes: n, Heartbeat: what == heartbeat}
	s.fresh = 0 // not later, because an observer may call runtime.Goexit
	s.tellWrote(began, w)
}

// wrote calls the observers. A panic must not end the goroutine, which may be a worker's or a
// timer's.
func (s *Session) wrote(w core.Write) {
	returned := false
	defer func() {
		if returned {
			return
		}
		s.fail(&core.PanicError{Value: recover(), Stack: debug.Stack()})
		if s.detached != nil {
			s.detached.wake() // after runtime.Goexit nothing else does
		}
	}()
	for i := range s.config.Observers {
		if f := s.config.Observers[i].Wrote; f != nil {
			f(s.ctx, w)
		}
	}
	returned = true
}

// tellClosed tells the observers of the end, all of them even if one panics.
func (s *Session) tellClosed(end core.Summary) {
	for i := len(s.config.Observers) - 1; i >= 0; i-- { //nolint:modernize // slices.Backward and defer would allocate
		if f := s.config.Observers[i].Closed; f != nil {
			defer f(s.ctx, end) // the last one deferred is the first
		}
	}
}
