package host

import (
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// A Detacher is a Conn whose connection a session can take from its host. Its response
// is sent in chunks of HTTP/1.1.
type Detacher interface {
	Conn

	// Detach takes the connection from the host for good, or reports false if that is
	// not possible. It is called at most once, after the first Send. If it reports true,
	// the Conn is not used again, and report is called with the stream's failure. It
	// should hold as little memory as possible, because it lives as long as the session.
	Detach() (conn net.Conn, report func(error), ok bool)
}

// Detaches reports whether the session wants to be detached, if its Conn can be: it was
// made with [core.WithDetach], and the request's context has no deadline, which would be
// lost.
func (s *Session) Detaches() bool {
	_, deadline := s.ctx.Deadline()
	return s.config.Detach && !deadline
}

// A detachedConn is the Conn of a detached session. If the stream was handed over, it is
// also what stands in a worker's queue.
type detachedConn struct {
	handed

	conn      netpoll.Conn
	session   *Session
	report    func(error)
	waits     bool        // TryWrite may block
	lingering atomic.Bool // closed on our side, until the client closes its side
}

// detach takes the connection from the host, if that is possible.
func (s *Session) detach(conn Conn) bool {
	d, ok := conn.(Detacher)
	if !ok || !s.Detaches() {
		return false
	}
	s.mu.Lock() // so that no heartbeat is sent now
	defer s.mu.Unlock()
	from, report, ok := d.Detach()
	if !ok {
		return false
	}
	s.Outlive() // the request's context, which ends when the handler returns
	c := &detachedConn{session: s, report: report}
	c.waits = c.conn.Adopt(from, c)
	c.conn.KeepUnsent(8 * pieceSize) // with less, a generator at full speed wakes up more often; see begin
	s.timerMu.Lock()
	s.conn, s.detached = c, c
	s.timerMu.Unlock()
	return true
}

// run is the goroutine of a detached session. It runs the stream, and then ends the
// session or, if the stream was handed over, leaves it to a worker. It is one function, because
// one call more would make the stack of a generator larger than 2 KiB.
func (s *Session) run(stream core.Stream) {
	returned := false
	defer func() { // a function of the application that is called at the end may panic
		if v := recover(); v != nil {
			s.detached.report(&core.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	defer func() {
		if !returned {
			err := &core.PanicError{Value: recover(), Stack: debug.Stack()} // nil after runtime.Goexit
			s.panicked(err)
		}
		if s.detached.begin() {
			return
		}
		s.finish()
		if s.outcome.failure != nil {
			s.detached.report(s.outcome.failure)
		}
	}()
	s.detached.stream = stream
	stream(s.yield)
	returned = true
}

// Send implements Conn.
func (c *detachedConn) Send(f Frames) error {
	_, err := c.conn.Write(f.Chunk())
	return err
}

// End implements Conn.
func (c *detachedConn) End() error {
	_, err := c.conn.Write([]byte(LastChunk))
	return err
}

// Abort implements Conn. It only ends writes: the response is broken because hangUp
// sends no last chunk.
func (c *detachedConn) Abort() { c.conn.Interrupt() }

// hangUp closes the connection of a session that has ended: at once if the client has
// gone or does not read, and otherwise when the client has closed its side too.
func (c *detachedConn) hangUp() {
	s := c.session
	slow := s.aborted || errors.Is(s.outcome.lost, os.ErrDeadlineExceeded)
	if slow || s.outcome.lost != nil || s.gone.Load() { // if slow, the kernel must not keep what the client has not read
		c.conn.Close(slow)
		return
	}
	c.lingering.Store(true)
	c.conn.CloseWrite()
	theLobby.enter(c)
}

// stopLingering closes a connection that lingers.
func (c *detachedConn) stopLingering() {
	if c.lingering.CompareAndSwap(true, false) {
		c.conn.Close(false)
	}
}

// Left implements [netpoll.Handler].
func (c *detachedConn) Left() {
	c.stopLingering()
	c.session.ClientGone() // does nothing if the session has ended
}

// Room implements [netpoll.Handler].
func (c *detachedConn) Room() bool { return c.session.sending.Load() == 0 || c.wake() }
