package netpoll

import (
	"crypto/tls"
	"net"
	"reflect"
)

// Reset resets the TCP connection that c is, or is made of. What the kernel has not
// sent is lost. If there is no TCP connection to be found, what is below TLS is closed,
// and nothing else.
func Reset(c net.Conn) {
	tcp, belowTLS := find(c)
	if tcp != nil {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	} else if belowTLS != nil {
		_ = belowTLS.Close()
	}
}

// ResetOnClose has a close of the TCP connection that c is, or is made of, reset it. If
// on is false, a close is a proper one again.
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

// CloseWrite closes our side of c: under TLS both that of TLS and the connection's.
func CloseWrite(c net.Conn) {
	for ; c != nil; c = below(c) {
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
}

// below returns the connection that c is made of, or nil.
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

// withoutTLS is the connection below TLS, whose own end might have to be waited for.
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

// find returns the TCP connection that c is made of, or nil, and what is below TLS if
// it has come upon that before.
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
