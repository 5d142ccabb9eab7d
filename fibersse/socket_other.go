//go:build !linux

package fibersse

import "net"

// duplicate is for Linux only: elsewhere a detached session saves little.
func duplicate(net.Conn) (own net.Conn, ok bool) { return nil, false }
