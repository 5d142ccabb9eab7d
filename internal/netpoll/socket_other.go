//go:build !linux

package netpoll

import "net"

// A socket is not used on this system: only a goroutine can notice that the client
// leaves.
type socket struct{}

func (*Conn) adoptSocket(net.Conn) bool { return false }

func (*Conn) watchSocket(net.Conn) bool { return false }

func (*socket) keepUnsent(int) {}

// Duplicate is for Linux only: elsewhere a detached session saves little.
func Duplicate(net.Conn) (own net.Conn, ok bool) { return nil, false }
