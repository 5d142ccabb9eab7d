package hub_test

import (
	"errors"
	"testing"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// The suite for hubs on a log also holds for a hub without one, as far as it applies.
func TestPlain(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, hubtest.Backend{Programs: 50, Start: func(testing.TB) hubtest.Server { return hubtest.Server{} }})
}

func TestMemoryLog(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, hubtest.Backend{Programs: 100, Start: func(testing.TB) hubtest.Server {
		l := new(hubtest.MemoryLog)
		return hubtest.Server{
			Open:         func(testing.TB, string) (hub.Log, func()) { return l, func() {} },
			Kill:         func() { l.Fail(errors.New("the log is away")) },
			Restart:      func() { l.Fail(nil) },
			RestartEmpty: func() { l.Restart(); l.Fail(nil) },
			Trim:         l.Trim,
		}
	}})
}
