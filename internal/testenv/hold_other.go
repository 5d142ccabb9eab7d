//go:build !unix

package testenv

import "net"

// hold returns an address that is free now. It is not held.
func hold() (addr string, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), func() {}, l.Close()
}
