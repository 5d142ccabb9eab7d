package run_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func startMemory(testing.TB) runtest.Server {
	m := new(runtest.Memory)
	return runtest.Server{
		Open: func(testing.TB, string) (run.Store, func()) {
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
}

// The store in memory passes the tests that other stores must pass.
func TestStore(t *testing.T) {
	runtest.Run(t, runtest.Backend{Start: startMemory, Programs: 1})
}

// Many programs take no time.
func TestStorePrograms(t *testing.T) {
	clean := 0
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			clean += runtest.Program(t, seed, startMemory(t), 20*time.Millisecond)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if clean < 400 {
		t.Errorf("only %d readers were told of a clean end", clean)
	}
}
