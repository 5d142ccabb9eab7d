package core

import (
	"net"
	"reflect"
)

// Reset resets the TCP connection that c is, or is made of, so that the client sees
// a broken response even on HTTP/1.0, where a proper close is the end of a whole
// one. What the kernel has not sent is lost. The caller still has to close c.
//
// It looks below TLS, which would say goodbye, and through what embeds a [net.Conn],
// as listeners wrap connections. If there is no TCP connection to be found, what is
// below TLS is closed, and nothing else.
func Reset(c net.Conn) {
	var belowTLS net.Conn
	for c != nil {
		switch outer := c.(type) {
		case interface{ NetConn() net.Conn }:
			c = outer.NetConn()
			belowTLS = c
		case interface{ SetLinger(sec int) error }:
			_ = outer.SetLinger(0)
			_ = c.Close()
			return
		default:
			c = embedded(c)
		}
	}
	if belowTLS != nil {
		_ = belowTLS.Close()
	}
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
