package process

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Pin keeps the calling goroutine, and the processes that it starts, on one CPU
// until unpin is called. A reader that runs beside the server makes each write
// dearer, by as much as it happens to overlap; so they take turns.
func Pin() (unpin func(), err error) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("process: affinity: %w", err)
	}
	for cpu := range len(before) * 64 {
		if before.IsSet(cpu) {
			one.Zero()
			one.Set(cpu) // the last one that is allowed
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("process: affinity: %w", err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}, nil
}
