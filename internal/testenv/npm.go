package testenv

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"
)

// NPM copies files, which have a package-lock.json, installs its packages there, and returns
// the path of the copy. Without npm, or without the registry, it skips the test; see [Skip].
func NPM(t testing.TB, files fs.FS) (dir string) {
	t.Helper()
	path := Program(t, "npm")
	dir = t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "ci", "--ignore-scripts", "--no-audit", "--no-fund") //nolint:gosec // it is npm
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		Skip(t, "npm ci: "+err.Error()+"\n"+string(out))
	}
	return dir
}
