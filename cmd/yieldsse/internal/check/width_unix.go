//go:build unix && !aix && !solaris && !illumos

package check

import (
	"os"
	"syscall"
	"unsafe"
)

// Width returns how many columns the terminal f has, or 0 if f is none or does not
// say.
func Width(f *os.File) int {
	var size struct{ rows, columns, x, y uint16 }
	//nolint:gosec // the system writes a winsize there, which this is
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0
	}
	return int(size.columns)
}
