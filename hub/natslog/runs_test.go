package natslog_test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

func startRuns(t testing.TB) runtest.Server {
	p := spawn(t)
	return runtest.Server{
		Addr: p.addr,
		Open: func(t testing.TB, addr string) (run.Store, func()) {
			js := connect(t, "nats://"+addr, nats.RetryOnFailedConnect(true))
			r := natslog.NewRuns(js, "runs")
			return r, func() {
				js.Conn().Close()
				_ = r.Close()
			}
		},
		TooLarge: 1 << 20, // the server's max_payload
		Kill:     p.kill,
		Restart:  p.start,
		RestartEmpty: func() {
			p.dir = t.TempDir()
			p.start()
		},
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	runtest.Run(t, runtest.Backend{Start: startRuns})
}

// openRuns opens the runs until the end of the test.
func openRuns(t testing.TB, js jetstream.JetStream, opts ...natslog.Option) *natslog.Runs {
	r := natslog.NewRuns(js, "runs", opts...)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// claim begins a run.
func claim(t testing.TB, s run.Store, id string) run.Claim {
	t.Helper()
	c := run.Claim{Key: "x", ID: id, Lease: time.Hour, Retention: time.Hour}
	if r, err := s.Claim(within(t, patience), c); err != nil || r.ID != id {
		t.Fatalf("got %+v, %v", r, err)
	}
	return c
}

func add(t testing.TB, s run.Store, c run.Claim, first int, entries ...string) {
	t.Helper()
	if _, err := s.Append(within(t, patience), c, run.Batch{First: first, Entries: entries}); err != nil {
		t.Fatal(err)
	}
}

// wantEntries reads a run from its beginning.
func wantEntries(t testing.TB, s run.Store, c run.Claim, want ...string) {
	t.Helper()
	ctx, cursor, got := within(t, patience), "", []string(nil)
	for more := true; more; {
		p, err := s.Read(ctx, c.Key, c.ID, cursor)
		if err != nil {
			t.Fatalf("after %d entries: %v", len(got), err)
		}
		if p.More && p.Cursor == cursor {
			t.Fatalf("after %d entries: there is more, but it does not come", len(got))
		}
		got, cursor, more = append(got, p.Entries...), p.Cursor, p.More
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d entries, want %d: %.200q", len(got), len(want), got)
	}
}

// A message may be larger than what is read at once.
func TestRunsLargeMessages(t *testing.T) {
	t.Parallel()
	url := runServer(t, server.Options{JetStream: true, MaxPayload: 8 << 20}).ClientURL()
	s, other := openRuns(t, connect(t, url)), openRuns(t, connect(t, url))
	c := claim(t, s, "aaaaaaaa")
	var want []string
	for i := range 2 {
		want = append(want, strings.Repeat("x", 1200<<10)+strconv.Itoa(i))
		add(t, s, c, i+1, want[i])
		wantEntries(t, other, c, want...)
	}
	if err := s.End(within(t, patience), c, run.End{Outcome: run.Returned, Events: len(want)}); err != nil {
		t.Fatal(err)
	}
	next := claim(t, s, "bbbbbbbb")
	add(t, s, next, 1, want[0])
	wantEntries(t, other, next, want[0])
	wantEntries(t, other, c, want...)
}

// A process that is told that its run is lost does not keep it.
func TestRunsLostIsNotKept(t *testing.T) {
	t.Parallel()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	s := openRuns(t, js)
	c := claim(t, s, "aaaaaaaa")
	add(t, s, c, 1, "one")
	stream, err := js.Stream(within(t, patience), "runs")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if n := s.Owned(); n != 1 {
		t.Errorf("got %d runs, want 1", n)
	}
	if _, err := s.Append(within(t, patience), c, run.Batch{First: 2, Entries: []string{"two"}}); !errors.Is(err, run.ErrLost) {
		t.Errorf("got %v, want %v", err, run.ErrLost)
	}
	if n := s.Owned(); n != 0 {
		t.Errorf("got %d runs, want none", n)
	}
}

// Only the stream's leader has the newest messages for sure. What other servers do not have yet is not missing.
func TestRunsLag(t *testing.T) {
	t.Parallel()
	url, lag := runServer(t, server.Options{JetStream: true}).ClientURL(), new(sieve)
	s, other := openRuns(t, connect(t, url)), openRuns(t, connect(t, url, nats.SetCustomDialer(lag)))
	old := claim(t, s, "aaaaaaaa")
	add(t, s, old, 1, "one")
	add(t, s, old, 2, "two")
	if err := s.End(within(t, patience), old, run.End{Outcome: run.Returned, Events: 2}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, s, "bbbbbbbb")
	add(t, s, c, 1, "one", "two")
	add(t, s, c, 3, "three")
	add(t, s, c, 4)
	for _, answers := range []int{0, 1, 2, 3, 4, 5, 6, 7} {
		lag.mu.Lock()
		left := answers
		lag.drops = func(message []byte) bool { // all but the first ones, of what any server may answer
			if !bytes.Contains(message, []byte("Nats-Sequence: ")) {
				return false
			}
			left--
			return left < 0
		}
		lag.mu.Unlock()
		wantEntries(t, other, c, "one", "two", "three")
		wantEntries(t, other, old, "one", "two")
	}
}

// When the retention time of a run is over, however it has ended, nothing of it is left.
func TestRunsLeaveNothing(t *testing.T) {
	t.Parallel()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	s, other := openRuns(t, js), openRuns(t, js)
	for key, end := range map[string]*run.End{
		"returned": {Outcome: run.Returned, Clean: true, Events: 1}, "failed": {Outcome: run.Failed, Message: "why", Events: 1}, "lost": nil,
	} {
		for _, id := range []string{"aaaaaaaa", "bbbbbbbb"} { // the second one replaces the first one
			c := run.Claim{Key: key, ID: id, Lease: 500 * time.Millisecond, Retention: 500 * time.Millisecond}
			ctx := within(t, patience)
			if r, err := s.Claim(ctx, c); err != nil || r.ID != id {
				t.Fatalf("claim: got %+v, %v", r, err)
			}
			lost := func(err error) bool { return errors.Is(err, run.ErrLost) } // the machine is slow
			if _, err := s.Append(ctx, c, run.Batch{First: 1, Entries: []string{"data: x\n\n"}}); err != nil && !lost(err) {
				t.Fatal(err)
			}
			if end != nil {
				if err := s.End(ctx, c, *end); err != nil && !lost(err) {
					t.Fatal(err)
				}
				continue
			}
			hosttest.Eventually(t, "the run to be lost", func() bool {
				r, err := other.Get(ctx, key)
				return err == nil && r.Outcome == run.Lost || errors.Is(err, run.ErrNotHeld)
			})
		}
	}
	stream, err := js.Stream(within(t, patience), "runs")
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "the stream to be empty", func() bool {
		info, err := stream.Info(within(t, patience))
		return err == nil && info.State.Msgs == 0
	})
	if records, err := s.List(within(t, patience)); err != nil || len(records) > 0 {
		t.Errorf("got %+v, %v", records, err)
	}
}

// A process that has ended a run and is gone does not drop it. The others do when they look.
func TestRunsLeaveNothingOfOthers(t *testing.T) {
	t.Parallel()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	gone, other := natslog.NewRuns(js, "runs"), openRuns(t, js)
	for _, c := range []run.Claim{
		{Key: "short", ID: "aaaaaaaa", Lease: 500 * time.Millisecond, Retention: 500 * time.Millisecond},
		{Key: "none", ID: "bbbbbbbb", Lease: 500 * time.Millisecond},
		{Key: "died", ID: "cccccccc", Lease: 500 * time.Millisecond, Retention: 500 * time.Millisecond},
		{Key: "long", ID: "dddddddd", Lease: time.Hour, Retention: time.Hour},
	} {
		ctx := within(t, patience)
		if r, err := gone.Claim(ctx, c); err != nil || r.ID != c.ID {
			t.Fatalf("claim: got %+v, %v", r, err)
		}
		if c.Key == "died" {
			continue
		}
		if err := gone.End(ctx, c, run.End{Outcome: run.Returned, Clean: true}); err != nil && !errors.Is(err, run.ErrLost) {
			t.Fatal(err) // it is lost if the machine is slow
		}
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t, patience), "runs")
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "only the long run to be left", func() bool {
		if _, err := other.List(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(within(t, patience))
		return err == nil && info.State.Msgs == 2
	})
	if r, err := other.Get(within(t, patience), "long"); err != nil || r.Outcome != run.Returned {
		t.Errorf("got %+v, %v", r, err)
	}
}

// A stream with the same subjects, but another name, is left alone.
func TestRunsOtherStream(t *testing.T) {
	t.Parallel()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	stream := makeStream(t, js, jetstream.StreamConfig{Name: "other", Subjects: []string{"runs.>"}})
	s := openRuns(t, js)
	if _, err := s.Claim(within(t, patience), run.Claim{Key: "x", ID: "aaaaaaaa", Lease: time.Hour}); err == nil {
		t.Error("got no error")
	}
	info, err := stream.Info(within(t, patience))
	if err != nil || info.State.Msgs > 0 {
		t.Errorf("got %+v, %v", info, err)
	}
}

// If the stream accepts only small messages, the error says so.
func TestRunsMaxMsgSize(t *testing.T) {
	t.Parallel()
	js := connect(t, runServer(t, server.Options{JetStream: true}).ClientURL())
	s := openRuns(t, js, natslog.WithStream(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }))
	c := claim(t, s, "aaaaaaaa")
	_, err := s.Append(within(t, patience), c, run.Batch{First: 1, Entries: []string{strings.Repeat("x", 1000)}})
	if !errors.Is(err, run.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	add(t, s, c, 1, "one")
	wantEntries(t, s, c, "one")
}

func BenchmarkRuns(b *testing.B) {
	runtest.Benchmark(b, func(t testing.TB) runtest.Server {
		url := runServer(t, server.Options{JetStream: true}).ClientURL()
		return runtest.Server{Open: func(t testing.TB, _ string) (run.Store, func()) {
			r := openRuns(t, connect(t, url))
			return r, func() { _ = r.Close() }
		}, HubLog: func(t testing.TB) hub.Log { return natslog.New(connect(t, url), "events") }}
	})
}
