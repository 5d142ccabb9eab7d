package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
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

// A slow connection needs a while for each request.
type slow struct{ net.Conn }

func (s slow) Write(p []byte) (int, error) {
	<-time.After(50 * time.Millisecond)
	return s.Conn.Write(p) //nolint:wrapcheck // the client looks at it
}

// Redis may have so many keys of others that the list takes longer than any one call may.
func TestRunsListAmongMany(t *testing.T) {
	t.Parallel()
	s := serve(t, "--enable-debug-command", "local")
	options := redis.UniversalOptions{Addrs: []string{s.addr}}
	client := redis.NewUniversalClient(&options)
	defer func() { _ = client.Close() }()
	if err := client.Do(soon(t), "DEBUG", "POPULATE", 100_000).Err(); err != nil {
		t.Fatal(err)
	}
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return slow{c}, err
	}
	runs, closeRuns := openRuns(&options, "runs")
	defer closeRuns()
	if _, err := runs.Claim(soon(t), run.Claim{Key: "x", ID: "abcdefgh", Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if records, err := runs.List(soon(t)); err != nil || len(records) != 1 || records[0].Key != "x" {
		t.Errorf("got %+v, %v, want the run x", records, err)
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
	defer func() { _ = watcher.Close() }()
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

// When the retention time of a run is over, however it has ended, and even if nobody has noticed that it was lost,
// nothing of it is left.
func TestRunsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	store, closeStore := openRuns(&redis.UniversalOptions{Addrs: []string{s.addr}}, "runs")
	defer closeStore()
	for key, end := range map[string]*run.End{
		"returned": {Outcome: run.Returned, Clean: true, Events: 1}, "failed": {Outcome: run.Failed, Message: "why", Events: 1},
		"lost": nil, "replaced": {Outcome: run.Stopped, Events: 1},
	} {
		c := run.Claim{Key: key, ID: "aaaaaaaa", Starter: "ann", Lease: 500 * time.Millisecond, Retention: time.Second}
		if end != nil {
			c.Lease = patience
			c.Retention = patience
		}
		begin := func() {
			t.Helper()
			if _, err := store.Claim(soon(t), c); err != nil {
				t.Fatal(err)
			}
			lost := func(err error) bool { // the machine is slow
				return end == nil && (errors.Is(err, run.ErrLost) || errors.Is(err, run.ErrNotHeld))
			}
			if _, err := store.Append(soon(t), c, run.Batch{First: 1, Entries: []string{"data: x\n\n"}}); err != nil && !lost(err) {
				t.Fatal(err)
			}
			if _, err := store.Stop(soon(t), key, run.StopRequest{}); err != nil && !lost(err) {
				t.Fatal(err)
			}
		}
		begin()
		if end == nil {
			continue
		}
		if err := store.End(soon(t), c, *end); err != nil {
			t.Fatal(err)
		}
		if key == "replaced" {
			c.ID = "bbbbbbbb"
			begin()
		}
	}
	c := s.client()
	// Redis itself drops what is left, so it need not be waited for.
	names, err := c.Keys(soon(t), "*").Result()
	want := 12
	if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "lost") }) { // it has been dropped already
		want = 9
	}
	if err != nil || len(names) < want {
		t.Fatalf("got %q, %v", names, err)
	}
	for _, name := range names {
		ttl := c.PTTL(soon(t), name).Val()
		gone := ttl == -2 && strings.Contains(name, "lost")
		if !gone && ttl <= 0 || ttl > 2*patience {
			t.Errorf("%s is held for %v", name, ttl)
		}
	}
	hosttest.Eventually(t, "the lost run to be dropped", func() bool {
		return len(c.Keys(soon(t), "*lost*").Val()) == 0
	})
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
		}, HubLog: func(testing.TB) hub.Log { return s.open() }}
	})
}
