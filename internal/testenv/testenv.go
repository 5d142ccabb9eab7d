// Package testenv tells tests which programs the machine has, and starts them. A test that
// needs something optional is skipped with a reason if that is missing. In CI it fails
// instead, so that no test is skipped unnoticed.
package testenv

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Skip skips a test because the machine lacks something. If the environment variable
// CI is "true", the test fails instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s (in CI this fails the test instead of skipping it)", reason)
	}
	t.Skip(reason)
}

// Program returns the path of the first of these programs that the machine has.
// Without one, it skips the test; see [Skip].
func Program(t testing.TB, names ...string) string {
	t.Helper()
	if paths := Find(names...); len(paths) > 0 {
		return paths[0]
	}
	Skip(t, "no "+strings.Join(names, " or ")+": install it to run this test")
	return ""
}

// Find returns the paths of all programs with these names. It looks in each directory of
// PATH, and in the directory sbin next to it, which is often only in root's PATH.
func Find(names ...string) (paths []string) {
	for _, name := range names {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			for _, dir := range []string{dir, filepath.Join(filepath.Dir(dir), "sbin")} {
				if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
					paths = append(paths, path)
				}
			}
		}
	}
	return paths
}

// Parallel makes up to 16 tests that call t.Parallel run at once, because they wait most of
// the time. Call it in TestMain.
func Parallel() { AtOnce(16) } //nolint:mnd // see above

// ParallelChecks is Parallel for the tests of an adapter, of which 32 at once use a third of a CPU.
func ParallelChecks() { AtOnce(32) } //nolint:mnd // see above

// AtOnce makes up to n tests that call t.Parallel run at once. Call it in TestMain.
func AtOnce(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}
