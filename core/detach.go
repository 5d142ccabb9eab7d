package core

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
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

// linger is how long a client may take to close its side of a connection that has
// ended. To close ours sooner could destroy what is still under way to it.
const linger = 500 * time.Millisecond

// A wire is the connection of a detached session. It is the session's Conn, so
// that a stream is written as ever, and the member of a writer's queue if the
// stream was handed over.
type wire struct {
	net.Conn

	session *Session
	report  func(error)

	raw       syscall.RawConn // nil if the poller does not watch it
	fd        int
	heard     int         // bytes of input; it belongs to who reads
	lingering atomic.Bool // it is closed when the client has closed it
	closed    atomic.Bool

	handed
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
	s.letGo() // of the request's context, which ends when the handler returns
	s.stopParent = nil
	w := &wire{Conn: c, session: s, report: report}
	s.timerMu.Lock()
	s.conn, s.wire = w, w
	s.timerMu.Unlock()
	if !w.poll() {
		go w.read()
	}
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
			s.mu.Lock()
			s.failure = err
			s.mu.Unlock()
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
func (w *wire) Send(p []byte) error {
	_, err := w.Write(chunk(p))
	return err
}

// chunk makes a chunk of p[Headroom:]. Its size goes in front, and its line end
// behind, so that it is one write without a copy.
func chunk(p []byte) []byte {
	var line [Headroom]byte
	size := append(strconv.AppendInt(line[:0], int64(len(p)-Headroom), 16), "\r\n"...)
	begin := Headroom - len(size)
	copy(p[begin:], size)
	return append(p, "\r\n"...)[begin:]
}

// End implements Conn.
func (w *wire) End() error {
	_, err := w.Write([]byte("0\r\n\r\n"))
	return err
}

// Abort implements Conn. What is broken is broken by hangUp, which sends no last
// chunk.
func (w *wire) Abort() { _ = w.SetWriteDeadline(time.Unix(1, 0)) }

// bottom is the connection without TLS.
func (w *wire) bottom() net.Conn {
	if c, ok := w.Conn.(*tls.Conn); ok {
		return c.NetConn()
	}
	return w.Conn
}

// hangUp closes the connection of a session that has ended, at once if its client
// has gone or does not read. Otherwise it waits until the client has closed it too.
func (w *wire) hangUp(cause error) {
	s := w.session
	if errors.Is(cause, ErrSlowClient) {
		if c, ok := w.bottom().(*net.TCPConn); ok {
			_ = c.SetLinger(0) // so that the kernel does not keep what the client has not read
		}
	}
	if s.lost || s.gone.Load() || errors.Is(cause, ErrSlowClient) {
		w.close()
		return
	}
	w.lingering.Store(true)
	for _, c := range []net.Conn{w.Conn, w.bottom()} {
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
	time.AfterFunc(linger, w.close)
}

// left is called when the client has closed its side.
func (w *wire) left() {
	if w.lingering.Load() {
		w.close()
	} else {
		w.session.ClientGone()
	}
}

// close may be called more than once.
func (w *wire) close() {
	if w.closed.Swap(true) {
		return
	}
	w.unpoll()
	_ = w.bottom().Close()
}

// mostHeard is how many bytes of input are read and dropped. A client has nothing
// to say while the stream lasts; one that says more is not watched any more.
const mostHeard = 64 << 10

// read notices that the client leaves, where there is no poller to do it.
func (w *wire) read() {
	var buf [64]byte
	for w.heard < mostHeard {
		n, err := w.Read(buf[:])
		if err != nil {
			w.left()
			return
		}
		w.heard += n
	}
}
