package natslog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
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
	checkFull(t, js, func() {
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
	checkFull(t, connect(t, p.url), func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		p.kill()
		p.start()
	})
}

func checkFull(t *testing.T, js jetstream.JetStream, free func()) {
	t.Helper()
	h := hub.New(hub.WithLog(natslog.New(js, "events")))
	defer func() { _ = h.Shutdown(within(t, patience)) }()
	events := make(chan core.Event, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer close(events)
		for e, err := range h.SubscribeFrom(ctx, hub.Oldest, "a") {
			if err != nil {
				return
			}
			events <- e
		}
	}()
	n := 0
	publish := func(patience time.Duration) error {
		number := strconv.Itoa(n)
		_, err := h.Publish(within(t, patience), "a", core.Event{Data: number + strings.Repeat(" ", 60_000)}, hub.WithIdempotencyKey(number))
		if err == nil {
			n++
		}
		return err
	}
	err := publish(patience)
	for n < 1000 && err == nil {
		err = publish(patience)
	}
	if err == nil {
		t.Fatal("it does not get full")
	}
	t.Logf("event %d: %v", n, err)
	free()
	for deadline := time.Now().Add(patience); ; {
		err := publish(5 * time.Second)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing can be published although there is room again: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
	for range 10 {
		if err := publish(patience); err != nil {
			t.Fatal(err)
		}
	}
	for want := range n {
		e := hosttest.ReceiveWithin(t, patience, events, "event "+strconv.Itoa(want))
		if got := strings.TrimSpace(e.Data); e.Type != "" || got != strconv.Itoa(want) {
			t.Fatalf("got the event %.20q of type %q, want %d of %d", e.Data, e.Type, want, n)
		}
	}
	if err := h.Healthy(); err != nil {
		t.Error(fmt.Errorf("the hub is not healthy: %w", err))
	}
}
