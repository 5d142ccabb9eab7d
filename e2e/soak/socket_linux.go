package main

import (
	"errors"
	"net"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged sets the time after which the connections of a listener end whose peers
// acknowledge nothing, or have no room.
func limitUnacknowledged(_, _ string, conn syscall.RawConn) error {
	return set(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}

// receiveLittle makes the kernel keep hardly anything that a client has not read.
func receiveLittle(_, _ string, conn syscall.RawConn) error {
	return set(conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
}

// vanish makes the kernel drop all that comes for a connection, as if its machine had
// gone. The other end hears nothing any more, unless the connection sends something.
func vanish(c *net.TCPConn) error {
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	return set(conn, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
}

func set(conn syscall.RawConn, f func(fd int) error) error {
	var err error
	ctlErr := conn.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(ctlErr, err)
}

// dieTogether makes a program end with this process, however that ends. A Ctrl-C is for this
// process only.
func dieTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitFiles sets how many files this process may have open.
func limitFiles(n int) error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: uint64(n)}) //nolint:gosec // not negative
}
