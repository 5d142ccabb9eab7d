package reader

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// A Crowd is many connections with the same request on each, which one goroutine
// reads.
type Crowd struct {
	conns []*Conn
	poll  int
	lazy  bool
	buf   []byte
}

// A lazy crowd is woken for lowWater bytes of one connection, and looks so often
// for what is less.
const sweepEvery = 20 * time.Millisecond

// OpenCrowd opens n connections that ask for target, and returns when each has the
// head of its response. A lazy crowd is woken up as seldom as can be, so that its
// cost does not show in the server's; one that is not is woken for each event. If
// data is not nil, it is called with the data of each event and the time at which
// it came.
func OpenCrowd(addr netip.AddrPort, n int, target string, lazy bool, data func(data []byte, at time.Time)) (*Crowd, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("reader: epoll: %w", err)
	}
	c := &Crowd{poll: poll, lazy: lazy, buf: make([]byte, bufSize)}
	for i := range n {
		if err := c.add(addr, i, target, data); err != nil {
			c.Close()
			return nil, fmt.Errorf("reader: connection %d: %w", i, err)
		}
	}
	if err := c.until((*Conn).begun); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Crowd) add(addr netip.AddrPort, i int, target string, data func([]byte, time.Time)) error {
	var options []int
	if c.lazy {
		options = []int{syscall.SO_RCVLOWAT, lowWater}
	}
	conn, err := open(addr, source(i), request(addr, target), options...)
	if err != nil {
		return err
	}
	c.conns = append(c.conns, conn)
	if data != nil {
		conn.Data = func(b []byte) { data(b, conn.at) }
	}
	if err := syscall.SetNonblock(conn.fd, true); err != nil {
		return err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
	return syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, conn.fd, &event)
}

// source is a local address for the connection of that number: one has not ports
// enough for all.
func source(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i%100)})
}

// Close resets the connections.
func (c *Crowd) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
	_ = syscall.Close(c.poll)
}

// Await reads until each connection has had that many events. One that has more
// is an error, as is one whose response ends.
func (c *Crowd) Await(events int) error {
	err := c.until(func(conn *Conn) bool { return conn.Events >= events })
	for i, conn := range c.conns {
		if err == nil && conn.Events > events {
			err = fmt.Errorf("reader: connection %d has got %d events instead of %d", i, conn.Events, events)
		}
	}
	return err
}

// until reads until all connections have done what they should.
func (c *Crowd) until(done func(*Conn) bool) error {
	finished, left := make([]bool, len(c.conns)), len(c.conns)
	check := func(i int) {
		if !finished[i] && done(c.conns[i]) {
			finished[i] = true
			left--
		}
	}
	for i := range c.conns {
		check(i)
	}
	ready := make([]syscall.EpollEvent, 256)
	for last := time.Now(); left > 0; {
		n, err := syscall.EpollWait(c.poll, ready, int(sweepEvery.Milliseconds()))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("reader: epoll: %w", err)
		}
		for _, event := range ready[:max(n, 0)] {
			if err := c.read(int(event.Fd)); err != nil {
				return err
			}
			check(int(event.Fd))
			last = time.Now()
		}
		if n > 0 {
			continue
		}
		for i := range c.conns {
			if finished[i] {
				continue
			}
			before := c.conns[i].Bytes
			if err := c.read(i); err != nil {
				return err
			}
			if check(i); c.conns[i].Bytes > before {
				last = time.Now()
			}
		}
		if time.Since(last) > patience*time.Second {
			return fmt.Errorf("reader: nothing came for %d s; %d of %d connections have not got all", patience, left, len(c.conns))
		}
	}
	return nil
}

// read takes what has come over a connection, if anything has.
func (c *Crowd) read(i int) error {
	conn := c.conns[i]
	n, err := syscall.Read(conn.fd, c.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return nil
	case err == nil && n == 0:
		err = io.EOF
	case err == nil:
		conn.at = time.Now()
		_, err = conn.Write(c.buf[:n])
	}
	if err != nil {
		return fmt.Errorf("reader: connection %d, after %d events: %w", i, conn.Events, err)
	}
	return nil
}
