package hosts

import (
	"net"
	"sync"
	"sync/atomic"
)

// A wire is a listener whose connections can be cut, as a bad network would.
type wire struct {
	net.Listener
	half atomic.Bool // the next write breaks off

	mu    sync.Mutex
	conns map[*conn]bool
}

func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	cut := &conn{c.(*net.TCPConn), w} //nolint:forcetypeassert // it listens on TCP
	w.conns[cut] = true
	return cut, nil
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.SetLinger(0) // what is on the way is thrown away
		_ = c.TCPConn.Close()
	}
}

type conn struct {
	*net.TCPConn
	wire *wire
}

func (c *conn) Write(p []byte) (int, error) {
	if !c.wire.half.CompareAndSwap(true, false) {
		return c.TCPConn.Write(p)
	}
	n, _ := c.TCPConn.Write(p[:len(p)/2])
	_ = c.TCPConn.Close() // what was written arrives, and then an end that no protocol has announced
	return n, net.ErrClosed
}

func (c *conn) Close() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	delete(c.wire.conns, c)
	return c.TCPConn.Close()
}
