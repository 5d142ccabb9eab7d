package redislog_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func startRuns(t testing.TB) runtest.Server {
	s := serve(t, durable...)
	return runtest.Server{
		Open:         func(_ testing.TB, addr string) (run.Store, func()) { return openRuns(addr, "app:runs", false) },
		Addr:         s.addr,
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
		return runtest.Server{Open: func(testing.TB, string) (run.Store, func()) { return openRuns(s.addr, prefix, true) }}
	}})
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		s := serve(t)
		return runtest.Server{Open: func(testing.TB, string) (run.Store, func()) { return openRuns(s.addr, "runs", false) }}
	})
}
