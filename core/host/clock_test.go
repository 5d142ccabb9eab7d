package host_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// The longest duration means never, and does not affect the other settings.
func TestForever(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithWriteTimeout(never), core.WithFlushWindow(never),
			core.WithHeartbeat(4*time.Second), core.WithMaxDuration(never))
		time.AfterFunc(9*time.Second, tr.ClientGone)
		isError(t, tr.serve(func(ctx context.Context, _ func(core.Event, error) bool) { <-ctx.Done() }), nil)
		equal(t, tr.log, []string{open, `4s ": heartbeat\n\n"`, `8s ": heartbeat\n\n"`, "9s Abort"})
	})
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithHeartbeat(never), core.WithWriteTimeout(2*time.Second))
		tr.stuckAt("a")
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
		}), nil)
		equal(t, tr.log, []string{open, `0s "data: a\n\n"`, "2s Abort"})
		isError(t, tr.sum.Cause, core.ErrSlowClient)
	})
}

// A list of options that was made from two lists may have a group twice.
func TestGroupGivenTwice(t *testing.T) {
	g := core.Group{Limit: 1}
	s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g), core.WithGroup(&g))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g.Len(), 1; got != want {
		t.Errorf("got %d sessions, want %d", got, want)
	}
	s.Close(nil)
}
