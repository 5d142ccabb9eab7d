// Package netpoll has connections that were taken from a server for good. On Linux
// one epoll instance and one goroutine watch all of them, and a plain one costs
// little more than its socket.
package netpoll

import (
	"net"
	"sync/atomic"
	"time"
)

// A Handler is told what happens to a Conn. Its methods are called by any goroutine,
// at any time, also before [Conn.Take] has returned. They do not wait.
type Handler interface {
	// Left is called when the client has closed its side, or nothing goes through any
	// more. It may be called more than once.
	Left()

	// Room is called when there may be room for what TryWrite has left, and reports
	// whether the handler sees to that. If not, a Write that waits continues.
	Room() bool
}

// A Conn is a connection to a client that has nothing more to say: what comes is read
// and dropped. Its methods may be called by any goroutine, except that there is one
// Write or TryWrite at a time.
type Conn struct {
	socket // the line, if that is plain; below TLS only its fd counts

	line    line
	handler Handler
	hungUp  atomic.Bool  // the poller has seen that nothing goes through any more
	heard   atomic.Int32 // bytes of input
}

// A line is what a Conn goes through.
type line interface {
	Write(p []byte) (int, error)
	try(p []byte) (int, error)
	interrupt()
	closeWrite()
	close(drop bool)
}

// Take begins with a connection, which the caller does not use any more. On Linux a plain
// one is taken from the net package as well. Take reports whether TryWrite will wait for
// the client as Write does: it does so below TLS, and where the socket cannot be had.
func (c *Conn) Take(from net.Conn, h Handler) (waits bool) {
	c.handler = h
	if c.takeSocket(from) {
		return false
	}
	if !c.watchSocket(from) {
		c.line = netLine{from}
		go c.listenOn(from)
	}
	return true
}

// Write writes all of p, or returns an error.
func (c *Conn) Write(p []byte) (int, error) { return c.line.Write(p) }

// TryWrite writes what there is room for, or returns an error. It does not allocate, and
// it waits only if [Conn.Take] has said so.
func (c *Conn) TryWrite(p []byte) (int, error) { return c.line.try(p) }

// Interrupt has Write and TryWrite return with [os.ErrDeadlineExceeded], now and later.
func (c *Conn) Interrupt() { c.line.interrupt() }

// CloseWrite tells the client that nothing more will come.
func (c *Conn) CloseWrite() { c.line.closeWrite() }

// Close closes the connection, once. If drop is true the client gets a reset, and what the
// kernel has not sent is lost.
func (c *Conn) Close(drop bool) { c.line.close(drop) }

// KeepUnsent has the kernel keep no more than about n bytes that it cannot send yet, on
// Linux and where the socket is to be had. Otherwise it gathers up to 4 MB for a client
// that does not read.
func (c *Conn) KeepUnsent(n int) {
	if _, hidden := c.line.(netLine); !hidden {
		c.keepUnsent(n)
	}
}

// MaxInput is how many bytes of input are read and dropped. A client has nothing to send
// while its stream lasts; one that sends more is no longer watched.
const MaxInput = 64 << 10

// listenOn notices that the client leaves, where no poller does by itself.
func (c *Conn) listenOn(from net.Conn) {
	var buf [64]byte
	for c.heard.Load() < MaxInput {
		n, err := from.Read(buf[:])
		if err != nil {
			c.handler.Left()
			return
		}
		c.heard.Add(int32(n)) //nolint:gosec // it fits
	}
	if c.hungUp.Load() {
		c.handler.Left()
	}
}

// A netLine is a connection of the net package's, or of a host's.
type netLine struct{ net.Conn }

func (l netLine) try(p []byte) (int, error) { return l.Write(p) }

func (l netLine) interrupt() { _ = l.SetWriteDeadline(time.Unix(1, 0)) }

func (l netLine) closeWrite() { CloseWrite(l.Conn) }

func (l netLine) close(drop bool) {
	if drop {
		Reset(l.Conn)
	}
	_ = withoutTLS(l.Conn).Close()
}
