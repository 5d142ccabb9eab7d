package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// What a client can ask for, and what a bound drops at once, is done in steps: others
// get the hub's lock in between, however slow the machine is.
func TestStepsAreBounded(t *testing.T) {
	const events, topics = 20_000, 5_000
	topic := func(n int) string { return fmt.Sprintf("t%d.x.y", n%topics) }
	fill := func(t *testing.T, h *Hub) {
		t.Helper()
		for n := range events {
			if _, err := h.Publish(t.Context(), topic(n), core.Event{Data: "x"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	patterns := []string{"none.>"}
	for n := range maxNames - 1 {
		patterns = append(patterns, strings.Replace(topic(n), "x", "*", 1))
	}
	deep := make([]string, maxNames)
	for n := range deep {
		deep[n] = fmt.Sprint(n) + strings.Repeat(".*", 120)
	}
	for _, tt := range []struct {
		name string
		opts []Option
		do   func(t *testing.T, h *Hub)
	}{
		{"patterns and an old ID", nil, func(t *testing.T, h *Hub) {
			n := 0
			for _, err := range h.SubscribeFrom(t.Context(), After(h.id(0)), patterns...) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == (maxNames-1)*events/topics {
					break
				}
			}
		}},
		{"a pattern that matches nothing", nil, func(t *testing.T, h *Hub) {
			s := &subscription{hub: h, ctx: t.Context(), start: h.find("", Oldest)}
			if err := s.join([]string{"none.>"}); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			steps := 1
			for ; ; steps++ {
				var frames [][]byte
				if more, err := s.Next(&frames); err != nil || len(frames) > 0 {
					t.Fatalf("got %d frames and %v, want none", len(frames), err)
				} else if !more {
					break
				}
			}
			if least := events / stepWork; steps < least {
				t.Errorf("got %d steps, want at least %d", steps, least)
			}
		}},
		{"a pattern that matches everything", nil, resumeAll},
		{"patterns that have lost events", []Option{WithMaxEvents(topics)}, func(t *testing.T, h *Hub) {
			for e, err := range h.SubscribeFrom(t.Context(), After(h.id(1)), patterns...) {
				if err != nil || e.Type != "gap" {
					t.Fatalf("got %v, %v, want a gap", e, err)
				}
				break
			}
		}},
		{"deep patterns", nil, func(t *testing.T, h *Hub) {
			ctx, cancel := context.WithCancel(t.Context())
			h.join = func(context.Context, string) { cancel() }
			for e, err := range h.SubscribeFrom(ctx, After(h.id(0)), deep...) {
				t.Fatalf("got %v, %v, want nothing", e, err)
			}
		}},
		{"all become too old", []Option{WithMaxAge(time.Hour)}, func(t *testing.T, h *Hub) {
			sleep(2 * time.Hour)
			if got := h.Topics(); len(got) > 0 {
				t.Errorf("got %d topics, want none", len(got))
			}
		}},
		{"a large event takes the place of all", []Option{WithMaxBytes(8 << 20)}, func(t *testing.T, h *Hub) {
			large := core.Event{Data: strings.Repeat("x", 8<<20-100)}
			if _, err := h.Publish(t.Context(), "large", large); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if h.bytes > 8<<20 {
				t.Errorf("the hub holds %d bytes, want no more than its bound", h.bytes)
			}
		}},
		{"kick and shutdown", nil, kickAndShutdown},
		{"topics", nil, func(t *testing.T, h *Hub) {
			if got := h.Topics(); len(got) != topics {
				t.Errorf("got %d topics, want %d", len(got), topics)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(slices.Concat([]Option{WithMaxEvents(0), WithMaxBytes(0)}, tt.opts)...)
				fill(t, h)
				tt.do(t, h)
				if err := h.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				h.lock()
				defer h.mu.Unlock()
				if most := stepWork + nameWork(deep[0]) + maxNames; h.most > most {
					t.Errorf("got %d units of work in one step, want at most %d", h.most, most)
				}
				consistentLocked(t, h)
			})
		})
	}
}

// resumeAll reads all that the hub has with a new pattern, which takes few events in one step.
func resumeAll(t *testing.T, h *Hub) {
	t.Helper()
	s := &subscription{hub: h, ctx: t.Context(), start: h.find("", Oldest)}
	if err := s.join([]string{">"}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, want := 0, h.order.live
	for range want {
		var frames [][]byte
		more, err := s.Next(&frames)
		if most := stepWork / coldWork; err != nil || len(frames) > most {
			t.Fatalf("got %d events in one step, and %v, want at most %d", len(frames), err, most)
		}
		if got += len(frames); !more {
			break
		}
	}
	if got != want {
		t.Errorf("got %d events, want %d", got, want)
	}
}

// kickAndShutdown ends thousands of subscriptions at once.
func kickAndShutdown(t *testing.T, h *Hub) {
	t.Helper()
	const many = 3_000
	left := make(chan error)
	run := func(name string) {
		for range many {
			s := h.Subscribe(context.Background(), name, "a")
			go func() {
				for _, err := range s {
					left <- err
					return
				}
				left <- nil
			}()
		}
		synctest.Wait()
	}
	run("b")
	if got := h.Kick("b"); got != many {
		t.Errorf("got %d, want %d", got, many)
	}
	end := func() {
		for range many {
			if err := <-left; err != nil {
				t.Error(err)
			}
		}
	}
	end()
	run("*")
	go end()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := h.Len("*") + h.Len("a"); got != 0 {
		t.Errorf("%d are left", got)
	}
}

// The lock is released as often as the number of names and members demands. This counts the
// releases, and does not trust what the code says of its work.
func TestOthersAreLetIn(t *testing.T) {
	h := New()
	names := make([]string, maxNames)
	for n := range names {
		names[n] = fmt.Sprint(n) + strings.Repeat(".*", 120)
	}
	check := func(what string, least int, do func()) {
		t.Helper()
		before := h.breaths
		if do(); h.breaths-before < least {
			t.Errorf("to %s, the lock was released %d times, want at least %d", what, h.breaths-before, least)
		}
	}
	deep := maxNames * nameWork(names[0]) / (stepWork + nameWork(names[0]))
	s := &subscription{hub: h, ctx: t.Context()}
	check("join", deep, func() {
		if err := s.join(names); err != nil {
			t.Fatal(err)
		}
	})
	check("leave", deep, s.Close)

	const topics = 3_000
	for n := range topics {
		publishTo(t, h, fmt.Sprint("topic", n))
	}
	h.dropped = h.last
	s = &subscription{hub: h, ctx: t.Context()}
	check("find out what a pattern has lost", topics*coldWork/stepWork, func() {
		if err := s.join([]string{"none.*"}); err != nil {
			t.Fatal(err)
		}
	})
	h.dropped = 0
	s.Close()

	const many = 3_000
	join := func(name string) {
		for range many {
			s := &subscription{hub: h, ctx: t.Context()}
			if err := s.join([]string{name}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
		}
	}
	join("a")
	check("kick", 8*many/stepWork, func() { h.Kick("a") })
	join("b")
	join("*")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check("shut down", 3*8*many/stepWork, func() { _ = h.Shutdown(ctx) })
}
