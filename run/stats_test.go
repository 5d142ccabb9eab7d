package run_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/run"
)

// Stats counts each run once, by how it has ended.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithMaxEvents(1), run.WithRetention(time.Minute))
		start := func(key string, stream core.Stream) {
			r.Start(t.Context(), key, func(context.Context) core.Stream { return stream })
		}
		waiting := func(yield func(core.Event, error) bool) { yield(core.Event{Data: "x"}, nil) }
		start("finished", waiting)
		start("limited", core.Then(waiting, core.Event{Data: "one too many"}))
		start("failed", func(yield func(core.Event, error) bool) { yield(core.Event{}, errors.New("failed")) })
		start("failed with an error that panics", func(yield func(core.Event, error) bool) { yield(core.Event{}, (*nilError)(nil)) })
		start("panicked", func(func(core.Event, error) bool) { runtime.Goexit() })
		idle := func(ctx context.Context) core.Stream { return func(func(core.Event, error) bool) { <-ctx.Done() } }
		r.Start(t.Context(), "stopped", idle)
		synctest.Wait()
		if got := r.Stats(); got.Running != 1 || got.Held != 6 || got.Bytes <= 0 {
			t.Errorf("got %+v, want 1 that runs and 6 that are held", got)
		}
		if err := r.Stop(t.Context(), "stopped"); err != nil {
			t.Error(err)
		}
		r.Start(t.Context(), "shut down", idle)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_ = r.Shutdown(over)
		<-time.After(2 * time.Minute)
		want := run.Stats{Started: 7, Ended: map[run.Outcome]int64{run.Returned: 1, run.Failed: 4, run.Stopped: 1, run.ShutDown: 1, run.Lost: 0}}
		if got := r.Stats(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
