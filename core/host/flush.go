package host

import (
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// gathered sends what waits, now or when the flush window ends. n events have been added
// to it.
func (s *Session) gathered(n int) bool {
	first := s.events.Add(int64(n)) == int64(n)
	s.fresh += int32(n) //nolint:gosec // what waits is written before there are that many
	now := s.now()
	wait := s.window(now)
	if first || wait <= 0 || len(*s.waiting) >= flushSize {
		s.flushed.Store(int64(now))
		return s.flush(now)
	}
	s.flushAfter(wait)
	return true
}

// window returns how long the flush window still lasts.
func (s *Session) window(now time.Duration) time.Duration {
	return s.config.FlushWindow - (now - time.Duration(s.flushed.Load()))
}

// gather adds all of e to what waits, or returns an error.
func (s *Session) gather(e *core.Event) error {
	b := s.buffer()
	var err error
	*b, err = e.AppendText(*b)
	if len(*b) == headroom { // nothing waits
		s.waiting = nil
		putBuffer(b)
	}
	return err
}

// buffer returns the buffer of what waits, to add more to it.
func (s *Session) buffer() *[]byte {
	if s.waiting == nil {
		s.waiting = getBuffer()
		s.gzip.skip(s.waiting)
	}
	return s.waiting
}

// flush sends what waits, and reports whether the session can continue.
func (s *Session) flush(now time.Duration) bool { return s.push(now, wholeEvents) }

// A content is what a push sends.
type content uint8

const (
	wholeEvents content = iota
	partOfEvent         // the next part follows at once
	heartbeat
)

// push is flush, for what waits.
func (s *Session) push(now time.Duration, what content) bool {
	if s.waiting == nil {
		return true
	}
	s.gzip.compress(s.waiting)
	n := len(*s.waiting) - headroom
	s.sent.Add(int64(n)) // before the client has them, and somebody lists the session
	s.beginSend(now)
	err := s.conn.Send(Frames{*s.waiting})
	s.endSend(what == partOfEvent && err == nil)
	putBuffer(s.waiting)
	s.waiting = nil
	ok := s.written(err)
	if s.config.Counted {
		s.tellPushed(now, n, what)
	}
	return ok
}

// beginSend makes the timer watch a write. When the session has ended, all parts of an
// event together may take as long as one write.
func (s *Session) beginSend(now time.Duration) {
	s.spoke.Store(int64(now))
	if s.sending.Load() != 0 && s.ctx.Err() != nil {
		return
	}
	s.sending.Store(int64(now) + 1)
	if s.ctx.Err() != nil { // the timer may have stopped
		s.hurry()
	}
}

// endSend is called after the write.
func (s *Session) endSend(part bool) {
	if !part || s.ctx.Err() == nil {
		s.sending.Store(0)
	}
}

// flushAfter makes the flusher flush what waits after d. Starting a timer costs more than
// an event, so it is left to fire, and then finds out what there is to do.
func (s *Session) flushAfter(d time.Duration) {
	switch {
	case s.armed:
		return
	case s.flusher == nil:
		s.flusher = time.AfterFunc(d, s.flushWaiting)
	default:
		s.flusher.Reset(d)
	}
	s.armed = true
}

func (s *Session) flushWaiting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.recoverHost()
	s.armed = false
	if s.detached != nil {
		s.detached.wake() // if its stream was handed over
	}
	if s.closed || s.waiting == nil || s.ctx.Err() != nil {
		return
	}
	now := s.now()
	if wait := s.window(now); wait > 0 {
		s.flushAfter(wait)
		return
	}
	s.flushed.Store(int64(now))
	s.flush(now)
}
