package hubtest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Full checks a hub over a log whose server has little room left, for at most 1,000 events of
// 60 kB: when it is full, Publish returns an error; nothing that was acknowledged is lost; and
// when free, which gets that error, has made room, all goes on. If reads, the log can be read
// while it is full. Full shuts the hub down.
func Full(t *testing.T, log hub.Log, reads bool, free func(err error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	within := func(d time.Duration, f func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return f(ctx)
	}
	h := hub.New(hub.WithLog(log))
	defer func() { _ = within(patience, h.Shutdown) }()
	events := make(chan core.Event, 2000)
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
	publish := func(d time.Duration) error {
		number := strconv.Itoa(n)
		err := within(d, func(ctx context.Context) error {
			_, err := h.Publish(ctx, "a", core.Event{Data: number + strings.Repeat(" ", 60_000)}, hub.WithIdempotencyKey(number))
			return err
		})
		if err == nil {
			n++
		}
		return err
	}
	const attempt = 5 * time.Second // a server that is full, or is not there yet, may not answer
	err := publish(attempt)
	for n < 1000 && err == nil {
		err = publish(attempt)
	}
	if err == nil {
		t.Fatal("it does not get full")
	}
	t.Logf("event %d: %v", n, err)
	if reads {
		readAll(t, log, n)
	}
	free(err)
	for deadline := time.Now().Add(patience); ; {
		err := publish(attempt)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing can be published although there is room again: %v", err)
		}
		<-time.After(50 * time.Millisecond) //nolint:mnd // between two attempts
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
		t.Errorf("the hub is not healthy: %v", err)
	}
}

// readAll reads n entries from the log's server. The one that was refused may be there too.
func readAll(t *testing.T, log hub.Log, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, after := 0, ""
	for more := true; more; {
		entries, err := log.Range(ctx, after, 100)
		if err != nil {
			t.Fatalf("a log that is full cannot be read: %v", err)
		}
		for _, e := range entries {
			if e.Topic != "" {
				got++
			}
			after = e.ID
		}
		more = len(entries) > 0
	}
	if got < n || got > n+1 {
		t.Errorf("a log that is full has %d entries, want %d", got, n)
	}
}
