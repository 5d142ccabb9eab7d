package core

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// A socket is a line that is a plain connection, without what the net package adds
// to it: that is a kilobyte, and the session has its own poller and deadlines.
type socket struct {
	fd int

	mu     sync.Mutex // held over each call for fd, so that it is not closed meanwhile
	room   chan struct{}
	broken bool
	closed bool
}

// takeSocket takes the connection from the net package, if it is plain, and has
// the poller watch it.
func (w *wire) takeSocket(c net.Conn) bool {
	var err error
	if !control(c, func(fd uintptr) { err = w.socket.dup(fd) }) || err != nil {
		return false
	}
	w.keepUnsent(8 * pieceSize) // which is less for a stream that is handed over
	w.line = &w.socket          // the poller may call at once
	if thePoller.add(w, syscall.EPOLLIN|syscall.EPOLLOUT|syscall.EPOLLRDHUP) != nil {
		_ = syscall.Close(w.fd)
		return false
	}
	_ = c.Close() // of the descriptor that was copied; the connection stays
	return true
}

// watchSocket has the poller watch the connection for input if it is plain below
// TLS. The connection stays with the net package.
func (w *wire) watchSocket(c net.Conn) bool {
	if !control(withoutTLS(c), func(fd uintptr) { w.fd = int(fd) }) {
		return false
	}
	w.keepUnsent(8 * pieceSize) // which is less for a stream that is handed over
	w.line = watched{netLine{c}, w.fd}
	return thePoller.add(w, syscall.EPOLLIN|syscall.EPOLLRDHUP) == nil
}

// keepUnsent has the kernel keep no more than about n bytes that it cannot send yet.
// Otherwise it gathers up to 4 MB for a client that does not read. Less than this
// costs a generator at full speed more wake-ups.
func (s *socket) keepUnsent(n int) {
	const notsentLowat = 25 // TCP_NOTSENT_LOWAT, tcp(7)
	_ = syscall.SetsockoptInt(s.fd, syscall.IPPROTO_TCP, notsentLowat, n)
}

// A watched line is one that the poller watches, and that can be written to through
// the net package only.
type watched struct {
	netLine

	fd int
}

func (l watched) close(drop bool) {
	thePoller.remove(l.fd)
	l.netLine.close(drop)
}

// control calls f with the connection's file descriptor, if it is plain.
func control(c net.Conn, f func(fd uintptr)) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	raw, err := c.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // both are
	return err == nil && raw.Control(f) == nil
}

func (s *socket) dup(fd uintptr) error {
	copied, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return errno
	}
	s.fd = int(copied)
	return nil
}

// try writes as much of p as there is room for. It does not wait, and does not
// allocate.
func (s *socket) try(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) {
		if s.broken || s.closed {
			return n, os.ErrDeadlineExceeded
		}
		m, err := syscall.Write(s.fd, p[n:])
		switch {
		case m > 0:
			n += m
		case err == syscall.EAGAIN:
			return n, nil
		case err != syscall.EINTR:
			return n, err
		}
	}
	return n, nil
}

// Write implements line.
func (s *socket) Write(p []byte) (n int, err error) {
	for {
		m, err := s.try(p[n:])
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
		s.mu.Lock()
		room := s.room
		if room == nil {
			s.room = make(chan struct{}, 1) // and try once more, for there may be room by now
		}
		s.mu.Unlock()
		if room != nil {
			<-room
		}
	}
}

// ready tells a Write that there may be room.
func (s *socket) ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.room <- struct{}{}: // never, if it is nil
	default:
	}
}

// read reads what there is. It does not wait: n is 0 if there is nothing, and err
// says that nothing will ever be.
func (s *socket) read(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		n, err := syscall.Read(s.fd, p)
		switch {
		case n > 0:
			return n, nil
		case n == 0:
			return 0, net.ErrClosed
		case err == syscall.EAGAIN:
			return 0, nil
		case err != syscall.EINTR:
			return 0, err
		}
	}
	return 0, nil
}

// interrupt implements line.
func (s *socket) interrupt() {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	s.ready()
}

// closeWrite implements line.
func (s *socket) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = syscall.Shutdown(s.fd, syscall.SHUT_WR)
	}
}

// close implements line.
func (s *socket) close(drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	thePoller.remove(s.fd)
	if drop {
		_ = syscall.SetsockoptLinger(s.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}
	_ = syscall.Close(s.fd)
}

// hint says what may have happened.
func (w *wire) hint(events uint32) {
	switch l, under := w.line.(watched); {
	case !under && events&^syscall.EPOLLOUT != 0:
		w.listen()
	case under && !w.listening: // what has come is for TLS to tell
		w.listening = true
		go w.listenOn(l.Conn)
	}
	if events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		w.hungUp.Store(true)
		if w.heard.Load() >= mostHeard {
			w.left() // input that is not read any more may hide the end
		}
	}
	if w.session.sending.Load() != 0 && !w.wake() {
		w.ready()
	}
}

// listen reads what there is of input, and notices its end.
func (w *wire) listen() {
	var buf [512]byte
	for w.heard.Load() < mostHeard {
		n, err := w.read(buf[:])
		w.heard.Add(int32(n)) //nolint:gosec // it fits
		switch {
		case err != nil:
			w.left()
			return
		case n == 0:
			return
		}
	}
}
