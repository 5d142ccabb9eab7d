package main

import (
	"fmt"
	"os"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/report"
)

// Resources are what the machine has left.
type resources struct {
	memory  int64 // bytes
	files   int64 // that all processes together may open
	ports   int   // of one address
	watches int64 // of epoll, for one user
}

func readResources() (r resources, err error) {
	kB, err := process.Field("/proc/meminfo", "MemAvailable:")
	if err != nil {
		return r, err
	}
	r.memory = kB << 10
	var open, unused, first, last int64
	for _, f := range []struct {
		name    string
		numbers []any
	}{
		{"/proc/sys/fs/file-nr", []any{&open, &unused, &r.files}},
		{"/proc/sys/net/ipv4/ip_local_port_range", []any{&first, &last}},
		{"/proc/sys/fs/epoll/max_user_watches", []any{&r.watches}},
	} {
		text, err := os.ReadFile(f.name)
		if err == nil {
			_, err = fmt.Sscan(string(text), f.numbers...)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	r.files -= open
	r.ports = int(last - first + 1)
	return r, nil
}

// What is needed, about.
const (
	connMemory    = 14 << 10 // of a connection: most of it is the kernel's, for both ends
	processMemory = 25 << 20 // of a server or its readers
	spareMemory   = 256 << 20
	spareFiles    = 10_000
)

// check says what to do if there is too little of something.
func (r resources) check(conns, each int) error {
	processes := 2 * ((conns + each - 1) / each)
	memory := int64(conns)*connMemory + int64(processes)*processMemory + spareMemory
	files := 2*int64(conns) + spareFiles
	ports := (min(conns, each) + reader.Sources - 1) / reader.Sources
	var err error
	switch {
	case r.memory < memory:
		err = fmt.Errorf("about %.1f GB of memory, and %.1f GB are available: stop other programs, or use fewer -conns",
			float64(memory)/1e9, float64(r.memory)/1e9)
	case r.files < files:
		err = fmt.Errorf("%d open files in all processes together, and %d are left: raise fs.file-max, or use fewer -conns", files, r.files)
	case r.watches < files:
		err = fmt.Errorf("%d epoll watches, and a user may have %d: raise fs.epoll.max_user_watches, or use fewer -conns", files, r.watches)
	case r.ports < ports:
		err = fmt.Errorf("%d ports on each of %d addresses, and there are %d: widen net.ipv4.ip_local_port_range, or use a smaller -each",
			ports, reader.Sources, r.ports)
	}
	if err != nil {
		return fmt.Errorf("%s connections need %w", report.Thousands(conns), err)
	}
	return nil
}
