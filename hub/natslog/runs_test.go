package natslog_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func startRuns(t testing.TB) runtest.Server {
	p := spawn(t)
	return runtest.Server{
		Addr: p.addr,
		Open: func(t testing.TB, addr string) (run.Store, func()) {
			js := connect(t, "nats://"+addr, nats.RetryOnFailedConnect(true))
			r := natslog.NewRuns(js, "runs")
			return r, func() {
				js.Conn().Close()
				_ = r.Close()
			}
		},
		Kill:    p.kill,
		Restart: p.start,
		RestartEmpty: func() {
			p.dir = t.TempDir()
			p.start()
		},
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: startRuns})
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		url := runServer(t, server.Options{JetStream: true}).ClientURL()
		return runtest.Server{Open: func(t testing.TB, _ string) (run.Store, func()) {
			r := natslog.NewRuns(connect(t, url), "runs")
			return r, func() { _ = r.Close() }
		}}
	})
}
