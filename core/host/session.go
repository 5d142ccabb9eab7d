package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A Conn is the host's side of a session: where its bytes are sent.
type Conn interface {
	// Send writes all of f and pushes it to the client, or returns an error. The first
	// f may be empty, to push only the headers.
	Send(f Frames) error

	// End ends the response cleanly, unless the host does so when the handler returns.
	// Send is not called after it.
	End() error

	// Abort makes sure that the client sees a broken response, and that a Send or an
	// End that is running returns. It may be called by any goroutine while they run,
	// and more than once, but not after Serve has returned: again after a second or sooner, as
	// long as they have not returned. Other calls do not overlap.
	// After Abort, the result of Send does not matter, and End is not called.
	Abort()
}

const (
	// flushSize is the number of gathered bytes that do not wait for the flush window.
	flushSize = 32 << 10

	// grace is how long a write may take when the session has ended.
	grace = time.Second
)

// A Session is one client's connection, from before the view runs until the stream has
// ended. An adapter makes one with [NewSession], runs the view with its
// [Session.Context], and calls either [Session.Serve] or [Session.Close], once.
//
// A Session does not depend on the handler's goroutine: Serve may be called in another
// one, after the handler has returned, if the Conn outlives the handler. With
// [core.WithDetach], Serve itself arranges that if it can.
type Session struct {
	id         uint64
	config     settings
	request    core.Request
	ctx        context.Context //nolint:containedctx // it ends with the session
	cancel     context.CancelCauseFunc
	stopParent func() bool // stops watching the request's context; nil if it is not watched; see letGo
	farewell   atomic.Pointer[farewell]
	credential *credential // nil if there is no limit to it
	cut        atomic.Pointer[cut]

	conn     Conn          // changed once, by detach, under mu and timerMu
	detached *detachedConn // the same as conn if the session is detached, otherwise nil
	begin    time.Time
	gone     atomic.Bool // nobody reads any more; a cancelled request alone does not prove that

	// mu is held during a frame's write and flush. It guards what follows.
	mu      sync.Mutex
	fresh   int32       // events that no observer was told of yet
	armed   bool        // the flusher will fire
	opened  bool        // the observers know of it, so they are told of its writes
	closed  bool        // nothing more may be written
	failed  bool        // the failure has ended the context
	bare    bool        // see Direct
	waiting *[]byte     // frames that wait to be flushed; nil if none do
	gzip    *gzip       // nil if the response is not compressed
	flusher *time.Timer // flushes what waits, or wakes a session that was handed over; nil until first needed
	outcome *outcome    // how it has failed or ended: read it from here, and change it with remember

	// These are written under mu, and read without.
	events atomic.Int64
	sent   atomic.Int64

	// Times since begin, in ns. They are written under mu, and read without.
	spoke   atomic.Int64 // when anything was last sent, for the heartbeat
	flushed atomic.Int64 // when events were last flushed; starts the flush window
	sending atomic.Int64 // when the Send that is running began, plus one; 0 if none is

	// timerMu guards what follows and request, and is held while the timer aborts. It may be taken
	// while mu is held, never the other way round.
	timerMu sync.Mutex
	timer   *time.Timer   // calls tick; nil before Serve, and if the conn's worker does it
	age     time.Duration // at which the session ends; 0 if never
	begun   bool          // by Serve
	stopped bool
	aborted bool
}

// An outcome is how a session has failed or ended. A session that has done neither has none of
// its own, because errors take more memory than an idle session should.
type outcome struct {
	lost    error // the error of the last write
	failure error // the generator's
	cause   error // what had ended the context when the generator returned; nil if nothing or the failure had
	late    error // what the generator failed with after something else had ended the context
}

// unharmed is the outcome of sessions that have not failed or ended. Nobody changes it.
var unharmed outcome

// remember returns the session's outcome, to change it.
func (s *Session) remember() *outcome {
	if s.outcome == &unharmed {
		s.outcome = new(outcome)
	}
	return s.outcome
}

// lastID is the ID of the newest session.
var lastID atomic.Uint64

// NewSession begins a session on a request. ctx is the request's context, which
// ends when the client leaves. The session keeps r, whose strings must not change, but
// ignores a LastEventID that has a control character or is larger than 1 KiB, and keeps a
// copy of at most 1 KiB of Method and Path.
//
// If ctx ends with the cause [context.Canceled] or [net.ErrClosed], the client has left.
// Any other cause is the session's own, and the response ends cleanly.
//
// The error is a *[core.RefusedError]: the client's credential has expired, a group refuses the
// session, or the event of [core.WithHeartbeatEvent] is not valid. If the Key of a group or
// the function of [core.WithExpiry] panics, so does NewSession.
func NewSession(ctx context.Context, r core.Request, opts ...core.Option) (*Session, error) {
	s := &Session{id: lastID.Add(1), request: r, outcome: &unharmed}
	configure(&s.config, opts)
	keep(&s.request)
	values := ctx
	if s.config.Detach {
		values = valuesOf(ctx)
	}
	s.ctx, s.cancel = context.WithCancelCause(requestContext{values, s})
	if err := s.config.Beats.Err; err != nil {
		return nil, s.refuse(&core.RefusedError{Status: 500, Err: err})
	}
	if err := s.admit(); err != nil {
		return nil, s.refuse(refusal(err))
	}
	if err := s.joinGroups(); err != nil {
		return nil, s.refuse(refusal(err))
	}
	if ctx.Done() != nil {
		s.stopParent = context.AfterFunc(ctx, func() {
			cause := usable(context.Cause(ctx))
			if errors.Is(cause, context.Canceled) || errors.Is(cause, net.ErrClosed) { // of the connection, as with QUIC
				cause = s.whyGone()
			}
			s.end(cause)
		})
	}
	return s, nil
}

// Context returns the context for the view and its generator. It carries the request's
// values and ends with the session.
func (s *Session) Context() context.Context { return s.ctx }

// ClientGone ends the session with [core.ErrClientGone]. It is for hosts whose request
// context does not end when the client leaves. Any goroutine may call it at any time.
func (s *Session) ClientGone() {
	s.gone.Store(true)
	s.end(core.ErrClientGone)
}

// Outlive makes the session continue when the request's context ends. It is for hosts
// whose handler returns before Serve is called.
func (s *Session) Outlive() { s.letGo() }

// Close ends a session whose stream does not begin. why is nil if the view has answered the
// request itself. If it is or wraps a *[core.RefusedError], other than in a
// *[core.StreamError], the adapter refuses the request with that. Close does nothing if Serve
// has been called.
func (s *Session) Close(why error) {
	s.timerMu.Lock()
	begun := s.begun
	s.timerMu.Unlock()
	if begun {
		return
	}
	s.letGo()
	defer s.leaveGroups()
	if refused := refusedBy(why); refused != nil {
		_ = s.refuse(refused)
	}
	s.cancel(nil)
}

// Serve runs the stream to its end and returns the generator's failure, as a
// *[core.StreamError]. It returns nil if the client leaves, or if the session reaches its
// maximum duration or is shut down, even if the generator yields an error after that.
//
// If the generator panics, Serve first ends the session: it breaks the response or sends
// the error event. Then it panics with the same value.
//
// With [core.WithDetach] and a Conn that is a [Detacher], Serve may return nil as soon as
// the response has begun, while the stream continues.
func (s *Session) Serve(conn Conn, stream core.Stream) error {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover() // nil after runtime.Goexit, which continues
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
	if s.outcome.failure != nil {
		return &core.StreamError{Err: s.outcome.failure}
	}
	return nil
}

// Direct tells the session, before Serve, that no middleware can hold the response back,
// so that no comment is needed to find out. Then a response begins with a comment only if
// its method is GET and there are heartbeats: some clients and proxies do not pass a
// response on before its body begins, and pages that GET one wait for it. method is the
// request's.
func (s *Session) Direct(method string) { s.bare = method != "GET" || s.config.Heartbeat <= 0 }

// start begins the response, and reports whether it can continue.
func (s *Session) start(conn Conn) bool {
	s.conn, s.begin = conn, time.Now()
	if s.config.MaxDuration > 0 {
		s.age = s.config.MaxDuration - rand.N(s.config.MaxDuration/10+1) //nolint:gosec // not a secret
	}
	s.mu.Lock() // so that no heartbeat is sent before the observers know of the session
	defer s.mu.Unlock()
	ok := s.greet()
	s.tellOpened()
	return ok
}

// greet sends the headers at once, so that the client knows that it is connected, and with
// them the reconnection time and the comment. The timer runs from here on, to watch this
// write too.
func (s *Session) greet() bool {
	s.startTimer()
	b := s.buffer()
	if s.config.Retry > 0 {
		*b = appendRetry(*b, s.config.Retry)
	}
	if !s.bare {
		*b = s.appendOwn(*b, s.config.Beats.Greeting)
	}
	return s.flush(s.now())
}

// yield is the yield of the stream.
func (s *Session) yield(e core.Event, err error) bool {
	if err != nil && s.answer(err) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		if (err != nil || s.outcome.late != nil) && !s.closed && s.outcome.failure == nil {
			s.remember().late = usable(err)
		}
		return false
	}
	if err == nil {
		s.gzip.remember()
		err = s.gather(&e)
	}
	if err != nil {
		s.fail(err)
		return false
	}
	return s.gathered(1)
}

// open reports whether the stream may continue.
func (s *Session) open() bool { return !s.closed && s.ctx.Err() == nil }

// hurry makes the timer check the write of a session that has ended.
func (s *Session) hurry() {
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.begun && !s.stopped {
		s.setTimer(s.now(), s.patience())
	}
}

// recoverHost is deferred in goroutines that do not run the stream. If the host's writer
// panics there, the session ends, but not the process.
func (s *Session) recoverHost() {
	if v := recover(); v != nil {
		s.sending.Store(0)
		s.lose(fmt.Errorf("host: the writer panicked: %v", v))
		if s.detached != nil {
			s.detached.wake() // if its stream was handed over
		}
	}
}

// end ends the context, with a cause that does not come from the generator. The rest is
// done when the generator has returned.
func (s *Session) end(cause error) {
	s.cancel(cause)
	if s.sending.Load() != 0 { // a write that begins later calls hurry itself
		s.hurry()
	}
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.detached != nil {
		s.detached.wake()
	}
}

// letGo stops watching the request's context.
func (s *Session) letGo() {
	s.timerMu.Lock()
	stop := s.stopParent
	s.stopParent = nil
	s.timerMu.Unlock()
	if stop != nil {
		stop()
	}
}

func (s *Session) now() time.Duration { return time.Since(s.begin) }
