package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is the host's side of a session: where its bytes go.
type Conn interface {
	// Send writes p[Headroom:], which is whole frames, and pushes it to the
	// client: all of it, or an error. p is borrowed until Send returns; its first
	// Headroom bytes, and its capacity, are there for the host to frame it without
	// a copy.
	Send(p []byte) error

	// End ends the response cleanly, as far as that is not left to the handler's
	// return. Send is not called after it.
	End() error

	// Abort makes sure that the client sees a broken response, and that a Send or
	// an End which is under way returns. It may be called by any goroutine while
	// they run, and more than once, but not after Serve has returned. Other calls
	// do not overlap.
	Abort()
}

const (
	// flushSize is how many gathered bytes do not wait for the flush window.
	flushSize = 32 << 10

	// grace is how long a write may last once the session has ended.
	grace = time.Second
)

// What the session sends by itself: the first frame, and comments on a silent
// stream.
const openComment = "open"

var heartbeat = Event{Comment: "heartbeat"}

// A Session is one client's connection, from before the view runs until the
// stream has ended. An adapter makes one with [NewSession], runs the view under
// its [Session.Context], and calls either [Session.Serve] or [Session.Close],
// once.
//
// Nothing in it depends on the handler's goroutine: Serve may be called in
// another, after the handler has returned, if the Conn lives on. With
// [WithDetach], Serve itself sees to that where it can.
type Session struct {
	config

	lastEventID string
	ctx         context.Context //nolint:containedctx // it ends with the session
	cancel      context.CancelCauseFunc
	stopParent  func() bool  // lets go of the request's context; nil if that has no end
	retryAtEnd  atomic.Int64 // the reconnection time that a shutdown gave, in ns

	conn  Conn  // changed once, by detach, under mu and timerMu
	wire  *wire // the same as conn if the session is detached, or nil
	begin time.Time
	gone  atomic.Bool // there is nobody to write to; a cancelled request alone does not say so

	// mu is held over a frame's write and flush. It guards what follows.
	mu      sync.Mutex
	waiting *[]byte     // frames that wait to be flushed; nil if none do
	flusher *time.Timer // flushes what waits, or wakes who was handed over; nil until something has to
	armed   bool        // the flusher will fire
	closed  bool        // nothing may be written any more
	lost    error       // what the last write failed with
	failure error       // the generator's
	late    error       // what it failed with once the context had ended
	events  int
	sent    int64

	// Two times since begin, in ns. Written under mu, read by tick without it.
	flushed atomic.Int64 // when the last flush began
	sending atomic.Int64 // when the Send that is under way began, plus one; 0 if none is

	// timerMu guards what follows, and is held while the timer aborts. It may be
	// taken under mu, never the other way about.
	timerMu sync.Mutex
	timer   *time.Timer // see tick; nil before Serve
	age     time.Duration
	stopped bool
}

// NewSession begins a session on a request. ctx is the request's context, which
// ends when the client leaves; lastEventID is the value of its Last-Event-ID
// header. An ID with a control character, or of over 1 KiB, counts as none.
//
// The error is a *[RefusedError]: a group is full or shuts down.
func NewSession(ctx context.Context, lastEventID string, opts ...Option) (*Session, error) {
	s := &Session{config: newConfig(opts), lastEventID: cleanID(lastEventID)}
	values := ctx
	if s.config.detach {
		values = valuesOf(ctx)
	}
	s.ctx, s.cancel = context.WithCancelCause(requestContext{values, s})
	for i, g := range s.groups {
		if err := g.join(s); err != nil {
			s.groups = s.groups[:i]
			s.cancel(err)
			s.leave()
			return nil, refusal(err)
		}
	}
	if ctx.Done() != nil {
		s.stopParent = context.AfterFunc(ctx, func() {
			cause := context.Cause(ctx)
			if errors.Is(cause, context.Canceled) {
				cause = ErrClientGone
			}
			s.end(cause)
		})
	}
	return s, nil
}

// Context returns the context that the view and its generator are to see. It
// carries the request's values and ends with the session.
func (s *Session) Context() context.Context { return s.ctx }

// ClientGone ends the session with [ErrClientGone]. It is for hosts whose request
// context does not end when the client leaves. It may be called by any goroutine,
// at any time.
func (s *Session) ClientGone() {
	s.gone.Store(true)
	s.end(ErrClientGone)
}

// Outlive has the session go on when the request's context ends. It is for hosts
// whose handler returns before Serve is called.
func (s *Session) Outlive() {
	s.letGo()
	s.stopParent = nil
}

// Close ends a session whose view has answered by itself.
func (s *Session) Close() {
	s.letGo()
	s.cancel(nil)
	s.leave()
}

// Serve runs the stream to its end and returns the generator's failure. That the
// client leaves, that the session reaches its age or is shut down is none: then
// it returns nil, and so it does whatever the generator yields as an error after
// its context has ended.
//
// A panic of the generator's goes on when the session is in order. The response
// has been broken then, or been given its error event.
//
// With [WithDetach] and a Conn that is a [Detacher], Serve may return nil as soon
// as the response has begun, and the stream goes on without it.
func (s *Session) Serve(conn Conn, stream Stream) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover() // nil after runtime.Goexit, which goes on by itself
		s.mu.Lock()
		s.failure = &PanicError{Value: v}
		s.mu.Unlock()
		s.finish()
		if v != nil {
			panic(v)
		}
	}()
	if s.start(conn) && stream != nil {
		if s.detach(conn) {
			returned = true
			go s.run(stream)
			return nil
		}
		stream(s.yield)
	}
	returned = true
	s.finish()
	if _, ok := s.failure.(*RefusedError); ok { //nolint:errorlint // the very one would pass for a refusal
		return fmt.Errorf("core: stream: %w", s.failure)
	}
	return s.failure
}

// start begins the response, and reports whether it can go on.
func (s *Session) start(conn Conn) bool {
	s.conn, s.begin = conn, time.Now()
	if s.maxAge > 0 {
		s.age = s.maxAge - rand.N(s.maxAge/10+1) //nolint:gosec // not a secret
	}
	ok := s.greet()
	if s.observer.Opened != nil {
		s.observer.Opened(s.ctx)
	}
	return ok
}

// greet sends the first frame at once, so that the client knows that it is
// connected and a proxy forwards the headers. The timer runs from here on, to
// watch this write too, but finds the lock taken, so that no heartbeat comes first.
func (s *Session) greet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timerMu.Lock()
	s.timer = time.AfterFunc(s.due(0), s.tick)
	s.timerMu.Unlock()
	return s.send(Event{Comment: openComment, Retry: s.retry})
}

// yield takes one element of the stream.
func (s *Session) yield(e Event, err error) bool {
	if err != nil && s.asked(err) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		if !s.closed && s.failure == nil {
			s.late = err
		}
		return false
	}
	if err == nil {
		err = s.gather(&e)
	}
	if err != nil {
		s.failure = err
		return false
	}
	return s.gathered(1)
}

// open reports whether the stream may go on.
func (s *Session) open() bool {
	return !s.closed && s.failure == nil && s.ctx.Err() == nil
}

// gathered sends what waits, now or when the flush window ends. n events have
// been added to it.
func (s *Session) gathered(n int) bool {
	first := s.events == 0
	s.events += n
	now := s.now()
	wait := s.flushWindow - (now - time.Duration(s.flushed.Load()))
	if first || wait <= 0 || len(*s.waiting) >= flushSize {
		return s.flush(now)
	}
	s.flushAfter(wait)
	return true
}

// gather adds e to what waits, or nothing of it.
func (s *Session) gather(e *Event) error {
	b := s.buffer()
	var err error
	*b, err = e.appendTo(*b)
	return err
}

// buffer returns what waits, for more to be added.
func (s *Session) buffer() *[]byte {
	if s.waiting == nil {
		s.waiting = getBuffer()
	}
	return s.waiting
}

// flush sends what waits, and reports whether the session can go on.
func (s *Session) flush(now time.Duration) bool {
	if s.waiting == nil {
		return true
	}
	s.flushed.Store(int64(now))
	s.sending.Store(int64(now) + 1)
	err := s.conn.Send(*s.waiting)
	s.sending.Store(0)
	s.sent += int64(len(*s.waiting) - Headroom)
	putBuffer(s.waiting)
	s.waiting = nil
	return s.written(err)
}

// written takes note of what came of a write.
func (s *Session) written(err error) bool {
	s.lost = err
	switch {
	case err == nil:
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.cancel(ErrSlowClient)
	default:
		s.cancel(ErrClientGone)
	}
	return false
}

// send flushes an event of the session's own.
func (s *Session) send(e Event) bool {
	return s.gather(&e) == nil && s.flush(s.now())
}

// flushAfter has what waits flushed after d. To arm a timer costs more than an
// event does, so it is left to fire, and looks then what is to be done.
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
	if s.wire != nil {
		s.wire.wake() // if its stream was handed over
	}
	if s.closed || s.waiting == nil || s.ctx.Err() != nil {
		return
	}
	now := s.now()
	if wait := s.flushWindow - (now - time.Duration(s.flushed.Load())); wait > 0 {
		s.flushAfter(wait)
		return
	}
	s.flush(now)
}

// recoverHost keeps a panic of a host's writer, in a goroutine that is not the
// stream's, from ending the process: the session ends instead.
func (s *Session) recoverHost() {
	if recover() != nil {
		s.sending.Store(0)
		s.lost = ErrClientGone
		s.cancel(ErrClientGone)
		if s.wire != nil {
			s.wire.wake() // if its stream was handed over
		}
	}
}

// end ends the session for a reason of its own or of its host's. The generator's
// context ends; the rest is done when the generator has returned.
func (s *Session) end(cause error) {
	s.cancel(cause)
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer != nil && !s.stopped {
		s.timer.Reset(grace) // for a write that is under way
	}
	if s.wire != nil {
		s.wire.wake()
	}
}

// shutdown ends the session and tells its client when to come back.
func (s *Session) shutdown(retry time.Duration) {
	s.retryAtEnd.Store(int64(retry))
	s.end(ErrShutdown)
}

// finish ends the response when the generator is done, and gives back all that
// the session holds.
func (s *Session) finish() {
	broken := true // also if the error event's function panics
	defer func() { s.release(broken) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	broken = s.conclude()
}

// conclude writes the last frames and the response's end. It reports whether the
// response must be broken instead, for nobody should take half an answer for a
// whole one.
func (s *Session) conclude() (broken bool) {
	switch cause := context.Cause(s.ctx); {
	case s.lost != nil, s.gone.Load(), errors.Is(cause, ErrSlowClient):
		return false
	case s.failure == nil:
		if retry := s.retryAtEnd.Load(); retry > 0 && errors.Is(cause, ErrShutdown) {
			_ = s.gather(&Event{Retry: time.Duration(retry)}) // nothing in it can be wrong
		}
	case s.errorEvent == nil:
		broken = true
	default:
		e := s.errorEvent(s.failure)
		broken = s.gather(&e) != nil
	}
	now := s.now()
	if s.flush(now) && !broken {
		s.sending.Store(int64(now) + 1)
		err := s.conn.End()
		s.sending.Store(0)
		s.written(err)
	}
	return broken
}

func (s *Session) release(broken bool) {
	defer s.leave()
	// First, for to abort may end the request's context, as if the client had left.
	s.letGo()
	end := Summary{Cause: context.Cause(s.ctx), Err: s.failure}
	s.cancel(s.failure)

	s.timerMu.Lock()
	s.stopped = true
	s.timer.Stop()
	if broken {
		s.conn.Abort()
	}
	s.timerMu.Unlock()
	if s.flusher != nil {
		s.flusher.Stop()
	}
	if s.wire != nil {
		s.wire.hangUp()
	}

	end.Events, end.Bytes, end.Duration = s.events, s.sent, s.now()
	if end.Err == nil && s.late != nil && !errors.Is(s.late, context.Canceled) && !errors.Is(s.late, end.Cause) {
		end.Err = s.late
	}
	if s.observer.Closed != nil {
		s.observer.Closed(s.ctx, end)
	}
}

func (s *Session) letGo() {
	if s.stopParent != nil {
		s.stopParent()
	}
}

func (s *Session) leave() {
	for _, g := range s.groups {
		g.leave(s)
	}
}

func (s *Session) now() time.Duration { return time.Since(s.begin) }
