package netpoll

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// A socket is a plain connection without what the net package adds to it, which takes a
// kilobyte: a Conn has its own poller and deadlines.
type socket struct {
	mu        sync.Mutex // held during each system call on fd, so that it is not closed in the meantime
	room      chan struct{}
	fd        int32
	broken    bool
	closed    bool
	listening bool // the poller has started listenOn
}

// adoptSocket takes the connection from the net package, if it is plain, and makes the
// poller watch it.
func (c *Conn) adoptSocket(from net.Conn) bool {
	var err error
	if !control(from, func(fd uintptr) { c.fd, err = dup(fd) }) || err != nil {
		return false
	}
	c.transport = &c.socket // the poller may call at once
	if thePoller.add(c, syscall.EPOLLIN|syscall.EPOLLOUT|syscall.EPOLLRDHUP) != nil {
		_ = syscall.Close(int(c.fd))
		return false
	}
	_ = from.Close() // the original descriptor; the connection stays open
	return true
}

// watchSocket makes the poller watch the connection for input, if it is plain below TLS.
// The connection stays with the net package.
func (c *Conn) watchSocket(from net.Conn) bool {
	if !control(withoutTLS(from), func(fd uintptr) { c.fd = int32(fd) }) { //nolint:gosec // it fits
		return false
	}
	c.transport = watched{netConn{from}, c.fd}
	return thePoller.add(c, syscall.EPOLLIN|syscall.EPOLLRDHUP) == nil
}

func (s *socket) keepUnsent(n int) {
	const notsentLowat = 25 // TCP_NOTSENT_LOWAT, tcp(7)
	_ = syscall.SetsockoptInt(int(s.fd), syscall.IPPROTO_TCP, notsentLowat, n)
}

// A watched connection is one that the poller watches, but that must be read and written
// through the net package.
type watched struct {
	netConn

	fd int32
}

func (l watched) close(drop bool) {
	thePoller.remove(l.fd)
	l.netConn.close(drop)
}

// control calls f with the file descriptor of a plain connection, and reports whether it
// has done so.
func control(c net.Conn, f func(fd uintptr)) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	raw, err := c.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // both are
	return err == nil && raw.Control(f) == nil
}

// dup duplicates a file descriptor.
func dup(fd uintptr) (int32, error) {
	copied, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return 0, errno
	}
	return int32(copied), nil //nolint:gosec // it fits
}

// Duplicate returns another connection with the same socket, which stays open when c is
// closed. Only a plain connection on Linux can be duplicated.
//
// It does not use c.File, because c would block its threads for a moment while that file
// becomes a net.Conn.
func Duplicate(c net.Conn) (own net.Conn, ok bool) {
	var (
		copied int32
		err    error
	)
	if !control(c, func(fd uintptr) { copied, err = dup(fd) }) || err != nil {
		return nil, false
	}
	f := os.NewFile(uintptr(copied), "") //nolint:gosec // not negative
	defer func() { _ = f.Close() }()     // net.FileConn duplicates it
	own, err = net.FileConn(f)
	return own, err == nil
}

// try writes as much of p as there is room for. It does not wait and does not allocate.
func (s *socket) try(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) {
		if s.broken || s.closed {
			return n, os.ErrDeadlineExceeded
		}
		m, err := syscall.Write(int(s.fd), p[n:])
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

// Write implements transport.
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
			s.room = make(chan struct{}, 1) // and try once more, because there may be room by now
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
	case s.room <- struct{}{}: // not if it is nil
	default:
	}
}

// read reads what there is. It does not wait: n is 0 if there is nothing, and err is not
// nil if there never will be.
func (s *socket) read(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed {
		n, err := syscall.Read(int(s.fd), p)
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

// interrupt implements transport.
func (s *socket) interrupt() {
	s.mu.Lock()
	s.broken = true
	s.mu.Unlock()
	s.ready()
}

// closeWrite implements transport.
func (s *socket) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = syscall.Shutdown(int(s.fd), syscall.SHUT_WR)
	}
}

// close implements transport.
func (s *socket) close(drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	thePoller.remove(s.fd)
	if drop {
		_ = syscall.SetsockoptLinger(int(s.fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	}
	_ = syscall.Close(int(s.fd))
}

// hint is told by the poller what may have happened.
func (c *Conn) hint(events uint32) {
	switch l, under := c.transport.(watched); {
	case !under && events&^syscall.EPOLLOUT != 0:
		c.listen()
	case under && !c.listening: // only TLS knows what the input means
		c.listening = true
		go c.listenOn(l.Conn)
	}
	if events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		c.hungUp.Store(true)
		if c.heard.Load() >= MaxInput {
			c.handler.Left() // unread input may hide the end
		}
	}
	if !c.handler.Room() {
		c.ready()
	}
}

// listen reads and drops input, and notices its end.
func (c *Conn) listen() {
	var buf [512]byte
	for c.heard.Load() < MaxInput {
		n, err := c.read(buf[:])
		c.heard.Add(int32(n)) //nolint:gosec // it fits
		switch {
		case err != nil:
			c.handler.Left()
			return
		case n == 0:
			return
		}
	}
}
