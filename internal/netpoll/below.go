package netpoll

import (
	"crypto/tls"
	"net"
	"reflect"
)

// Reset resets the TCP connection that c is or wraps. What the kernel has not sent is
// lost. If there is no TCP connection, Reset closes what is below TLS, or does nothing.
func Reset(c net.Conn) {
	tcp, belowTLS := find(c)
	if tcp != nil {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	} else if belowTLS != nil {
		_ = belowTLS.Close()
	}
}

// ResetOnClose makes a close of the TCP connection that c is or wraps reset it, or, if on
// is false, end it properly again.
func ResetOnClose(c net.Conn, on bool) error {
	tcp, _ := find(c)
	if tcp == nil {
		return nil
	}
	sec := -1
	if on {
		sec = 0
	}
	return tcp.SetLinger(sec)
}

// CloseWrite closes our side of c, under TLS both that of TLS and that of the connection
// below.
func CloseWrite(c net.Conn) {
	for ; c != nil; c = below(c) {
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
}

// below returns the connection that c wraps, or nil.
func below(c net.Conn) net.Conn {
	if c, ok := c.(interface{ NetConn() net.Conn }); ok {
		return c.NetConn()
	}
	return embedded(c)
}

// embedded returns the connection that c embeds, or nil.
func embedded(c net.Conn) net.Conn {
	v := reflect.Indirect(reflect.ValueOf(c))
	if v.Kind() != reflect.Struct {
		return nil
	}
	field := v.FieldByName("Conn")
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	below, _ := reflect.TypeAssert[net.Conn](field)
	return below
}

// withoutTLS returns the connection below TLS, or c. Closing the TLS connection itself may
// have to wait for the client.
func withoutTLS(c net.Conn) net.Conn {
	if c, ok := c.(*tls.Conn); ok {
		return c.NetConn()
	}
	return c
}

type tcpConn interface {
	SetLinger(sec int) error
	Close() error
}

// find returns the TCP connection that c is or wraps, or nil, and what is below TLS if it
// has passed that on the way.
func find(c net.Conn) (tcp tcpConn, belowTLS net.Conn) {
	for ; c != nil; c = below(c) {
		switch outer := c.(type) {
		case interface{ NetConn() net.Conn }:
			belowTLS = outer.NetConn()
		case tcpConn:
			return outer, belowTLS
		}
	}
	return nil, belowTLS
}
