package process

import (
	"fmt"
	"syscall"
)

// Files raises the limit on open files to at least n, or as far as it is allowed to, and
// returns the limit.
func Files(n int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("process: open files: %w", err)
	}
	want := uint64(n)
	if limit.Cur >= want {
		return int(limit.Cur), nil
	}
	more := syscall.Rlimit{Cur: want, Max: max(limit.Max, want)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
		return n, nil
	}
	more = syscall.Rlimit{Cur: min(limit.Max, want), Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more); err != nil {
		return int(limit.Cur), nil //nolint:nilerr // the limit stays as it is
	}
	return int(more.Cur), nil
}
