package redislog_test

import (
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/presencetest"
)

func TestHub(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, hubtest.Backend{Start: startLog})
}

func TestPresence(t *testing.T) {
	t.Parallel()
	presencetest.Run(t, startLog)
}

// startLog starts a server for a log.
func startLog(t testing.TB) hubtest.Server {
	s := serve(t, durable...)
	c := s.client()
	return hubtest.Server{
		Open: func(t testing.TB, addr string) (hub.Log, func()) {
			l := open(t, addr)
			return l, func() { closeLog(t, l) }
		},
		Addr:         s.addr,
		Kill:         s.kill,
		Restart:      s.restart,
		RestartEmpty: s.restartEmpty,
		Trim: func(n int) {
			if err := c.XTrimMaxLen(soon(t), "events", int64(n)).Err(); err != nil {
				t.Error(err)
			}
		},
		Delete: func(id string) {
			_, place, _ := strings.Cut(id, "-")
			if err := c.XDel(soon(t), "events", place).Err(); err != nil {
				t.Error(err)
			}
		},
	}
}
