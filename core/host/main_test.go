package host_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// TestMain fails if goroutines of this package outlive its tests.
func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.Parallel()
	code := m.Run()
	if left := leaked(); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines have not ended:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of the goroutines that remain after up to 5 s.
func leaked() []string {
	var left []string
	for range 500 {
		left = nil
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		for _, stack := range stacks[1:] { // the first is the caller's
			if strings.Contains(stack, "yieldsse/core") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return nil
		}
		<-time.After(10 * time.Millisecond)
	}
	return left
}

// heap returns how many bytes are in use after a garbage collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}
