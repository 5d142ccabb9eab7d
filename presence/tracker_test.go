package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/presence"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The zero Tracker is alone, and works.
func TestZero(t *testing.T) {
	var p presence.Tracker
	if err := p.Healthy(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		if _, err := p.Join(ctx, "x", "ann", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := keys(&p, "x"), []string{"ann", "ann"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := p.Kick(ctx, "ann", ""); err != nil {
		t.Error(err)
	}
	if err := p.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got := p.Len("x"); got != 0 {
		t.Errorf("after the shutdown: got %d members", got)
	}
}

func TestRefusals(t *testing.T) {
	var p presence.Tracker
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("no time")
	cancel(cause)
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		ctx        context.Context //nolint:containedctx // of the case
		topic, key string
		info       any
		want       string
	}{
		"no topic":          {t.Context(), "", "k", nil, "presence: join: hub: the topic is empty"},
		"a pattern":         {t.Context(), "a.*", "k", nil, `presence: join: hub: topic "a.*" is a pattern: name one topic`},
		"a long topic":      {t.Context(), long[:254], "k", nil, "a name may have at most 255 bytes"},
		"no key":            {t.Context(), "x", "", nil, "presence: join: the key is empty"},
		"a long key":        {t.Context(), "x", long, nil, "presence: join: the key has 256 bytes: it may have at most 255"},
		"a key that is not": {t.Context(), "x", "\xff", nil, "presence: join: the key must be valid UTF-8"},
		"an info that is not": {
			t.Context(), "x", "k", func() {}, `presence: join "x": json: unsupported type: func()`,
		},
		"a long info": {t.Context(), "x", "k", strings.Repeat("x", 4<<10), `presence: join "x": the info has 4098 bytes: it may have at most 4096`},
		"no time":     {ended, "x", "k", nil, `presence: join "x": no time`},
	} {
		leave, err := p.Join(c.ctx, c.topic, c.key, c.info)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) || leave != nil {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if p.Len("x") != 0 {
		t.Error("somebody is there")
	}
	if err := p.Kick(t.Context(), "", ""); err == nil || err.Error() != "presence: kick: the key is empty" {
		t.Errorf("kick nobody: got %v", err)
	}
	if err := p.Kick(t.Context(), "k", strings.Repeat(long, 5)); err == nil {
		t.Error("kick for a long reason: got no error")
	}
	for _, topic := range []string{"", "a.*", ">", long} {
		n := 0
		for _, err := range p.Stream(t.Context(), topic) {
			if n++; err == nil || n > 1 {
				t.Errorf("stream of %q: got %v", topic, err)
			}
		}
		if n == 0 {
			t.Errorf("stream of %q: got nothing", topic)
		}
	}
}

// A client is sent who is there, and then who comes and goes. Topics do not mix.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p presence.Tracker
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		join(t, &p, "x", "ann")
		g := open(ctx, &p, "x")
		got := g.take()
		other := join(t, &p, "y", "bob")
		leave := join(t, &p, "x", "bob")
		got = append(got, g.take()...)
		leave()
		leave() // does nothing
		other()
		got = append(got, g.take()...)
		if want := []string{"members 1", "current", "join bob", "leave bob"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := open(ctx, &p, "nobody").take(), []string{"members 0", "current"}; !slices.Equal(got, want) {
			t.Errorf("nobody: got %q, want %q", got, want)
		}
	})
}

// A client that comes back is sent what it has missed, or everything if it was at another process.
func TestResume(t *testing.T) {
	var here, there presence.Tracker
	var at atomic.Pointer[presence.Tracker]
	at.Store(&here)
	s := ssetest.Open(t, ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return at.Load().Stream(r.Context(), "x")
	})))
	next := func(want ...string) {
		t.Helper()
		g := newPage()
		for _, e := range s.Collect(len(want)) {
			g.receive(e, nil)
		}
		if !slices.Equal(g.events, want) {
			t.Errorf("got %q, want %q", g.events, want)
		}
	}
	next("members 0", "current")
	join(t, &here, "x", "ann")
	next("join ann")
	s.Close()
	join(t, &here, "x", "bob")
	s.Resume()
	next("join bob")
	s.Close()
	join(t, &there, "x", "ben")
	at.Store(&there)
	s.Resume()
	next("members 1", "current")
}

// Clients that come while members do miss none, and have none twice.
func TestStorm(t *testing.T) {
	const writers, joins, clients = 4, 50, 8
	var p presence.Tracker
	var work, reading sync.WaitGroup
	pages := make([]*page, clients)
	for i := range pages {
		pages[i] = newPage()
		reading.Go(func() {
			for e, err := range p.Stream(t.Context(), "x") {
				pages[i].receive(e, err)
				if got, _, _ := pages[i].keys(); err != nil || slices.Contains(got, "last") {
					return
				}
			}
		})
	}
	for range writers {
		work.Go(func() {
			for i := range joins {
				leave, err := p.Join(t.Context(), "x", strconv.Itoa(i), i)
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					leave()
				}
			}
		})
	}
	work.Wait()
	join(t, &p, "x", "last")
	reading.Wait()
	want := keys(&p, "x")
	for _, g := range pages {
		if got, current, err := g.keys(); !slices.Equal(got, want) || !current || err != nil {
			t.Errorf("got %q, current: %v, %v; want %q", got, current, err, want)
		}
	}
}

// A large room is told in several events, none of which is large.
func TestStreamParts(t *testing.T) {
	var p presence.Tracker
	const n = 3000
	for i := range n {
		if _, err := p.Join(t.Context(), "x", fmt.Sprint(i), "<"); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for e, err := range p.Stream(t.Context(), "x") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "current" {
			break
		}
		var list struct {
			First   bool              `json:"first"`
			Members []presence.Member `json:"members"`
		}
		if err := json.Unmarshal([]byte(e.Data), &list); err != nil {
			t.Fatal(err)
		}
		if e.Type != "members" || list.First != (got == 0) || len(e.Data) > 33<<10 {
			t.Errorf("got %s of %d bytes, first: %v, after %d members", e.Type, len(e.Data), list.First, got)
		}
		got += len(list.Members)
	}
	if got != n {
		t.Errorf("got %d members, want %d", got, n)
	}
}

// A client whose connection breaks anywhere in a list has the right one, whichever process it
// comes back to.
func TestBreak(t *testing.T) {
	const parts = 3
	var here presence.Tracker
	there := presence.New(presence.WithLog(&link{Log: new(hubtest.MemoryLog), cut: true, changed: make(chan struct{})}))
	t.Cleanup(func() { _ = there.Shutdown(context.Background()) })
	join(t, &here, "x", "ann")
	info := strings.Repeat("i", 4<<10-2)
	for i := range parts*8 - 1 {
		if _, err := there.Join(t.Context(), "x", strconv.Itoa(i), info); err != nil {
			t.Fatal(err)
		}
	}
	var at atomic.Pointer[presence.Tracker]
	url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return at.Load().Stream(r.Context(), "x")
	}))
	for n := range parts + 2 {
		g := newPage()
		at.Store(&here)
		s := ssetest.Open(t, url)
		receive := func(n int) {
			for _, e := range s.Collect(n) {
				g.receive(e, nil)
			}
		}
		receive(2)
		s.Close()
		at.Store(there)
		s.Resume()
		g.events = nil
		receive(n)
		if complete := n == parts+1; complete != slices.Contains(g.events, "stale") {
			t.Fatalf("after %d events: got %q", n, g.events)
		} else if complete {
			if got, current, err := g.keys(); len(got) != there.Len("x") || current || err != nil {
				t.Errorf("got %d members, current: %v, %v; want %d", len(got), current, err, there.Len("x"))
			}
		}
		s.Close()
		at.Store(&here)
		leave := join(t, &here, "x", "bob")
		s.Resume()
		receive(1)
		if g.events[len(g.events)-1] != "join bob" {
			receive(1) // current
		}
		if got, current, err := g.keys(); !slices.Equal(got, []string{"ann", "bob"}) || !current || err != nil {
			t.Errorf("after %d events: got %q, current: %v, %v", n, got, current, err)
		}
		leave()
		s.Close()
	}
}

func TestJoinCostsNoGoroutine(t *testing.T) {
	const n = 100
	var p presence.Tracker
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := runtime.NumGoroutine()
	for range n {
		if _, err := p.Join(ctx, "x", "ann", nil); err != nil {
			t.Fatal(err)
		}
	}
	if after := runtime.NumGoroutine(); after >= before+n/2 {
		t.Errorf("got %d goroutines after %d joins, before that %d", after, n, before)
	}
}
