package redislog_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// A run that one process has started is read in another one.
func ExampleNewRuns() {
	open := func() (*run.Runner, *redislog.Runs) { // as each process does
		store := redislog.NewRuns(&redis.UniversalOptions{Addrs: []string{os.Getenv("REDIS_ADDR")}}, "answers")
		return run.New(run.WithStore(store)), store
	}
	one, store := open()
	defer store.Close()
	other, store := open()
	defer store.Close()

	ctx := context.Background()
	one.Start(ctx, "chat-7", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "To be"}, nil) && yield(core.Event{Data: "or not"}, nil)
		}
	})
	for e, err := range other.Attach(ctx, "chat-7") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Data)
	}
	// Output:
	// To be
	// or not
}

func startRuns(t testing.TB) runtest.Server {
	s := serve(t, durable...)
	return runtest.Server{
		Open:         func(testing.TB) (run.Store, func()) { return openRuns(s.addr, "app:runs", false) },
		Kill:         s.kill,
		Restart:      s.restart,
		RestartEmpty: s.restartEmpty,
	}
}

func openRuns(addr, prefix string, cluster bool) (run.Store, func()) {
	r := redislog.NewRuns(&redis.UniversalOptions{Addrs: []string{addr}, IsClusterMode: cluster}, prefix)
	return r, func() { _ = r.Close() }
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: startRuns})
}

// Each run is in one slot. The tests share a server, with a prefix for each.
func TestRunsInCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t)
	var started atomic.Int64
	runtest.Run(t, runtest.Backend{Programs: 1, Start: func(testing.TB) runtest.Server {
		prefix := fmt.Sprint("runs*", started.Add(1))
		return runtest.Server{Open: func(testing.TB) (run.Store, func()) { return openRuns(s.addr, prefix, true) }}
	}})
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		s := serve(t)
		return runtest.Server{Open: func(testing.TB) (run.Store, func()) { return openRuns(s.addr, "runs", false) }}
	})
}
