package natslog_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A server's store is full: Publish returns an error, nothing that was acknowledged is lost,
// and when there is room again all goes on.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	s := runServer(t, server.Options{JetStream: true, JetStreamMaxStore: 4 << 20})
	js := connect(t, s.ClientURL())
	other, err := js.CreateStream(within(t, patience), jetstream.StreamConfig{Name: "other", Subjects: []string{"other"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := js.Publish(within(t, patience), "other", make([]byte, 50_000)); err != nil {
			t.Fatal(err)
		}
	}
	hubtest.Full(t, natslog.New(js, "events"), true, func(error) {
		if err := other.Purge(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	})
}

// Likewise when the disk is full, where the server must be started again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if !testenv.Unshared(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir, addr: testenv.Addr(t)}
	p.start()
	hubtest.Full(t, natslog.New(connect(t, p.url), "events"), false, func(error) {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		p.kill()
		p.start()
	})
}
