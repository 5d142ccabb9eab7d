package natslog_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: func(t testing.TB) runtest.Server {
		p := spawn(t)
		return runtest.Server{
			Open: func(t testing.TB) (run.Store, func()) {
				js := connect(t, "nats://"+p.addr, nats.RetryOnFailedConnect(true))
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
	}})
}
