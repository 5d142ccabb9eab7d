package run_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// The store in memory passes the tests that other stores must pass.
func TestStore(t *testing.T) {
	runtest.Run(t, runtest.Backend{Start: func(testing.TB) runtest.Server {
		m := new(runtest.Memory)
		return runtest.Server{
			Open: func(testing.TB) (run.Store, func()) {
				l := runtest.NewLink(m)
				return l, l.Cut
			},
			Kill:    func() { m.SetDown(true) },
			Restart: func() { m.SetDown(false) },
			RestartEmpty: func() {
				m.Clear()
				m.SetDown(false)
			},
		}
	}})
}
