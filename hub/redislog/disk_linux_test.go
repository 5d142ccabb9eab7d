package redislog_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// No space is left where the server saves its data: Publish returns an error that says so,
// nothing that it has acknowledged is lost, and when there is space again all goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	testenv.Program(t, "redis-server")
	if !testenv.Unshared(t) {
		return
	}
	for _, policy := range []string{"everysec", "always"} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 10<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			s := (&server{t: t, dir: dir, args: []string{"--appendonly", "yes", "--appendfsync", policy}}).serve()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the server's log:\n%s", s.log())
				}
			})
			hubtest.Full(t, s.open(), policy == "everysec", func(err error) {
				if policy == "everysec" && !strings.Contains(err.Error(), "cannot save") {
					t.Errorf("got %v, want an error that the server cannot save", err)
				}
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				if policy == "always" { // the server gives up
					hosttest.ReceiveWithin(t, patience, s.gone, "the server's end")
					s.restart()
				}
			})
		})
	}
}
