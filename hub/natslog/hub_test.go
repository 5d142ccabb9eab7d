package natslog_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/presencetest"
)

func TestHub(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, hubtest.Backend{Programs: 20, Start: startLog})
}

func TestPresence(t *testing.T) {
	t.Parallel()
	presencetest.Run(t, startLog)
}

// startLog starts a server for a log.
func startLog(t testing.TB) hubtest.Server {
	t.Helper()
	p := spawn(t)
	return hubtest.Server{
		Addr: p.addr,
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
			change(t, p, func(ctx context.Context, s jetstream.Stream) error {
				return s.Purge(ctx, jetstream.WithPurgeKeep(uint64(n))) //nolint:gosec // not negative
			})
		},
		Delete: func(id string) {
			change(t, p, func(ctx context.Context, s jetstream.Stream) error {
				_, digits, _ := strings.Cut(id, "-")
				sequence, _ := strconv.ParseUint(digits, 10, 64)
				if err := s.DeleteMsg(ctx, sequence); !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
					return err
				}
				return nil // it has gone already
			})
		},
	}
}

// change changes the stream.
func change(t testing.TB, p *process, f func(ctx context.Context, s jetstream.Stream) error) {
	t.Helper()
	js := connect(t, p.url)
	defer js.Conn().Close()
	ctx := within(t, patience)
	s, err := js.Stream(ctx, "events")
	if err == nil {
		err = f(ctx, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}
