package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A Usage is what a server's process has at a time.
type Usage struct {
	At         time.Duration `json:"at"`   // since the beginning
	Heap       int64         `json:"heap"` // bytes that are in use after a collection
	RSS        int64         `json:"rss"`  // bytes
	Files      int           `json:"files"`
	Goroutines int           `json:"goroutines"`
	Sessions   int           `json:"sessions"`
	TCPMemory  int64         `json:"tcpMemory"` // bytes that the kernel has for all TCP sockets of the machine
	Stacks     string        `json:"stacks,omitempty"`
	Failed     string        `json:"failed,omitempty"` // why it could not do what it was told
}

func usageOf() Usage {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{
		Heap:       int64(m.HeapAlloc), //nolint:gosec // it fits
		RSS:        field("/proc/self/status", "VmRSS:", "%d") << 10,
		Files:      files(),
		Goroutines: runtime.NumGoroutine(),
		TCPMemory:  field("/proc/net/sockstat", "TCP:", "inuse %d orphan %d tw %d alloc %d mem %d") * int64(os.Getpagesize()),
	}
}

// field returns the last number in the line of a file that begins with name, or 0.
func field(file, name, format string) int64 {
	text, err := os.ReadFile(file) //nolint:gosec // of /proc
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			numbers := make([]int64, strings.Count(format, "%d"))
			into := make([]any, len(numbers))
			for i := range numbers {
				into[i] = &numbers[i]
			}
			_, _ = fmt.Sscanf(strings.TrimSpace(value), format, into...)
			return numbers[len(numbers)-1]
		}
	}
	return 0
}

// files returns how many files this process has open, or 0 where that is not known.
func files() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names) - 1 // without the folder's own
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
