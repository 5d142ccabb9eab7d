package redislog_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func openRuns(addr string, cluster bool) *redislog.Runs {
	return redislog.NewRuns(&redis.UniversalOptions{Addrs: []string{addr}, IsClusterMode: cluster}, "app:runs")
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: func(t testing.TB) runtest.Server {
		s := serve(t, durable...)
		return runtest.Server{
			Open: func(testing.TB) (run.Store, func()) {
				r := openRuns(s.addr, false)
				return r, func() { _ = r.Close() }
			},
			Kill:         s.kill,
			Restart:      s.restart,
			RestartEmpty: s.restartEmpty,
		}
	}})
}

func TestRunsInCluster(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Programs: 1, Start: func(t testing.TB) runtest.Server {
		s := serveCluster(t)
		return runtest.Server{Open: func(testing.TB) (run.Store, func()) {
			r := openRuns(s.addr, true)
			return r, func() { _ = r.Close() }
		}}
	}})
}
