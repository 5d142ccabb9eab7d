// Package netpoll has connections that were taken from a server for good. On Linux, one
// epoll instance and one goroutine watch all of them, and a plain one costs little more
// than its socket.
package netpoll

import (
	"net"
	"sync/atomic"
	"time"
)

// A Handler is told what happens to a Conn. Its methods are called by any goroutine, at
// any time, even before [Conn.Adopt] has returned. They must not block.
type Handler interface {
	// Left is called when the client has closed its side, or the connection is broken. It
	// may be called more than once.
	Left()

	// Room is called when there may be room for what TryWrite could not write. It reports
	// whether the handler will write that. If not, a Write that waits continues.
	Room() bool
}

// A Conn is a connection to a client that has nothing more to say: its input is read and
// dropped. Any goroutine may call its methods, but only one Write or TryWrite may run at
// a time.
type Conn struct {
	socket // the transport of a plain connection; below TLS only its fd is used

	transport transport
	handler   Handler
	hungUp    atomic.Bool  // the poller has seen that the connection is broken
	heard     atomic.Int32 // bytes of input
}

// A transport sends what a Conn writes.
type transport interface {
	Write(p []byte) (int, error)
	try(p []byte) (int, error)
	interrupt()
	closeWrite()
	close(drop bool)
}

// Adopt makes c the owner of a connection, which the caller must not use any more. On
// Linux a plain one is taken from the net package as well. Adopt reports whether TryWrite
// waits for the client, like Write: it does under TLS, and for any connection whose
// socket is not accessible.
func (c *Conn) Adopt(from net.Conn, h Handler) (waits bool) {
	c.handler = h
	if c.adoptSocket(from) {
		return false
	}
	if !c.watchSocket(from) {
		c.transport = netConn{from}
		go c.listenOn(from)
	}
	return true
}

// Write writes all of p, or returns an error.
func (c *Conn) Write(p []byte) (int, error) { return c.transport.Write(p) }

// TryWrite writes what there is room for, or returns an error. It does not allocate. It
// waits only if [Conn.Adopt] has reported so.
func (c *Conn) TryWrite(p []byte) (int, error) { return c.transport.try(p) }

// Interrupt makes Write and TryWrite return [os.ErrDeadlineExceeded], now and later.
func (c *Conn) Interrupt() { c.transport.interrupt() }

// CloseWrite tells the client that nothing more will come.
func (c *Conn) CloseWrite() { c.transport.closeWrite() }

// Close closes the connection. It must be called once. If drop is true the client gets a
// reset, and what the kernel has not sent is lost.
func (c *Conn) Close(drop bool) { c.transport.close(drop) }

// KeepUnsent makes the kernel keep no more than about n bytes that it cannot send yet, on
// Linux and if the socket is accessible. Without that, the kernel keeps up to 4 MB for a
// client that does not read.
func (c *Conn) KeepUnsent(n int) {
	if _, hidden := c.transport.(netConn); !hidden {
		c.keepUnsent(n)
	}
}

// MaxInput is how many bytes of input are read and dropped. A client has nothing to send
// while its stream lasts; one that sends more is no longer watched.
const MaxInput = 64 << 10

// listenOn notices that the client leaves, if the poller cannot.
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

// A netConn is a connection of the net package or of a host.
type netConn struct{ net.Conn }

func (l netConn) try(p []byte) (int, error) { return l.Write(p) }

func (l netConn) interrupt() { _ = l.SetWriteDeadline(time.Unix(1, 0)) }

func (l netConn) closeWrite() { CloseWrite(l.Conn) }

func (l netConn) close(drop bool) {
	if drop {
		Reset(l.Conn)
	}
	_ = withoutTLS(l.Conn).Close()
}
