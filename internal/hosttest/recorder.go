package hosttest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A recorder is a test that is expected to fail.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// Failed runs a test to its end, cleanups included, and returns its failures.
func Failed(t testing.TB, test func(t testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	r.run(func() { test(r) })
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		r.run(last)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(slices.Clone(r.failures), "\n")
}

// Again runs a check up to three times, because a machine that stalls can make it fail. The
// failures of the last one count.
func Again(t testing.TB, check func(t testing.TB)) {
	t.Helper()
	for range 2 {
		why := Failed(t, check)
		if why == "" {
			return
		}
		t.Logf("tried again: %s", why)
	}
	check(t)
}

// run calls f in a goroutine that Fatal can end.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprint(args...))
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Skip(args ...any) { r.Fatal(append([]any{"skipped: "}, args...)...) }
