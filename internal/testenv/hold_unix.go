//go:build unix

package testenv

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// hold binds a socket to a free port and does not listen. The kernel gives such a port
// to nobody who has not named it. Who names it can listen there, if both sockets have
// SO_REUSEADDR, as the listeners of most servers do.
func hold() (addr string, release func(), err error) {
	syscall.ForkLock.RLock() // or a child could have it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	release = func() { _ = syscall.Close(fd) }
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	err = errors.Join(
		os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)),
		os.NewSyscallError("bind", syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback.As4()})),
	)
	bound, err2 := syscall.Getsockname(fd)
	if err = errors.Join(err, os.NewSyscallError("getsockname", err2)); err != nil {
		release()
		return "", nil, err
	}
	port := bound.(*syscall.SockaddrInet4).Port //nolint:forcetypeassert // as it was made
	return net.JoinHostPort(loopback.String(), strconv.Itoa(port)), release, nil
}
