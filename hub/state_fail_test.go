package hub_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// Whatever a state does wrong makes the stream fail.
func TestStateFails(t *testing.T) {
	failing := func(err error) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "x"}, nil) && yield(core.Event{Data: "y"}, nil) && yield(core.Event{}, err)
		}
	}
	for name, tt := range map[string]struct {
		state core.Stream
		words string
		want  string
	}{
		"an error":   {failing(errors.New("no database")), "x", "hub: state: no database"},
		"EOF":        {failing(io.EOF), "x", "hub: state: EOF"},
		"a shutdown": {failing(core.ErrShutdown), "x", "hub: state: core: "},
		"the gap of another hub": {
			failing(&hub.GapError{Gap: hub.Gap{Reason: hub.GapExpired}}), "x", "hub: state: hub: events are missing",
		},
		"an ID too early": {func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "x", ID: "1"}, nil) && yield(core.Event{Data: "y"}, nil)
		}, "", `hub: state: an event has the ID "1", but only the last one may have an ID`},
		"an event that cannot be encoded": {func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Type: "two\nlines"}, nil)
		}, "", "hub: state: core: "},
	} {
		t.Run(name, func(t *testing.T) {
			h := hub.New()
			s := h.SubscribeWith(soon(t), []string{"a"}, hub.WithState(tt.state))
			r := read(t, s)
			r.want(tt.words)
			check := func(way string, err error) {
				t.Helper()
				var gap *hub.GapError
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) || errors.As(err, &gap) {
					t.Errorf("%s: got %v, want %s", way, err, tt.want)
				}
				if got := h.Len("a"); got != 0 {
					t.Errorf("%s: got %d subscriptions after the failure, want none", way, got)
				}
			}
			check("ranged over", r.end())
			for _, detach := range []bool{false, true} {
				ends := make(chan core.Summary, 1)
				opts := []core.Option{core.WithObserver(core.Observer{Closed: func(_ context.Context, end core.Summary) { ends <- end }})}
				way := "forwarded"
				if detach {
					way, opts = "detached", append(opts, core.WithDetach())
				}
				url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
					return h.SubscribeWith(r.Context(), []string{"a"}, hub.WithState(tt.state))
				}, opts...))
				if rest, err := ssetest.Open(t, url).Rest(); err == nil {
					t.Errorf("%s: got %v, and a clean end", way, rest)
				}
				select {
				case end := <-ends:
					check(way, end.Err)
				case <-time.After(patience):
					t.Fatal("the session has not ended")
				}
			}
		})
	}
}

// An empty state is none, and the client stays without an ID.
func TestStateEmpty(t *testing.T) {
	h := hub.New()
	publish(t, h, "a", "1")
	entered := false
	r := read(t, h.SubscribeWith(soon(t), []string{"a"}, hub.WithState(func(func(core.Event, error) bool) {
		publish(t, h, "a", "2")
		entered = true
	})))
	r.want("2")
	if !entered {
		t.Error("the state was not taken")
	}
}

// A client that has missed something is told so, if the state has nothing for it.
func TestStateEmptyAfterGap(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, restart := open(hub.WithMaxEvents(2))
		first := publish(t, h, "a", "1")
		publishAll(t, h, "a", "2 3 4 5")
		synctest.Wait()
		if h.Stats().Log == nil { // no log, which would have all of them
			l := listenWith(t, h, "dropped", []string{"a"}, stateOf(""), hub.From(hub.After(first)))
			l.want("GAP:dropped")
			if want := (hub.Gap{Reason: hub.GapDropped, After: first, Through: h.LastID()}); !sameGap(l.first, want) {
				t.Errorf("got %+v, want %+v", l.first, want)
			}
			publish(t, h, "a", "6")
			l.want("6")
		}
		before := h.LastID()
		h = restart()
		publish(t, h, "a", "7")
		synctest.Wait()
		l := listenWith(t, h, "restarted", []string{"a"}, stateOf(""), hub.From(hub.After(before)))
		l.want("GAP:restarted")
		publish(t, h, "a", "8")
		l.want("8")
	})
}

// Each run of a stream has a gap of its own, even if they run at once.
func TestStateEmptyInTwoRuns(t *testing.T) {
	for _, id := range []string{"7", hub.New().LastID()} {
		h := hub.New()
		begin := h.LastID()
		var (
			s      core.Stream
			second *reader
		)
		s = h.SubscribeWith(soon(t), []string{"a"}, hub.From(hub.After(id)), hub.WithState(func(func(core.Event, error) bool) {
			if second == nil {
				publish(t, h, "a", "1")
				second = read(t, s)
				if gap := gapOf(t, second.event()); gap.Through != h.LastID() {
					t.Errorf("got %+v for the second run, want a gap through %s", gap, h.LastID())
				}
			}
		}))
		first := read(t, s)
		if gap := gapOf(t, first.event()); gap.Through != begin {
			t.Errorf("got %+v for the first run, want a gap through %s", gap, begin)
		}
		first.want("1")
		publish(t, h, "a", "2")
		first.want("2")
		second.want("2")
	}
}

func sameGap(a, b hub.Gap) bool {
	return a.Reason == b.Reason && a.After == b.After && a.Through == b.Through
}

// A client of a slow state need not wait for all of it.
func TestStateIsSentInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New()
		ctx, cancel := context.WithCancel(t.Context())
		s, err := host.NewSession(ctx, core.Request{}, core.WithHeartbeat(0), core.WithWriteTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		stream := h.SubscribeWith(s.Context(), []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
			for yield(core.Event{Data: "x"}, nil) && n.Add(1) < 10 {
				time.Sleep(time.Second) //nolint:forbidigo // in a bubble
			}
		}))
		sent := make(chan struct{}, 100)
		ended := make(chan error)
		go func() { ended <- s.Serve(&signalConn{sent}, stream) }()
		<-sent // the greeting
		<-sent
		if n := n.Load(); n > 3 {
			t.Errorf("the first of 10 events was sent after %d", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
