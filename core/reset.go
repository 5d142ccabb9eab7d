package core

import (
	"io"
	"net"
	"reflect"
	"time"
)

// Reset resets the TCP connection that c is, or is made of, so that the client sees
// a broken response even on HTTP/1.0, where a proper close is the end of a whole
// one. What the kernel has not sent is lost. The caller still has to close c.
//
// It looks below TLS, which would say goodbye, and through what embeds a [net.Conn],
// as listeners wrap connections. If there is no TCP connection to be found, what is
// below TLS is closed, and nothing else.
func Reset(c net.Conn) {
	tcp, belowTLS := find(c)
	if tcp != nil {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	} else if belowTLS != nil {
		_ = belowTLS.Close()
	}
}

// ResetOnClose has a close of the TCP connection that c is, or is made of, reset it,
// whoever closes it: the host when a write fails, or the kernel when the process
// ends. So it is for a response of HTTP/1.0 as long as that is not whole. If on is
// false, a close is a proper one again. It looks where [Reset] does, and does nothing
// if there is no TCP connection to be found.
func ResetOnClose(c net.Conn, on bool) error {
	tcp, _ := find(c)
	if tcp == nil {
		return nil
	}
	sec := -1
	if on {
		sec = 0
	}
	return tcp.SetLinger(sec) //nolint:wrapcheck // a connection's own, as a write's
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

// Linger tells the client that nothing more will come, and reads and drops what it
// still says until it closes its side, or for half a second. More than [MaxBody] is
// not read. The caller closes c then. A TCP connection that is closed with input that
// nobody has read is reset, and the client may lose the end of a whole response.
//
// Like [Reset] it looks below TLS and through what embeds a [net.Conn].
func Linger(c net.Conn) {
	until := time.Now().Add(linger)
	_ = c.SetReadDeadline(until)
	closeWrite(c)
	if _, err := io.CopyN(io.Discard, c, MaxBody); err == nil {
		<-time.After(time.Until(until)) // to close sooner would reset it
	}
}

// closeWrite closes our side of c: under TLS both that of TLS and the connection's.
func closeWrite(c net.Conn) {
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
