// Package testenv tells tests what the machine has. A test that needs something
// optional skips with a reason where that is missing, and fails there in CI, where
// nothing may skip unnoticed.
package testenv

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Skip skips a test because the machine lacks something. If the environment variable
// CI is "true", the test fails instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s (in CI a test fails where it would skip elsewhere)", reason)
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

// Find returns the paths of all programs of these names. It looks in each directory
// of PATH, and in the directory sbin next to it, which is often in root's PATH
// only.
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

// Parallel has up to 8 tests of a package that call t.Parallel run at once, because
// they wait for most of their time. It is for TestMain.
func Parallel() {
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
}
