package process

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Pin keeps the calling goroutine, and the processes that it starts, on one CPU
// until unpin is called, so that the reader and the server take turns. A reader that
// runs at the same time makes each write more expensive, by as much as they overlap.
func Pin() (unpin func(), err error) {
	_, last, unpin, err := pin()
	if err != nil {
		return nil, err
	}
	if err := set(last); err != nil {
		unpin()
		return nil, err
	}
	return unpin, nil
}

// Apart keeps the calling goroutine on one CPU until unpin is called, and the processes
// that start starts on the others. So a reader that measures latencies does not delay
// the server. If there is only one CPU, they share it.
func Apart(start func() error) (unpin func(), err error) {
	others, last, unpin, err := pin()
	if err != nil {
		return nil, err
	}
	if others.Count() > 0 {
		err = set(others)
	}
	if err == nil {
		err = start()
	}
	if err == nil {
		err = set(last)
	}
	if err != nil {
		unpin()
		return nil, err
	}
	return unpin, nil
}

// pin locks the calling goroutine to its thread. It returns the last CPU that the thread
// may run on, and the others.
func pin() (others, last unix.CPUSet, unpin func(), err error) {
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return others, last, nil, fmt.Errorf("process: affinity: %w", err)
	}
	others = before
	for cpu := len(before)*64 - 1; cpu >= 0; cpu-- {
		if before.IsSet(cpu) {
			last.Set(cpu)
			others.Clear(cpu)
			break
		}
	}
	return others, last, func() {
		_ = set(before)
		runtime.UnlockOSThread()
	}, nil
}

// set lets the calling thread run on these CPUs.
func set(cpus unix.CPUSet) error {
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return fmt.Errorf("process: affinity: %w", err)
	}
	return nil
}
