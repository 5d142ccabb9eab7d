package core

import "net"

// Reset closes c with a reset, so that the client sees a broken response even on
// HTTP/1.0, where a proper close is the end of a whole one. What the kernel has
// not sent is lost. Under TLS it is the connection below that is closed, because
// TLS would say goodbye. A connection that hides its TCP connection, and has no
// NetConn method, is only closed.
func Reset(c net.Conn) {
	for {
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = below.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
