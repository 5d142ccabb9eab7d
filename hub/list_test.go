package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A list behaves like a sorted map, and removed items take little room.
func TestList(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be replayed
		var l list[string]
		want := map[uint64]string{}
		numbers := func() []uint64 {
			var all []uint64
			for n := range want {
				all = append(all, n)
			}
			slices.Sort(all)
			return all
		}
		next, most := uint64(1), 0
		for step := range 1_000 {
			all := numbers()
			switch what := rng.IntN(100); {
			case what < 50-int(seed%3)*5:
				next += 1 + rng.Uint64N(3)
				l.push(next, strconv.FormatUint(next, 10))
				want[next] = strconv.FormatUint(next, 10)
			case what < 75 && len(all) > 0: // the oldest
				n, item := l.oldest()
				if n != all[0] || item != want[n] {
					t.Fatalf("seed %d, step %d: got the oldest %d, %q, want %d", seed, step, n, item, all[0])
				}
				if got, ok := l.remove(n); !ok || got != want[n] {
					t.Fatalf("seed %d, step %d: got %q, %v, want %q", seed, step, got, ok, want[n])
				}
				delete(want, n)
			default: // any item, which may not be there
				n := rng.Uint64N(next + 2)
				item, is := want[n]
				if got, ok := l.remove(n); got != item || ok != is {
					t.Fatalf("seed %d, step %d: removed %q, %v, want %q, %v", seed, step, got, ok, item, is)
				}
				delete(want, n)
			}
			all = numbers()
			if most = max(most, len(all)); l.live != len(all) {
				t.Fatalf("seed %d, step %d: got %d items, want %d", seed, step, l.live, len(all))
			}
			if len(l.items)-l.live > 17+l.live/4 || len(l.numbers) != len(l.items) {
				t.Fatalf("seed %d, step %d: %d of %d items are removed ones", seed, step, len(l.items)-l.live, len(l.items))
			}
			for _, item := range l.items[len(l.items):cap(l.items)] {
				if item != "" {
					t.Fatalf("seed %d, step %d: %q is kept after the end", seed, step, item)
				}
			}
			after := rng.Uint64N(next + 2)
			var got []uint64
			for i := l.after(after); i < len(l.numbers); i++ {
				if l.items[i] != "" {
					got = append(got, l.numbers[i])
				}
			}
			i, _ := slices.BinarySearch(all, after+1)
			if !slices.Equal(got, all[i:]) {
				t.Fatalf("seed %d, step %d: got %v after %d, want %v", seed, step, got, after, all[i:])
			}
			if i := l.find(after); (i >= 0) != (want[after] != "") || i >= 0 && l.items[i] != want[after] {
				t.Fatalf("seed %d, step %d: found %d at %d", seed, step, after, i)
			}
		}
		for _, n := range numbers() {
			l.remove(n)
		}
		if cap(l.items) != 0 || cap(l.numbers) != 0 || l.front != 0 {
			t.Errorf("seed %d: an empty list has room for %d items", seed, cap(l.items))
		}
	}
}

// A list that was long and is short has freed its memory.
func TestListShrinks(t *testing.T) {
	var l list[string]
	for n := range uint64(10_000) {
		l.push(n+1, "x")
	}
	for n := range uint64(9_900) {
		l.remove(n + 1)
	}
	if got, most := cap(l.items), 1_000; got > most {
		t.Errorf("got room for %d items, want at most %d for 100", got, most)
	}
}

// A tree forgets the patterns that were removed, and keeps the others.
func TestTree(t *testing.T) {
	var tr tree
	patterns := []string{"*", ">", "a.*", "a.>", "a.*.b", "a.*.b.>"}
	for _, p := range patterns {
		tr.put(p, &source{name: p})
	}
	names := func(topic string) string {
		var all []string
		for _, s := range tr.match(topic, nil, new(int)) {
			all = append(all, s.name)
		}
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	if got, want := names("a.x.b"), "[> a.*.b a.>]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tr.put("a.>", nil)
	tr.put("a.*", nil)
	if got, want := names("a.x.b"), "[> a.*.b]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := names("a.x")+names("a.x.b.c"), "[>][> a.*.b.>]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, p := range patterns {
		tr.put(p, nil)
	}
	if len(tr.next) != 0 {
		t.Errorf("an empty tree holds %v", tr.next)
	}
}

// sleep lets the time of a bubble pass.
func sleep(d time.Duration) { <-time.After(d) }

// consistent fails the test unless the parts of a hub agree.
func consistent(t *testing.T, h *Hub) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	consistentLocked(t, h)
}

func consistentLocked(t *testing.T, h *Hub) {
	t.Helper()
	bytes, live := 0, 0
	held := map[*topic]int{}
	for i, p := range h.order.items {
		if p == (place{}) {
			continue
		}
		n, parts := h.order.numbers[i], []*topic{p.topic}
		if p.topic.parts != nil {
			parts = p.topic.parts
			held[p.topic]++
		}
		records := &parts[0].records
		live++
		bytes += int(records.items[records.find(n)].size) + p.more.size()
		for _, topic := range parts {
			if h.topics[topic.name] != topic || topic.records.find(n) < 0 {
				t.Errorf("topic %q does not have %d", topic.name, n)
			}
		}
	}
	for j, n := range held {
		if h.joints[j.name] != j || j.held != n {
			t.Errorf("joint %q says that it has %d events, want %d", j.name, j.held, n)
		}
	}
	if len(h.joints) != len(held) {
		t.Errorf("got %d joints, want %d", len(h.joints), len(held))
	}
	for name, topic := range h.topics {
		for i, r := range topic.records.items {
			if r == (record{}) {
				continue
			}
			for _, s := range h.tree.match(name, nil, new(int)) {
				if n := topic.records.numbers[i]; n > s.since && s.records.find(n) < 0 {
					t.Errorf("pattern %q has no %d of topic %q", s.name, n, name)
				}
			}
		}
		if len(topic.keys) != len(topic.keyOf) {
			t.Errorf("topic %q has %d keys, and %d in the inverse", name, len(topic.keys), len(topic.keyOf))
		}
		for key, n := range topic.keys {
			if topic.records.find(n) < 0 {
				t.Errorf("topic %q has key %q, whose event %d was removed", name, key, n)
			}
		}
	}
	if h.order.live != live || h.bytes != bytes {
		t.Errorf("got %d events of %d bytes, want %d of %d", h.order.live, h.bytes, live, bytes)
	}
	seen := map[*topic]bool{}
	for _, topic := range h.idle {
		if seen[topic] || !topic.idle {
			t.Errorf("topic %q is in the idle list twice, or is not marked idle", topic.name)
		}
		seen[topic] = true
	}
	if len(h.idle) > maxIdle || len(h.topics) > maxTopics*live+maxIdle+h.running {
		t.Errorf("got %d topics, and %d in the idle list", len(h.topics), len(h.idle))
	}
}

// Whatever is published and followed, the log's counts are right, and what was removed is
// forgotten.
func TestAccounts(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // to be replayed
		h := New(WithMaxEvents(1+rng.IntN(50)), WithMaxBytes(400+rng.IntN(2_000)))
		ctx, cancel := context.WithCancel(context.Background())
		for i := range 1_000 {
			var opts []PublishOption
			if rng.IntN(2) == 0 {
				opts = append(opts, WithKey(strconv.Itoa(rng.IntN(20))))
			}
			if rng.IntN(3) == 0 {
				opts = append(opts, WithTopics("t1.x", fmt.Sprintf("u%d.x", rng.IntN(2))), WithAttributes(Attributes{"a": "b"}))
			}
			if _, err := h.Publish(ctx, fmt.Sprintf("t%d.x", rng.IntN(5)), core.Event{Data: fmt.Sprint(i)}, opts...); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(10) == 0 {
				for _, err := range h.SubscribeFrom(ctx, After(h.id(rng.Uint64N(h.last))), "*.x", "t1.*", ">", "none") {
					if err != nil {
						t.Fatal(err)
					}
					consistent(t, h)
					break
				}
			}
			if i%10 == 0 {
				consistent(t, h)
			}
		}
		cancel()
		if len(h.patterns) != 0 || len(h.tree.next) != 0 || h.running != 0 {
			t.Errorf("patterns %v are left, and %d subscriptions", h.patterns, h.running)
		}
	}
}

// The number of idle topics that are remembered is bounded, however many come and go.
func TestTopicsAreForgotten(t *testing.T) {
	h := New(WithMaxEvents(10))
	for i := range 3 * maxIdle {
		if _, err := h.Publish(t.Context(), strconv.Itoa(i), core.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	consistent(t, h)
	if got, want := len(h.topics), maxIdle+10; got != want {
		t.Errorf("got %d topics, want %d", got, want)
	}
}

// An event of one of many topics wakes only that topic's subscriber.
func TestPublishWakesItsOwn(t *testing.T) {
	const topics = 100_000
	h := New()
	subscriptions := make([]*subscription, topics)
	for i := range subscriptions {
		s := &subscription{hub: h, ctx: t.Context()}
		if err := s.join([]string{strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		var frames [][]byte
		if more, err := s.take(&frames, 1); more || err != nil || len(frames) > 0 {
			t.Fatalf("got %d frames, %v, %v", len(frames), more, err)
		}
		subscriptions[i] = s
	}
	for range 3 {
		id, off, err := h.publish("777", core.Event{Data: "x"}, publication{}, nil)
		if err != nil || len(off) != 1 || len(off[0].links) != 1 || off[0].links[0].subscription != subscriptions[777] {
			t.Fatalf("got %q, %v and the waiting links %v", id, err, off)
		}
		var frames [][]byte
		if more, err := subscriptions[777].take(&frames, 1<<20); more || err != nil || len(frames) != 1 {
			t.Fatalf("got %d frames, %v, %v", len(frames), more, err)
		}
	}
	for _, s := range subscriptions {
		s.leave()
	}
	if len(h.topics) != 1 {
		t.Errorf("%d topics are left, want the one that holds events", len(h.topics))
	}
}

// A subscriber that has left a quiet topic is no longer in its list.
func TestWhoHasLeftWaitsNoMore(t *testing.T) {
	h := New()
	var subscriptions []*subscription
	for range 10 {
		s := &subscription{hub: h, ctx: t.Context()}
		if err := s.join([]string{"a", "*"}); err != nil {
			t.Fatal(err)
		}
		var frames [][]byte
		if more, err := s.take(&frames, 1); more || err != nil {
			t.Fatalf("got %v, %v", more, err)
		}
		subscriptions = append(subscriptions, s)
	}
	for i, leaving := range []int{0, 9, 4, 5} {
		subscriptions[leaving].leave()
		for _, name := range []string{"a", "*"} {
			s := h.source(name)
			for at, l := range s.waiting {
				if l.slot != at {
					t.Errorf("the link at %d has the index %d", at, l.slot)
				}
			}
			if got, want := len(s.waiting), 9-i; got != want || len(s.members) != want {
				t.Errorf("%d links wait for %q, and %d are members, want %d", got, name, len(s.members), want)
			}
		}
	}
	_, off, err := h.publish("a", core.Event{}, publication{}, nil)
	if err != nil || len(off) != 2 || len(off[0].links) != 6 || len(off[1].links) != 6 {
		t.Errorf("got %v, %v, want two sources with six each", off, err)
	}
}

// Events that are too old are dropped while nothing else happens, and no timer is left
// when there are none.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(WithMaxAge(16 * time.Minute))
		publish := func() {
			if _, err := h.Publish(t.Context(), "a", core.Event{}, WithKey("k"+h.LastID())); err != nil {
				t.Fatal(err)
			}
		}
		live := func() int {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.order.live
		}
		publish()
		sleep(5 * time.Minute)
		publish()
		publish()
		for _, tt := range []struct {
			wait time.Duration
			want int
		}{
			{11*time.Minute - 1, 3}, {1, 2}, {5*time.Minute - 1, 2}, {1, 0},
		} {
			sleep(tt.wait)
			synctest.Wait()
			if got := live(); got != tt.want {
				t.Errorf("got %d events, want %d", got, tt.want)
			}
		}
		consistent(t, h)
		h.mu.Lock()
		if h.expiry != nil {
			t.Error("a timer is left")
		}
		h.mu.Unlock()
		publish()
		sleep(16 * time.Minute)
		synctest.Wait()
		if got := live(); got != 0 {
			t.Errorf("got %d events, want none", got)
		}
		publish()
		if err := h.Shutdown(t.Context()); err != nil || h.expiry.Stop() {
			t.Errorf("a timer runs after the shutdown: %v", err)
		}
	})
}

// The timer does not fire once for each event.
func TestExpiryGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(WithMaxAge(16 * time.Second))
		for range 10_000 {
			if _, err := h.Publish(t.Context(), "a", core.Event{}); err != nil {
				t.Fatal(err)
			}
			sleep(time.Millisecond)
		}
		current := func() *time.Timer {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.expiry
		}
		fired := 0
		for timer := current(); timer != nil; fired++ {
			for step := 0; current() == timer && step < 10_000; step++ {
				sleep(10 * time.Millisecond)
			}
			timer = current()
		}
		if most := 12; fired > most {
			t.Errorf("the timer has fired %d times for events of 10 s, want at most %d", fired, most)
		}
	})
}
