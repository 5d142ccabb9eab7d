package hub_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// onEach runs a test on a hub without a log, on one whose memory has everything that its log
// has, and on one that was opened later and reads pages. with makes each of them, after
// fill has published what was published before.
func onEach(t *testing.T, test func(t *testing.T, with func(fill func(*hub.Hub), opts ...hub.Option) *hub.Hub)) {
	t.Helper()
	for _, name := range []string{"memory", "log", "pages"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hubs []*hub.Hub
				test(t, func(fill func(*hub.Hub), opts ...hub.Option) *hub.Hub {
					log := new(hubtest.MemoryLog)
					open := func() *hub.Hub {
						if name != "memory" {
							opts = append(opts, hub.WithLog(log))
						}
						h := hub.New(opts...)
						hubs = append(hubs, h)
						synctest.Wait()
						return h
					}
					h := open()
					fill(h)
					synctest.Wait()
					if name == "pages" {
						h = open()
					}
					return h
				})
				for _, h := range hubs {
					if err := h.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// No client gets an event that is too old, whatever ID it sends, and a client that misses
// something because of that is told.
func TestMaxReplay(t *testing.T) {
	onEach(t, func(t *testing.T, with func(func(*hub.Hub), ...hub.Option) *hub.Hub) {
		var begin, first, second, third string
		h := with(func(h *hub.Hub) {
			begin = h.LastID()
			first = publish(t, h, "a.x", "1")
			second = publish(t, h, "a.y", "2")
			publish(t, h, "old", "old")
			sleep(30 * time.Minute)
			third = publish(t, h, "a.x", "3")
			publish(t, h, "b", "4")
			sleep(45 * time.Minute)
		}, hub.WithMaxReplay(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		other := hub.New().LastID()
		restarted := "GAP:unknown"          // a log does not know the ID
		if strings.Index(begin, "-") == 8 { // a hub without a log sees another epoch
			restarted = "GAP:restarted 3 4"
		}
		readers := []*reader{}
		for _, tt := range []struct {
			names string
			from  hub.Position
			want  string
		}{
			{"a.x b", hub.After(begin), "GAP:expired 3 4"},
			{"a.* b", hub.After(begin), "GAP:expired 3 4"},
			{"a.* b", hub.After(first), "GAP:expired 3 4"},
			{"a.* b", hub.After(second), "3 4"}, // has missed nothing
			{"a.x b", hub.After(first), "3 4"},
			{"b", hub.After(begin), "4"},
			{"b.* *", hub.After(begin), "GAP:expired 4"},
			{"*.x", hub.After(third), ""},
			{"a.x b", hub.After(third), "4"},
			{"old", hub.After(begin), "GAP:expired"},
			{"none none.*", hub.After(begin), ""},
			{"a.x b", hub.Oldest, "3 4"},
			{"a.* b", hub.Oldest, "3 4"},
			{"old", hub.Oldest, ""},
			{"a.x b", hub.After("rubbish"), "GAP:unknown"},
			{"a.x b", hub.After(other), restarted},
			{"a.x b", hub.Now, ""},
		} {
			r := read(t, h.SubscribeFrom(ctx, tt.from, append(strings.Fields(tt.names), "end")...))
			readers = append(readers, r)
			if tt.want != "" {
				r.want(tt.want)
			}
		}
		publish(t, h, "end", "end") // nothing else may come before
		for _, r := range readers {
			r.want("end")
			r.stop()
		}
	})
}

// The gap says where it ends and which ID the client had, and the next connection is
// not told again.
func TestMaxReplayGap(t *testing.T) {
	onEach(t, func(t *testing.T, with func(func(*hub.Hub), ...hub.Option) *hub.Hub) {
		var begin, last string
		h := with(func(h *hub.Hub) {
			begin = h.LastID()
			for range 1_000 { // pages
				last = publish(t, h, "a", "old")
			}
			sleep(time.Hour)
		}, hub.WithMaxReplay(time.Minute), hub.WithGapPolicy(hub.GapEnd))
		r := read(t, h.SubscribeFrom(t.Context(), hub.After(begin), "a", "b.*"))
		gap := gapOf(t, r.event())
		if gap.After != begin || gap.Through != last {
			t.Errorf("got %+v, want a gap after %s through %s", gap, begin, last)
		}
		publish(t, h, "a", "new")
		r.want("new")
		r.stop()
		r = read(t, h.SubscribeFrom(t.Context(), hub.After(gap.Through), "a", "b.*"))
		r.want("new")
		r.stop()
	})
}

// A connected client may be as slow as before.
func TestMaxReplayIsNotForTheSlow(t *testing.T) {
	onEach(t, func(t *testing.T, with func(func(*hub.Hub), ...hub.Option) *hub.Hub) {
		h := with(func(h *hub.Hub) { publish(t, h, "a", "0") }, hub.WithMaxReplay(time.Minute))
		r := read(t, h.SubscribeFrom(t.Context(), hub.Oldest, "a"))
		r.want("0")
		publishAll(t, h, "a", "1 2 3")
		sleep(time.Hour)
		r.want("1 2 3")
		r.stop()
	})
}

// The same over connections: forwarded, decoded and handed over.
func TestMaxReplayEachWay(t *testing.T) {
	const age = 10 * time.Millisecond
	for _, name := range []string{"memory", "log", "pages"} {
		t.Run(name, func(t *testing.T) {
			opts, log := []hub.Option{hub.WithMaxReplay(age)}, new(hubtest.MemoryLog)
			if name != "memory" {
				opts = append(opts, hub.WithLog(log))
			}
			h := opened(t, opts...)
			begin, newest := h.LastID(), ""
			for range 700 {
				newest = publish(t, h, "a", "old")
			}
			hosttest.Eventually(t, "the hub has followed", func() bool { return h.LastID() == newest })
			if name == "pages" {
				h = opened(t, opts...)
			}
			published := time.Now()
			hosttest.Eventually(t, "everything is too old", func() bool { return time.Since(published) > 2*age })
			streams := map[string]*ssetest.Stream{}
			for way, query := range ways {
				s := ssetest.Request{URL: serve(t, h) + "topic=a&topic=b.*" + query, Header: http.Header{"Last-Event-Id": {begin}}}.Open(t)
				if got := summary(s.Next()); got != "GAP:expired" {
					t.Errorf("%s: got %s, want a gap", way, got)
				}
				streams[way] = s
			}
			publish(t, h, "a", "new")
			for way, s := range streams {
				if got := summary(s.Next()); got != "new" {
					t.Errorf("%s: got %s, want new", way, got)
				}
			}
		})
	}
}

// opened returns a hub that has heard from its log.
func opened(t *testing.T, opts ...hub.Option) *hub.Hub {
	t.Helper()
	h := hub.New(opts...)
	t.Cleanup(func() {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	})
	hosttest.Eventually(t, "the hub has heard from its log", func() bool { return h.LastID() != "" })
	return h
}

// If the gap event fails, a client of each kind gets nothing of what follows the gap, and a
// broken response.
func TestGapEventFails(t *testing.T) {
	for what, gapEvent := range map[string]func(hub.Gap) core.Event{
		"cannot be encoded": func(hub.Gap) core.Event { return core.Event{Type: "gap\n"} },
		"panics":            func(hub.Gap) core.Event { panic("gap") },
	} {
		for _, name := range []string{"memory", "log", "pages"} {
			t.Run(what+"/"+name, func(t *testing.T) {
				opts, log := []hub.Option{hub.WithMaxEvents(10), hub.WithGapEvent(gapEvent)}, new(hubtest.MemoryLog)
				if name != "memory" {
					opts = append(opts, hub.WithLog(log))
				}
				h := opened(t, opts...)
				begin, newest := h.LastID(), ""
				for range 20 {
					newest = publish(t, h, "a", "behind the gap")
				}
				hosttest.Eventually(t, "the hub has followed", func() bool { return h.LastID() == newest })
				log.Trim(15)
				if name == "pages" {
					h = opened(t, opts...)
				}
				failures := make(chan error, 1)
				url := serve(t, h, core.WithObserver(core.Observer{
					Closed: func(_ context.Context, end core.Summary) { failures <- end.Err },
				}))
				for way, query := range ways {
					s := ssetest.Request{URL: url + "topic=a" + query, Header: http.Header{"Last-Event-Id": {begin}}}.Open(t)
					events, err := s.Rest()
					if err == nil || len(events) > 0 {
						t.Errorf("%s: got %d events and %v, want none and a broken response", way, len(events), err)
					}
					select {
					case err := <-failures:
						if err == nil || !strings.Contains(err.Error(), "gap") {
							t.Errorf("%s: got %v, want an error that names the gap event", way, err)
						}
					case <-time.After(patience):
						t.Fatalf("%s: the session has not ended", way)
					}
				}
				hosttest.Eventually(t, "all have left", func() bool { return h.Len("a") == 0 })
			})
		}
	}
}

// A slow gap event delays its own client and nobody else, however many there are.
func TestSlowGapEvent(t *testing.T) {
	entered, free := make(chan struct{}, 100), make(chan struct{})
	h := hub.New(hub.WithGapEvent(func(hub.Gap) core.Event {
		entered <- struct{}{}
		<-free
		return core.Event{Data: "gap"}
	}))
	url := serve(t, h)
	streams := map[string][]*ssetest.Stream{}
	for way, query := range ways {
		for range 8 {
			s := ssetest.Request{URL: url + "topic=a" + query, Header: http.Header{"Last-Event-Id": {"rubbish"}}}.Open(t)
			streams[way] = append(streams[way], s)
		}
	}
	for range 8 * len(ways) {
		select {
		case <-entered:
		case <-time.After(patience):
			t.Fatal("some wait for the gap events of others")
		}
	}
	for way, query := range ways { // no lock is held
		s := ssetest.Request{URL: url + "topic=b&from=" + h.LastID() + query}.Open(t)
		publish(t, h, "b", "news")
		if got := s.Next().Data; got != "news" {
			t.Errorf("%s: got %q, want news", way, got)
		}
	}
	publish(t, h, "a", "after")
	close(free)
	for way, all := range streams {
		for _, s := range all {
			if got := summaries(s.Collect(2)); got != "gap after" {
				t.Errorf("%s: got %q, want the gap and what came after it", way, got)
			}
		}
	}
}

// An event of a log is as old as the wall clocks say when it comes, also if this machine's was
// set after the hub had begun.
func TestAgeWhenTheClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{0, time.Hour, -time.Hour, -24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New()
			sleep(10 * time.Minute)
			now := time.Now().Round(0).Add(by)
			for age, want := range map[time.Duration]time.Duration{
				0: 10 * time.Minute, time.Second: 10*time.Minute - time.Second,
				-time.Minute: 10 * time.Minute, // the log's clock is ahead
				time.Hour:    -50 * time.Minute,
			} {
				if got := hub.TimeOf(h, now.Add(-age), now); got != want {
					t.Errorf("set by %v, an event of %v ago: got the time %v, want %v", by, age, got, want)
				}
			}
		})
	}
}
