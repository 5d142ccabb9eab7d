//go:build unix && !aix && !solaris && !illumos

package main

import (
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// terminal returns a terminal with this number of columns.
func terminal(t *testing.T, columns int) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		testenv.Skip(t, "there are no terminals: "+err.Error())
	}
	t.Cleanup(func() { _ = f.Close() })
	size := struct{ rows, columns, x, y uint16 }{rows: 24, columns: uint16(columns)} //nolint:gosec // it is small
	//nolint:gosec // the system reads a winsize there, which this is
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		t.Skip("a terminal takes no size before somebody uses it: ", errno)
	}
	return f
}
