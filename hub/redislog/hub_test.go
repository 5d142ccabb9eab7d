package redislog_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

func TestHub(t *testing.T) {
	hubtest.Run(t, hubtest.Backend{Start: func(t testing.TB) hubtest.Server {
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
		}
	}})
}
