//go:build !linux

package core

import "net"

// A socket is never taken: nothing but a goroutine would notice that the client
// leaves.
type socket struct{}

func (w *wire) takeSocket(net.Conn) bool { return false }

func (*socket) keepUnsent(int) {}

func (w *wire) watchSocket(net.Conn) bool { return false }
