package core

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
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
// whether it was made with [WithDetach], and the request's context has no deadline,
// which would be lost.
func (s *Session) Detaches() bool {
	_, deadline := s.ctx.Deadline()
	return s.config.detach && !deadline
}

// A wire is the connection of a detached session. It is the session's Conn, so
// that a stream is written as ever, and stands in a writer's queue if the stream was
// handed over.
type wire struct {
	socket // the line, if that is plain; below TLS only its fd counts
	handed

	session   *Session
	report    func(error)
	line      line
	waits     bool         // the line's try waits for the client
	listening bool         // the poller has started listenOn
	hungUp    atomic.Bool  // the poller has seen that nothing goes through any more
	heard     atomic.Int32 // bytes of input
	lingering atomic.Bool  // it is closed when the client has closed it
}

// A line is what a wire goes through. Its methods may be called by any goroutine,
// but for one Write or try at a time.
type line interface {
	Write(p []byte) (int, error) // all of p, or an error
	try(p []byte) (int, error)   // what there is room for, or an error
	interrupt()                  // has both return with os.ErrDeadlineExceeded, now and later
	closeWrite()                 // tells the client that nothing more will come
	close(drop bool)             // forgets what is under way if drop; once
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
	if !w.takeSocket(c) {
		w.waits = true
		if !w.watchSocket(c) {
			w.line = netLine{c}
			go w.listenOn(c)
		}
	}
	s.timerMu.Lock()
	s.conn, s.wire = w, w
	s.timerMu.Unlock()
	return true
}

// run is a goroutine of a detached session. It runs the stream and ends the
// session, or leaves it to a writer if the stream was handed over.
func (s *Session) run(stream Stream) {
	defer func() { // of a function of the application's that is called at the end
		if v := recover(); v != nil {
			s.wire.report(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	s.wire.stream = stream
	s.play(stream)
}

func (s *Session) play(stream Stream) {
	returned := false
	defer func() {
		if !returned {
			err := &PanicError{Value: recover(), Stack: debug.Stack()} // nil after runtime.Goexit, which goes on by itself
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
func (w *wire) Abort() { w.line.interrupt() }

// hangUp closes the connection of a session that has ended: at once if its client
// has gone or does not read, and otherwise when the client has closed it too.
func (w *wire) hangUp() {
	s := w.session
	slow := s.aborted || errors.Is(s.lost, os.ErrDeadlineExceeded)
	if slow || s.lost != nil || s.gone.Load() { // if slow, the kernel is not to keep what it has not read
		w.line.close(slow)
		return
	}
	w.lingering.Store(true)
	w.line.closeWrite()
	theLobby.enter(w)
}

// part closes a connection that was left to its client to close.
func (w *wire) part() {
	if w.lingering.CompareAndSwap(true, false) {
		w.line.close(false)
	}
}

// left is called when the client has closed its side.
func (w *wire) left() {
	w.part()
	w.session.ClientGone() // which means nothing to one that has ended
}

// mostHeard is how many bytes of input are read and dropped. A client has nothing
// to say while the stream lasts; one that says more is not watched any more.
const mostHeard = 64 << 10

// A netLine is a connection of the net package's, or of a host's.
type netLine struct{ net.Conn }

func (l netLine) try(p []byte) (int, error) { return l.Write(p) }

func (l netLine) interrupt() { _ = l.SetWriteDeadline(time.Unix(1, 0)) }

// withoutTLS is the connection below TLS, whose own end might have to be waited for.
func withoutTLS(c net.Conn) net.Conn {
	if c, ok := c.(*tls.Conn); ok {
		return c.NetConn()
	}
	return c
}

func (l netLine) closeWrite() { closeWrite(l.Conn) }

func (l netLine) close(drop bool) {
	if drop {
		Reset(l.Conn)
	}
	_ = withoutTLS(l.Conn).Close()
}

// listenOn notices that the client leaves, where no poller does by itself.
func (w *wire) listenOn(c net.Conn) {
	var buf [64]byte
	for w.heard.Load() < mostHeard {
		n, err := c.Read(buf[:])
		if err != nil {
			w.left()
			return
		}
		w.heard.Add(int32(n)) //nolint:gosec // it fits
	}
	if w.hungUp.Load() {
		w.left()
	}
}
