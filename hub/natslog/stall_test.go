package natslog_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/natslog"
)

// A connection that cannot write is locked, but no call waits longer than its deadline.
func TestStall(t *testing.T) {
	t.Parallel()
	s := runServer(t, server.Options{JetStream: true})
	p := hubtest.NewProxy(t, strings.TrimPrefix(s.ClientURL(), "nats://"))
	l := natslog.New(connect(t, "nats://"+p.Addr), "events")
	ids := publish(t, l, 1, 5)
	f := follow(t, l, ids[0])
	f.want("2 3 4 5")
	p.Stall(true, true)
	big := hub.Entry{Topic: "t", Event: core.Event{Data: strings.Repeat("x", 500_000)}}
	var callers sync.WaitGroup
	for range 64 { // more than the sockets' buffers hold
		callers.Go(func() {
			ctx := within(t, time.Second)
			_, err := l.Append(ctx, big)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline's error", err)
			}
			if late := time.Since(deadline(ctx)); late > patience {
				t.Errorf("it returned %v after the deadline: %v", late, err)
			}
		})
	}
	callers.Wait()
	for name, call := range map[string]func(context.Context) error{
		"Last":  func(ctx context.Context) error { _, err := l.Last(ctx); return err },
		"Range": func(ctx context.Context) error { _, err := l.Range(ctx, "", 1); return err },
		"Follow": func(ctx context.Context) error {
			for _, err := range l.Follow(ctx, ids[0]) {
				return err
			}
			return nil
		},
	} {
		ctx := within(t, time.Second)
		err := call(ctx)
		if late := time.Since(deadline(ctx)); err == nil || late > patience {
			t.Errorf("%s returned %v, %v after the deadline", name, err, late)
		}
	}
	if err := f.fails(); err == nil {
		t.Error("Follow continues as if nothing were wrong")
	}
	p.Resume()
	after := publish(t, l, 6, 6)
	got := wantLast(t, f)
	if got.ID != after[0] {
		t.Errorf("the last event is %q, want %q", got.ID, after[0])
	}
}

// wantLast follows until the event "6".
func wantLast(t testing.TB, f *tail) hub.Entry {
	t.Helper()
	for range 1000 {
		e := f.take(1)[0]
		if e.Gap {
			t.Errorf("there is a gap: %+v", e)
		}
		if e.Event.Data == "6" {
			return e
		}
	}
	t.Fatal("the event did not come")
	return hub.Entry{}
}
