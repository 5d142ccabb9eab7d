package ssetest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// leakWait is how long goroutines may take to end.
const leakWait = 10 * time.Second

// NoLeaks fails the test if goroutines that began in it still run 10 s after the test and
// its cleanups have ended. Call it first, and not in a test that runs in parallel with
// others, because it cannot tell their goroutines from this test's.
//
// It ignores a goroutine if a name in ignore, such as "fasthttp.updateServerDate", is on
// its stack or in the function that created it.
func NoLeaks(t testing.TB, ignore ...string) {
	t.Helper()
	noLeaks(t, leakWait, ignore)
}

func noLeaks(t testing.TB, wait time.Duration, ignore []string) {
	t.Helper()
	before := goroutines(ignore)
	t.Cleanup(func() {
		t.Helper()
		if left := leaked(before, wait, ignore); len(left) > 0 {
			t.Errorf("ssetest: %d goroutines of the test have not ended:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// Main runs the tests of a package, and fails if goroutines have not ended after
// the last of them. It does not return:
//
//	func TestMain(m *testing.M) { ssetest.Main(m) }
//
// m is a [testing.M], or a type that embeds one and whose Run also sets up and cleans up
// what the tests share. See [NoLeaks] for ignore.
func Main(m interface{ Run() int }, ignore ...string) {
	before := goroutines(ignore)
	code := m.Run()
	if code == 0 {
		if left := leaked(before, leakWait, ignore); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "ssetest: %d goroutines of the tests have not ended:\n\n%s\n",
				len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits until no goroutine is left that was not there before, and returns the
// stacks of those that are left when the time is over.
func leaked(before map[string]string, wait time.Duration, ignore []string) []string {
	const atLeast = 10 // because the machine may stall
	deadline := time.Now().Add(wait)
	pause := time.Millisecond
	for looks := 1; ; looks, pause = looks+1, min(2*pause, 100*time.Millisecond) {
		last := looks >= atLeast && !time.Now().Before(deadline)
		http.DefaultClient.CloseIdleConnections()
		left := goroutines(ignore)
		for id := range before {
			delete(left, id)
		}
		if len(left) == 0 || last {
			return slices.Sorted(maps.Values(left))
		}
		<-time.After(pause)
	}
}

// ownGoroutines are the long-lived ones of the standard library.
var ownGoroutines = []string{
	"created by testing.", // tests, and what runs them
	"created by os/signal.",
	"created by runtime.",
	"created by runtime/",
	"runtime.runFinalizers",
	"runtime.runCleanups",
}

// goroutines returns the stacks of all goroutines except the caller's, by their numbers.
func goroutines(ignore []string) map[string]string {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := make(map[string]string)
	for i, stack := range strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n") {
		in := func(name string) bool { return strings.Contains(stack, name) }
		if i == 0 || slices.ContainsFunc(ownGoroutines, in) || slices.ContainsFunc(ignore, in) {
			continue
		}
		id, _, _ := strings.Cut(stack, " [")
		all[id] = stack
	}
	return all
}
