package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

func describe(s hub.Stats) string {
	return fmt.Sprintf("published %d, delivered %d, replaced %d, dropped %d, gaps %v; holds %d events of %d topics",
		s.Published, s.Delivered, s.Replaced, s.Dropped, s.Gaps, s.Events, s.Topics)
}

// Stats counts what happens, whatever way a subscription reads.
func TestStats(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(4))
	publish := func(topic string, opts ...hub.PublishOption) string {
		id, err := h.Publish(t.Context(), topic, core.Event{Data: "x"}, opts...)
		if err != nil {
			t.Error(err)
		}
		return id
	}
	read := func(topic string, opts ...hub.SubscribeOption) {
		first := true
		for _, err := range h.SubscribeWith(t.Context(), []string{topic}, opts...) {
			if err != nil {
				t.Error(err)
			}
			if first {
				if got := h.Stats().Subscriptions; got != 1 {
					t.Errorf("got %d subscriptions that run, want 1", got)
				}
				h.Kick(topic) // so that it ends
				first = false
			}
		}
	}
	oldest := hub.From(hub.Oldest)
	state := hub.WithState(func(yield func(core.Event, error) bool) { yield(core.Event{Data: "state"}, nil) })
	interesting := hub.WithFilter(func(_ string, a hub.Attributes) bool { return a["of"] == "interest" })
	var id string
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"nothing", func() {}, "published 0, delivered 0, replaced 0, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 0 events of 0 topics"},
		{"publish", func() { id = publish("a"); publish("b") }, "published 2, delivered 0, replaced 0, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 2 events of 2 topics"},
		{"replace", func() { publish("a", hub.WithKey("k")); publish("a", hub.WithKey("k")) }, "published 4, delivered 0, replaced 1, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 3 events of 2 topics"},
		{"publish one twice", func() {
			for range 2 {
				publish("a", hub.WithIdempotencyKey("once"), hub.WithAttributes(hub.Attributes{"of": "interest"}))
			}
		}, "published 5, delivered 0, replaced 1, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 4 events of 2 topics"},
		{"read", func() { read("a", oldest) }, "published 5, delivered 3, replaced 1, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 4 events of 2 topics"},
		{"read with a filter", func() { read("a", oldest, interesting) }, "published 5, delivered 4, replaced 1, dropped 0, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 4 events of 2 topics"},
		{"drop", func() { publish("c"); publish("c") }, "published 7, delivered 4, replaced 1, dropped 2, gaps map[dropped:0 expired:0 restarted:0 unknown:0]; holds 4 events of 2 topics"},
		{"an old ID of b", func() { read("b", hub.From(hub.After(id))) }, "published 7, delivered 4, replaced 1, dropped 2, gaps map[dropped:1 expired:0 restarted:0 unknown:0]; holds 4 events of 2 topics"},
		{"a strange ID with a state", func() { read("c", hub.From(hub.After("strange")), state) }, "published 7, delivered 4, replaced 1, dropped 2, gaps map[dropped:1 expired:0 restarted:0 unknown:1]; holds 4 events of 2 topics"},
		{"an ID of another hub", func() { read("c", hub.From(hub.After("aaaaaaaa-1"))) }, "published 7, delivered 6, replaced 1, dropped 2, gaps map[dropped:1 expired:0 restarted:1 unknown:1]; holds 4 events of 2 topics"},
	} {
		step.do()
		if got := describe(h.Stats()); got != step.want {
			t.Fatalf("%s: got\n%s, want\n%s", step.name, got, step.want)
		}
	}
}

// TopicStats tells each topic's and pattern's part of what happens.
func TestTopicStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.WithMaxEvents(3))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		never := hub.WithFilter(func(string, hub.Attributes) bool { return false })
		slow := make(chan struct{})
		subscribe := func(takes func(), names []string, opts ...hub.SubscribeOption) {
			wg.Go(func() {
				for _, err := range h.SubscribeWith(ctx, names, opts...) {
					if err != nil {
						t.Error(err)
					}
					takes()
				}
			})
			synctest.Wait()
		}
		subscribe(func() {}, []string{"a.x", "b"})
		subscribe(func() {}, []string{"a.*"}, never)
		subscribe(func() { <-slow }, []string{"a.*"})
		publishAll(t, h, "a.x", "1 2 3")
		publishAll(t, h, "c", "4 5")
		publish(t, h, "c", "6", hub.WithTopics("b"))
		synctest.Wait()
		wants := func(want ...hub.TopicStats) {
			t.Helper()
			got := h.TopicStats()
			slices.SortFunc(got, func(a, b hub.TopicStats) int { return strings.Compare(a.Name, b.Name) })
			if !slices.Equal(got, want) {
				t.Errorf("got\n%+v, want\n%+v", got, want)
			}
		}
		wants(
			hub.TopicStats{Name: "a.*", Pattern: true, Published: 3, Subscriptions: 2, Behind: 1},
			hub.TopicStats{Name: "a.x", Published: 3, Subscriptions: 1},
			hub.TopicStats{Name: "b", Published: 1, Held: 1, Subscriptions: 1},
			hub.TopicStats{Name: "c", Published: 3, Held: 3},
		)
		close(slow)
		synctest.Wait()
		cancel()
		synctest.Wait()
		wants(
			hub.TopicStats{Name: "b", Published: 1, Held: 1},
			hub.TopicStats{Name: "c", Published: 3, Held: 3},
		)
	})
}

// With a log, Stats also tells what Healthy tells, and for how long the log has been silent.
func TestStatsOfLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("out of order")
		log := new(hubtest.MemoryLog)
		h := hub.New(hub.WithLog(log))
		defer func() { _ = h.Shutdown(context.Background()) }()
		synctest.Wait()
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := h.Stats()
		if got.Published != 1 || got.Log.Events != 1 || got.Err != nil || got.Log.Silent > time.Second {
			t.Errorf("got %+v, want one event and no error", got)
		}
		log.Fail(broken)
		<-time.After(10 * time.Second)
		if got = h.Stats(); !errors.Is(got.Err, broken) || got.Log.Silent < 9*time.Second || got.Log.Reconnects == 0 {
			t.Errorf("got %+v after 10 s without the log, want its error", got)
		}
		log.Fail(nil)
		<-time.After(10 * time.Second)
		if got = h.Stats(); got.Err != nil || got.Log.Silent > 5*time.Second {
			t.Errorf("got %+v when the log is back, want no error", got)
		}
	})
}
