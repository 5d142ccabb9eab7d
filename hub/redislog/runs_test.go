package redislog_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// startRuns starts a server with a user that has only the permissions in the documentation.
func startRuns(t testing.TB) runtest.Server {
	user := append([]string{"--user", "runs", "on", ">password"}, permissions(t, "runs.go", "runs")...)
	s := serve(t, append(user, durable...)...)
	return runtest.Server{
		Open: func(_ testing.TB, addr string) (run.Store, func()) {
			return openRuns(&redis.UniversalOptions{Addrs: []string{addr}, Username: "runs", Password: "password"}, "runs")
		},
		Addr:         s.addr,
		Kill:         s.kill,
		Restart:      s.restart,
		RestartEmpty: s.restartEmpty,
	}
}

func openRuns(options *redis.UniversalOptions, prefix string) (run.Store, func()) {
	r := redislog.NewRuns(options, prefix)
	return r, func() { _ = r.Close() }
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: startRuns})
}

// A mute is a connection from which nothing comes any more once it is muted.
type mute struct {
	net.Conn

	muted *atomic.Bool
}

func (m mute) Read(p []byte) (int, error) {
	for {
		if n, err := m.Conn.Read(p); err != nil || !m.muted.Load() {
			return n, err
		}
	}
}

// A connection for hints that has died without a sign is replaced.
func TestRunsSilentConnection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var muted atomic.Pointer[atomic.Bool]
	muted.Store(new(atomic.Bool))
	options := redis.UniversalOptions{Addrs: []string{s.addr}}
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return mute{c, muted.Load()}, err
	}
	watcher := redislog.NewRuns(&options, "runs")
	defer watcher.Close()
	watcher.SetBeat(200 * time.Millisecond)
	other, closeOther := openRuns(&redis.UniversalOptions{Addrs: []string{s.addr}}, "runs")
	defer closeOther()
	c := run.Claim{Key: "x", ID: "abcdefgh", Lease: time.Hour}
	if _, err := other.Claim(soon(t), c); err != nil {
		t.Fatal(err)
	}
	hints := make(chan bool, 1)
	defer watcher.Watch("x", run.HintEvents, func() {
		select {
		case hints <- true:
		default:
		}
	})()
	events := 0
	hint := func() {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			events++
			if _, err := other.Append(soon(t), c, run.Batch{First: events, Entries: []string{"data: x\n\n"}}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-hints:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatal("there is no hint")
			}
		}
	}
	hint() // that it is subscribed
	hint()
	muted.Swap(new(atomic.Bool)).Store(true)
	select { // one that came before that
	case <-hints:
	default:
	}
	hint()
}

// Each run is in one slot. The tests share a server, with a prefix for each.
func TestRunsInCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t)
	var started atomic.Int64
	runtest.Run(t, runtest.Backend{Programs: 1, Start: func(testing.TB) runtest.Server {
		prefix := fmt.Sprint("runs*", started.Add(1))
		return runtest.Server{Open: func(testing.TB, string) (run.Store, func()) {
			return openRuns(&redis.UniversalOptions{Addrs: []string{s.addr}, IsClusterMode: true}, prefix)
		}}
	}})
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		s := serve(t)
		return runtest.Server{Open: func(testing.TB, string) (run.Store, func()) {
			return openRuns(&redis.UniversalOptions{Addrs: []string{s.addr}}, "runs")
		}}
	})
}
