package reader

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// A Crowd is many connections with the same request on each. One goroutine reads them.
type Crowd struct {
	conns   []*Conn
	poll    int
	options CrowdOptions
	buf     []byte
}

// A lazy crowd is woken for lowWater bytes of one connection. It reads smaller rests in
// sweeps, which take at most one part in sweepPart of its time.
const (
	sweepEvery = 25 * time.Millisecond
	sweepPart  = 20
)

// CrowdOptions say how a crowd reads.
type CrowdOptions struct {
	// Lazy means that the crowd is woken up as seldom as possible, so that its cost does
	// not add to the server's. Otherwise it is woken for each event.
	Lazy bool

	// Data is called with the data of each event and the time at which it arrived, if it
	// is not nil.
	Data func(data []byte, at time.Time)

	// Headers are lines of each request.
	Headers []string
}

// NewCrowd returns a crowd without connections.
func NewCrowd(o CrowdOptions) (*Crowd, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("reader: epoll: %w", err)
	}
	return &Crowd{poll: poll, options: o, buf: make([]byte, bufSize)}, nil
}

// OpenCrowd returns a crowd of n connections that ask for target, when each has the
// head of its response.
func OpenCrowd(addr netip.AddrPort, n int, target string, o CrowdOptions) (*Crowd, error) {
	c, err := NewCrowd(o)
	if err != nil {
		return nil, err
	}
	if err := c.Open(addr, n, target); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Open opens n more connections that ask for target, and returns when each has the
// head of its response. Meanwhile it reads the others.
func (c *Crowd) Open(addr netip.AddrPort, n int, target string) error {
	const batch = 500 // so that the server's queue does not overflow
	for i := range n {
		number := len(c.conns)
		err := c.add(addr, number, target)
		if err == nil && (i%batch == batch-1 || i == n-1) {
			err = c.until(number-i%batch, patience*time.Second, (*Conn).begun)
		}
		if err != nil {
			return fmt.Errorf("reader: connection %d: %w", number, err)
		}
	}
	return nil
}

func (c *Crowd) add(addr netip.AddrPort, i int, target string) error {
	var options []int
	if c.options.Lazy {
		options = []int{syscall.SO_RCVLOWAT, lowWater}
	}
	conn, err := open(addr, source(i), request(addr, target, c.options.Headers...), options...)
	if err != nil {
		return err
	}
	c.conns = append(c.conns, conn)
	if c.options.Data != nil {
		conn.Data = func(b []byte) { c.options.Data(b, conn.at) }
	}
	if err := syscall.SetNonblock(conn.fd, true); err != nil {
		return err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
	return syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, conn.fd, &event)
}

// Sources is how many local addresses the connections of a crowd have: one address does
// not have enough ports for all.
const Sources = 100

// source returns the local address of connection i.
func source(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i%Sources)})
}

// Close resets the connections.
func (c *Crowd) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
	_ = syscall.Close(c.poll)
}

// Ended returns how many responses the server has ended.
func (c *Crowd) Ended() (n int) {
	for _, conn := range c.conns {
		if conn.ended {
			n++
		}
	}
	return n
}

// Comments returns how many lines of comments have arrived so far.
func (c *Crowd) Comments() (n int) {
	for _, conn := range c.conns {
		n += conn.Comments
	}
	return n
}

// Reached returns how many connections have received an event since the last [Crowd.Mark].
func (c *Crowd) Reached() (n int) {
	for _, conn := range c.conns {
		if conn.Events > conn.base {
			n++
		}
	}
	return n
}

// Mark makes [Crowd.Await] count events from here.
func (c *Crowd) Mark() {
	for _, conn := range c.conns {
		conn.base = conn.Events
	}
}

// Await reads until each connection has received that many events since the last [Crowd.Mark],
// or until nothing has arrived for as long as quiet on those that have not. It returns how
// many have arrived on all connections. It is an error if a connection gets more.
func (c *Crowd) Await(events int, quiet time.Duration) (delivered int, err error) {
	err = c.until(0, quiet, func(conn *Conn) bool { return conn.Events-conn.base >= events })
	if err != nil && !errors.Is(err, errQuiet) {
		return 0, err
	}
	for i, conn := range c.conns {
		got := conn.Events - conn.base
		if got > events {
			return 0, fmt.Errorf("reader: connection %d got %d events, want %d", i, got, events)
		}
		delivered += got
	}
	return delivered, nil
}

// ReadFor reads for as long as d.
func (c *Crowd) ReadFor(d time.Duration) error {
	end := time.Now().Add(d)
	ready := make([]syscall.EpollEvent, 256)
	for left := d; left > 0; left = time.Until(end) {
		if _, err := c.poke(ready, left); err != nil {
			return err
		}
	}
	return nil
}

// errQuiet means that nothing has arrived for too long.
var errQuiet = errors.New("reader: nothing arrived")

// until reads all connections until those from first on are done or have ended.
func (c *Crowd) until(first int, quiet time.Duration, done func(*Conn) bool) error {
	var waiting []*Conn
	for _, conn := range c.conns[first:] {
		if !conn.ended && !done(conn) {
			waiting = append(waiting, conn)
		}
	}
	finished := func(conn *Conn) bool { return conn.ended || done(conn) }
	ready := make([]syscall.EpollEvent, 256)
	swept, pause := time.Now(), sweepEvery
	for last := time.Now(); len(waiting) > 0; {
		n, err := c.poke(ready, sweepEvery)
		if err != nil {
			return err
		}
		if n > 0 {
			last = time.Now()
		}
		if n > 0 && len(waiting) <= len(ready) { // few enough to check them each time
			waiting = slices.DeleteFunc(waiting, finished)
		}
		if time.Since(swept) < pause {
			continue
		}
		begin := time.Now()
		came, err := c.sweep(waiting)
		if err != nil {
			return err
		}
		if came {
			last = time.Now()
		}
		waiting = slices.DeleteFunc(waiting, finished)
		swept = time.Now()
		pause = max(sweepEvery, sweepPart*swept.Sub(begin))
		if since := swept.Sub(last); len(waiting) > 0 && since > quiet {
			return fmt.Errorf("%w for %v, and %d of %d connections have not received everything",
				errQuiet, since.Round(time.Millisecond), len(waiting), len(c.conns))
		}
	}
	return nil
}

// sweep reads the bytes that have not woken up a lazy crowd, and reports whether there
// were any.
func (c *Crowd) sweep(conns []*Conn) (came bool, err error) {
	if !c.options.Lazy {
		return false, nil
	}
	for _, conn := range conns {
		before := conn.Bytes
		if err := c.read(conn); err != nil {
			return came, err
		}
		came = came || conn.Bytes > before
	}
	return came, nil
}

// poke waits for connections that have something to read, and reads them.
func (c *Crowd) poke(ready []syscall.EpollEvent, wait time.Duration) (n int, err error) {
	n, err = syscall.EpollWait(c.poll, ready, int(wait.Milliseconds()))
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return 0, fmt.Errorf("reader: epoll: %w", err)
	}
	n = max(n, 0)
	for _, event := range ready[:n] {
		if err := c.read(c.conns[event.Fd]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// read reads what has arrived on a connection, if anything has.
func (c *Crowd) read(conn *Conn) error {
	if conn.ended {
		return nil
	}
	n, err := syscall.Read(conn.fd, c.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return nil
	case err == nil && n == 0, errors.Is(err, syscall.ECONNRESET):
		conn.ended = true
		_ = syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_DEL, conn.fd, nil)
		return nil
	case err == nil:
		conn.at = time.Now()
		_, err = conn.Write(c.buf[:n])
		conn.ended = conn.Complete()
	}
	if err != nil {
		return fmt.Errorf("reader: after %d events: %w", conn.Events, err)
	}
	return nil
}
