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

// A Detacher is a Conn whose connection the session can take from its host. It
// serves responses of HTTP/1.1 in chunks.
type Detacher interface {
	Conn

	// Detach takes the connection from the host for good, or reports that this
	// cannot be done. It is called once, after the first Send, if at all; the Conn is
	// not used after it has said yes. Then report is what the stream's failure is told
	// to. It should hold on to as little as it can, since it lives as long as the
	// session.
	Detach() (conn net.Conn, report func(error), ok bool)
}

// Detaches reports whether the session is to be detached if its Conn can be:
// whether it was made with [core.WithDetach], and the request's context has no deadline,
// which would be lost.
func (s *Session) Detaches() bool {
	_, deadline := s.ctx.Deadline()
	return s.config.Detach && !deadline
}

// A wire is the connection of a detached session. It is the session's Conn, so
// that a stream is written as ever, and stands in a writer's queue if the stream was
// handed over.
type wire struct {
	handed

	line      netpoll.Conn
	session   *Session
	report    func(error)
	waits     bool        // the line's TryWrite waits for the client
	lingering atomic.Bool // it is closed when the client has closed it
}

// detach takes the connection from the host, if that can be done.
func (s *Session) detach(conn Conn) bool {
	d, ok := conn.(Detacher)
	if !ok || !s.Detaches() {
		return false
	}
	s.mu.Lock() // no heartbeat comes between
	defer s.mu.Unlock()
	c, report, ok := d.Detach()
	if !ok {
		return false
	}
	s.Outlive() // the request's context, which ends when the handler returns
	w := &wire{session: s, report: report}
	w.waits = w.line.Take(c, w)
	w.line.KeepUnsent(8 * pieceSize) // less costs a generator at full speed more wake-ups; see begin
	s.timerMu.Lock()
	s.conn, s.wire = w, w
	s.timerMu.Unlock()
	return true
}

// run is a goroutine of a detached session. It runs the stream and ends the
// session, or leaves it to a writer if the stream was handed over.
func (s *Session) run(stream core.Stream) {
	defer func() { // of a function of the application's that is called at the end
		if v := recover(); v != nil {
			s.wire.report(&core.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	s.wire.stream = stream
	s.play(stream)
}

func (s *Session) play(stream core.Stream) {
	returned := false
	defer func() {
		if !returned {
			err := &core.PanicError{Value: recover(), Stack: debug.Stack()} // nil after runtime.Goexit, which goes on by itself
			s.panicked(err)
		}
		if s.wire.begin() {
			return
		}
		s.finish()
		if s.failure != nil {
			s.wire.report(s.failure)
		}
	}()
	stream(s.yield)
	returned = true
}

// Send implements Conn.
func (w *wire) Send(f Frames) error {
	_, err := w.line.Write(f.Chunk())
	return err
}

// End implements Conn.
func (w *wire) End() error {
	_, err := w.line.Write([]byte(LastChunk))
	return err
}

// Abort implements Conn. What is broken is broken by hangUp, which sends no last
// chunk.
func (w *wire) Abort() { w.line.Interrupt() }

// hangUp closes the connection of a session that has ended: at once if its client
// has gone or does not read, and otherwise when the client has closed it too.
func (w *wire) hangUp() {
	s := w.session
	slow := s.aborted || errors.Is(s.lost, os.ErrDeadlineExceeded)
	if slow || s.lost != nil || s.gone.Load() { // if slow, the kernel is not to keep what it has not read
		w.line.Close(slow)
		return
	}
	w.lingering.Store(true)
	w.line.CloseWrite()
	theLobby.enter(w)
}

// part closes a connection that was left to its client to close.
func (w *wire) part() {
	if w.lingering.CompareAndSwap(true, false) {
		w.line.Close(false)
	}
}

// Left implements [netpoll.Handler].
func (w *wire) Left() {
	w.part()
	w.session.ClientGone() // which means nothing to one that has ended
}

// Room implements [netpoll.Handler].
func (w *wire) Room() bool { return w.session.sending.Load() == 0 || w.wake() }
