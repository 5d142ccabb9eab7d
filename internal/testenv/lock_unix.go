//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package testenv

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file, alone or with others, and reports false if another process's lock
// prevents it. A file that cannot be locked at all is as good as locked.
func tryLock(f *os.File, alone bool) bool {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR)
}
