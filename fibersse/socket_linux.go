package fibersse

import (
	"net"
	"os"
	"syscall"
)

// duplicate returns another connection with the same socket, which stays open when
// c is closed. That can be done with a plain socket, but not with one under TLS.
//
// It does not use c.File: a net.Conn that is made of that has c block its threads
// for a moment.
func duplicate(c net.Conn) (own net.Conn, ok bool) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil, false
	}
	raw, err := c.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // both are
	if err != nil {
		return nil, false
	}
	var (
		copied uintptr
		errno  syscall.Errno
	)
	err = raw.Control(func(fd uintptr) {
		copied, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || errno != 0 {
		return nil, false
	}
	f := os.NewFile(copied, "")
	defer func() { _ = f.Close() }() // net.FileConn has one of its own
	own, err = net.FileConn(f)
	return own, err == nil
}
