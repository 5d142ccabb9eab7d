package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A Conn is the host's side of a session: where its bytes go.
type Conn interface {
	// Send writes f and pushes it to the client: all of it, or an error. The first f
	// may be empty, to push the headers alone.
	Send(f Frames) error

	// End ends the response cleanly, as far as that is not left to the handler's
	// return. Send is not called after it.
	End() error

	// Abort makes sure that the client sees a broken response, and that a Send or
	// an End which is under way returns. It may be called by any goroutine while
	// they run, and more than once, but not after Serve has returned. Other calls
	// do not overlap. After Abort there is no Send that matters, and no End.
	Abort()
}

const (
	// flushSize is how many gathered bytes do not wait for the flush window.
	flushSize = 32 << 10

	// grace is how long a write may last once the session has ended.
	grace = time.Second
)

// A Session is one client's connection, from before the view runs until the
// stream has ended. An adapter makes one with [NewSession], runs the view under
// its [Session.Context], and calls either [Session.Serve] or [Session.Close],
// once.
//
// Nothing in it depends on the handler's goroutine: Serve may be called in
// another, after the handler has returned, if the Conn lives on. With
// [core.WithDetach], Serve itself sees to that where it can.
type Session struct {
	config      settings
	lastEventID string
	ctx         context.Context //nolint:containedctx // it ends with the session
	cancel      context.CancelCauseFunc
	stopParent  func() bool  // lets go of the request's context; nil if that has no end, or has been let go of; see letGo
	retryAtEnd  atomic.Int64 // the reconnection time that a shutdown gave, in ns
	cut         atomic.Pointer[cut]

	conn     Conn          // changed once, by detach, under mu and timerMu
	detached *detachedConn // the same as conn if the session is detached, or nil
	begin    time.Time
	gone     atomic.Bool // there is nobody to write to; a cancelled request alone does not say so

	// mu is held over a frame's write and flush. It guards what follows.
	mu      sync.Mutex
	armed   bool          // the flusher will fire
	closed  bool          // nothing may be written any more
	failed  bool          // the failure has ended the context
	bare    bool          // see Direct
	waiting *[]byte       // frames that wait to be flushed; nil if none do
	flusher *time.Timer   // flushes what waits, or wakes who was handed over; nil until something has to
	flushed time.Duration // when events were last flushed, since begin: the flush window
	lost    error         // what the last write failed with
	failure error         // the generator's
	cause   error         // what had ended the context when the generator was done; nil if nothing or the failure had
	late    error         // what the generator failed with once something else had ended the context
	events  int
	sent    int64

	// Two times since begin, in ns. Written under mu, read by tick without it.
	spoke   atomic.Int64 // when anything was last sent: the heartbeat
	sending atomic.Int64 // when the Send that is under way began, plus one; 0 if none is

	// timerMu guards what follows, and is held while the timer aborts. It may be
	// taken under mu, never the other way about.
	timerMu sync.Mutex
	timer   *time.Timer // see tick; nil before Serve
	age     time.Duration
	stopped bool
	aborted bool
}

// NewSession begins a session on a request. ctx is the request's context, which
// ends when the client leaves; lastEventID is the value of its Last-Event-ID
// header. An ID with a control character, or of over 1 KiB, counts as none.
//
// The error is a *[core.RefusedError]: a group is full or shuts down, or
// [core.WithHeartbeatEvent] has been given what cannot be one.
func NewSession(ctx context.Context, lastEventID string, opts ...core.Option) (*Session, error) {
	s := &Session{config: newSettings(opts), lastEventID: cleanID(lastEventID)}
	if err := s.config.Beats.Err; err != nil {
		return nil, &core.RefusedError{Status: 500, Err: err}
	}
	values := ctx
	if s.config.Detach {
		values = valuesOf(ctx)
	}
	s.ctx, s.cancel = context.WithCancelCause(requestContext{values, s})
	for i, g := range s.config.Groups {
		if err := g.Join((*member)(s)); err != nil {
			s.config.Groups = s.config.Groups[:i]
			s.cancel(err)
			s.leaveGroups()
			return nil, refusal(err)
		}
	}
	if ctx.Done() != nil {
		s.stopParent = context.AfterFunc(ctx, func() {
			cause := context.Cause(ctx)
			if errors.Is(cause, context.Canceled) {
				cause = s.whyGone()
			}
			s.end(cause)
		})
	}
	return s, nil
}

// Context returns the context that the view and its generator are to see. It
// carries the request's values and ends with the session.
func (s *Session) Context() context.Context { return s.ctx }

// ClientGone ends the session with [core.ErrClientGone]. It is for hosts whose request
// context does not end when the client leaves. It may be called by any goroutine,
// at any time.
func (s *Session) ClientGone() {
	s.gone.Store(true)
	s.end(core.ErrClientGone)
}

// Outlive has the session go on when the request's context ends. It is for hosts
// whose handler returns before Serve is called.
func (s *Session) Outlive() { s.letGo() }

// Close ends a session whose view has answered by itself. It does nothing when Serve
// has been called.
func (s *Session) Close() {
	s.timerMu.Lock()
	begun := s.timer != nil
	s.timerMu.Unlock()
	if begun {
		return
	}
	s.letGo()
	s.cancel(nil)
	s.leaveGroups()
}

// Serve runs the stream to its end and returns the generator's failure, as a
// *[core.StreamError]. It returns nil if the client leaves, if the session reaches its
// age or is shut down, and whatever the generator yields as an error after its context
// has ended.
//
// A panic of the generator's goes on when the session is in order. The response
// has been broken then, or been given its error event.
//
// With [core.WithDetach] and a Conn that is a [Detacher], Serve may return nil as soon
// as the response has begun, and the stream goes on without it.
func (s *Session) Serve(conn Conn, stream core.Stream) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover() // nil after runtime.Goexit, which goes on by itself
		s.panicked(&core.PanicError{Value: v})
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
	if s.failure != nil {
		return &core.StreamError{Err: s.failure}
	}
	return nil
}

// Direct tells the session, before Serve, that nothing between it and the client may hold
// the headers back, so that no comment is needed to find out. Then only a response to
// GET begins with one, and only if there are heartbeats: some clients and proxies keep a
// response to themselves until its body begins, and pages that GET wait for it. method is
// the request's.
func (s *Session) Direct(method string) { s.bare = method != "GET" || s.config.Heartbeat <= 0 }

// start begins the response, and reports whether it can go on.
func (s *Session) start(conn Conn) bool {
	s.conn, s.begin = conn, time.Now()
	if s.config.MaxDuration > 0 {
		s.age = s.config.MaxDuration - rand.N(s.config.MaxDuration/10+1) //nolint:gosec // not a secret
	}
	ok := s.greet()
	if s.config.Observer.Opened != nil {
		s.config.Observer.Opened(s.ctx)
	}
	return ok
}

// greet sends the headers at once, so that the client knows that it is connected, and
// what else there is to say. The timer runs from here on, to watch this write too,
// but finds the lock taken, so that no heartbeat comes first.
func (s *Session) greet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timerMu.Lock()
	s.timer = time.AfterFunc(s.due(0), s.tick)
	s.timerMu.Unlock()
	b := s.buffer()
	if s.config.Retry > 0 {
		*b = appendRetry(*b, s.config.Retry)
	}
	if !s.bare {
		*b = s.appendOwn(*b, s.config.Beats.Greeting)
	}
	return s.flush(s.now())
}

// yield takes one element of the stream.
func (s *Session) yield(e core.Event, err error) bool {
	if err != nil && s.answer(err) {
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
		s.fail(err)
		return false
	}
	return s.gathered(1)
}

// open reports whether the stream may go on.
func (s *Session) open() bool { return !s.closed && s.ctx.Err() == nil }

// gathered sends what waits, now or when the flush window ends. n events have
// been added to it.
func (s *Session) gathered(n int) bool {
	first := s.events == 0
	s.events += n
	now := s.now()
	wait := s.window(now)
	if first || wait <= 0 || len(*s.waiting) >= flushSize {
		s.flushed = now
		return s.flush(now)
	}
	s.flushAfter(wait)
	return true
}

// window is how long events still wait for each other.
func (s *Session) window(now time.Duration) time.Duration {
	return s.config.FlushWindow - (now - s.flushed)
}

// gather adds e to what waits, or nothing of it.
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

// buffer returns what waits, for more to be added.
func (s *Session) buffer() *[]byte {
	if s.waiting == nil {
		s.waiting = getBuffer()
	}
	return s.waiting
}

// flush sends what waits, and reports whether the session can go on.
func (s *Session) flush(now time.Duration) bool { return s.push(now, false) }

// push is flush. If what waits is a part of an event, the next one follows at once.
func (s *Session) push(now time.Duration, part bool) bool {
	if s.waiting == nil {
		return true
	}
	s.beginSend(now)
	err := s.conn.Send(Frames{*s.waiting})
	s.endSend(part && err == nil)
	s.sent += int64(len(*s.waiting) - headroom)
	putBuffer(s.waiting)
	s.waiting = nil
	return s.written(err)
}

// beginSend has the timer watch over a write. When the session has ended, all
// parts of an event have the time of one write.
func (s *Session) beginSend(now time.Duration) {
	s.spoke.Store(int64(now))
	if s.sending.Load() != 0 && s.ctx.Err() != nil {
		return
	}
	s.sending.Store(int64(now) + 1)
	if s.ctx.Err() != nil { // the timer may not run any more
		s.hurry()
	}
}

// endSend is called after the write.
func (s *Session) endSend(part bool) {
	if !part || s.ctx.Err() == nil {
		s.sending.Store(0)
	}
}

// hurry has the timer look soon at a write of a session that has ended.
func (s *Session) hurry() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer != nil && !s.stopped {
		s.timer.Reset(s.patience())
	}
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
	s.flushed = now
	s.flush(now)
}

// recoverHost keeps a panic of a host's writer, in a goroutine that is not the
// stream's, from ending the process: the session ends instead.
func (s *Session) recoverHost() {
	if v := recover(); v != nil {
		s.sending.Store(0)
		s.lost = fmt.Errorf("host: the writer panicked: %v", v)
		s.cancel(s.lost)
		if s.detached != nil {
			s.detached.wake() // if its stream was handed over
		}
	}
}

// end ends the session for a reason of its own or of its host's. The generator's
// context ends; the rest is done when the generator has returned.
func (s *Session) end(cause error) {
	s.cancel(cause)
	if s.sending.Load() != 0 { // one that begins later looks by itself
		s.hurry()
	}
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.detached != nil {
		s.detached.wake()
	}
}

// letGo lets go of the request's context.
func (s *Session) letGo() {
	s.timerMu.Lock()
	stop := s.stopParent
	s.stopParent = nil
	s.timerMu.Unlock()
	if stop != nil {
		stop()
	}
}

func (s *Session) leaveGroups() {
	for _, g := range s.config.Groups {
		g.Leave((*member)(s))
	}
}

func (s *Session) now() time.Duration { return time.Since(s.begin) }
