package report

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ThisMachine describes the machine that this program runs on.
func ThisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), CPU: runtime.GOARCH, Go: runtime.Version(), Kernel: runtime.GOOS}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
		m.Kernel = "Linux " + release
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}
