package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

var addressLine = regexp.MustCompile(`(?m)^ +(\S.*?) +(http://\S+)$`)

// startDemo starts the demo as a process until the test ends, and returns the address
// of each framework.
func startDemo(t *testing.T) map[string]string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "demo.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", name, ".")
	build.Dir = "../../examples/demo"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	demo := exec.Command(name, "-addr", "127.0.0.1:0", "-tick", "100ms") //nolint:noctx // it ends with the test
	urls := make(map[string]string)
	for _, m := range addressLine.FindAllStringSubmatch(testenv.Start(t, demo, "Ctrl-C"), -1) {
		urls[m[1]] = m[2]
	}
	if len(urls) != 6 {
		t.Fatalf("got the addresses %v, want 6", urls)
	}
	return urls
}

// The demo's streams are clean, on each framework.
func TestCheckDemo(t *testing.T) {
	t.Parallel()
	urls := startDemo(t)
	t.Run("streams", func(t *testing.T) { // it returns when all of them have returned
		for name, url := range urls {
			for _, path := range []string{"/stream", "/ticker", "/news", "/chat?name=ada"} {
				t.Run(name+path, func(t *testing.T) {
					t.Parallel()
					clean := func(r check.Report) bool { // on a busy machine events may arrive in clumps
						return !slices.ContainsFunc(wrong(r), func(f string) bool { return strings.HasPrefix(f, "delivery: ") })
					}
					r, stderr, status := watch(t, clean, url+path)
					equal(t, "stderr", stderr, "")
					equal(t, "stream", r.Stream, true)
					faults := wrong(r)
					equal(t, "status is good", status == statusOK, len(faults) == 0)
					if path == "/ticker" { // on a busy machine, newer prices have replaced what came next
						faults = slices.DeleteFunc(faults, func(f string) bool { return strings.HasPrefix(f, "resumption: after ID") })
					}
					equal(t, "wrong", strings.Join(faults, "\n"), "")
				})
			}
		}
	})
}
