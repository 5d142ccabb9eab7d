package redislog_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
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
			checkDiskFull(t, s, policy, func() {
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

func checkDiskFull(t *testing.T, s *server, policy string, free func()) {
	t.Helper()
	h := hub.New(hub.WithLog(s.open()))
	defer func() { _ = h.Shutdown(soon(t)) }()
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
	publish := func() error {
		number := strconv.Itoa(n)
		data := number + " " + string(bytes.Repeat([]byte{'x'}, 60_000))
		_, err := h.Publish(soon(t), "a", core.Event{Data: data}, hub.WithIdempotencyKey(number))
		if err == nil {
			n++
		}
		return err
	}
	err := publish()
	for n < 1000 && err == nil {
		err = publish()
	}
	if err == nil {
		t.Fatal("the disk does not get full")
	}
	if policy == "everysec" && !strings.Contains(err.Error(), "cannot save") {
		t.Errorf("got %v, want an error that the server cannot save", err)
	}
	free()
	for deadline := time.Now().Add(patience); publish() != nil; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing can be published although there is space again; the server's log:\n%s", s.log())
		}
		<-time.After(50 * time.Millisecond)
	}
	for range 10 {
		if err := publish(); err != nil {
			t.Fatal(err)
		}
	}
	for want := range n {
		e := hosttest.ReceiveWithin(t, patience, events, "event "+strconv.Itoa(want))
		if got, _, _ := strings.Cut(e.Data, " "); e.Type != "" || got != strconv.Itoa(want) {
			t.Fatalf("got the event %.20q of type %q, want %d of %d", e.Data, e.Type, want, n)
		}
	}
	if err := h.Healthy(); err != nil {
		t.Error(fmt.Errorf("the hub is not healthy: %w", err))
	}
}
