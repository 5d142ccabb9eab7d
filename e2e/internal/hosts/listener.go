package hosts

import (
	"net"
	"sync"
	"sync/atomic"
)

// A listener can cut its connections, as a bad network would.
type listener struct {
	net.Listener
	half atomic.Bool // the next write breaks off

	mu    sync.Mutex
	conns map[*conn]bool
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := &conn{c.(*net.TCPConn), l} //nolint:forcetypeassert // it listens on TCP
	l.conns[cut] = true
	return cut, nil
}

func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.SetLinger(0) // discards what has not been sent
		_ = c.TCPConn.Close()
	}
}

type conn struct {
	*net.TCPConn
	listener *listener
}

func (c *conn) Write(p []byte) (int, error) {
	if !c.listener.half.CompareAndSwap(true, false) {
		return c.TCPConn.Write(p)
	}
	n, _ := c.TCPConn.Write(p[:len(p)/2])
	_ = c.TCPConn.Close() // the first half arrives, and then an unexpected end
	return n, net.ErrClosed
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	delete(c.listener.conns, c)
	return c.TCPConn.Close()
}
