package natslog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/natslog"
)

func TestHub(t *testing.T) {
	hubtest.Run(t, hubtest.Backend{Start: func(t testing.TB) hubtest.Server {
		p := spawn(t)
		return hubtest.Server{
			Addr: strings.TrimPrefix(p.url, "nats://"),
			Open: func(t testing.TB, addr string) (hub.Log, func()) {
				js := connect(t, "nats://"+addr, nats.RetryOnFailedConnect(true))
				return natslog.New(js, "events"), js.Conn().Close
			},
			Kill:    p.kill,
			Restart: p.start,
			RestartEmpty: func() {
				p.dir = t.TempDir()
				p.start()
			},
			Trim: func(n int) {
				js := connect(t, p.url)
				defer js.Conn().Close()
				ctx := within(t, 10*time.Second)
				s, err := js.Stream(ctx, "events")
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Purge(ctx, jetstream.WithPurgeKeep(uint64(n))); err != nil { //nolint:gosec // not negative
					t.Fatal(err)
				}
			},
		}
	}})
}
