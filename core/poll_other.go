//go:build !linux

package core

import "syscall"

// poll reports that there is no poller: a goroutine reads the connection.
func (w *wire) poll() bool { return false }

func (w *wire) unpoll() {}

// An attempt is never made: what is not polled is not handed over.
type attempt struct{}

func (*attempt) write(syscall.RawConn, []byte) (int, error) { panic("unreachable") }
