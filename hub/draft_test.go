package hub

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// While a large event is encoded, others can take the lock. What clients get is the same.
func TestLargeEventsAreEncodedOutsideTheLock(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	lines := strings.Repeat("\n", 10_000)
	events := []core.Event{
		{Data: long},
		{Data: lines + "id: 1\n"},
		{Comment: long},
		{Comment: lines + "id: " + strings.Repeat("0", maxID), Data: long, Type: "a", Retry: time.Second},
		{Comment: lines},
		{Comment: "short", Data: long + "\xff"},
		{Type: long, Comment: "id: 1"},
	}
	for _, tt := range []struct {
		name    string
		log     bool
		publish func(h *Hub, e core.Event) error
	}{
		{"to a topic", false, func(h *Hub, e core.Event) error { return publishEvent(t, h, e) }},
		{"with a key", false, func(h *Hub, e core.Event) error { return publishEvent(t, h, e, WithKey(h.id(h.last))) }},
		{"to two topics", false, func(h *Hub, e core.Event) error { return publishEvent(t, h, e, WithTopics("b")) }},
		{"from a log", true, func(h *Hub, e core.Event) error {
			h.follower.apply(Entry{ID: h.id(h.last + 1), Topic: "a", Event: e})
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, drafts := New(), 0
			if tt.log {
				h.ids = new(list[identity])
				h.follower = &follower{hub: h, ready: make(chan struct{})}
			}
			h.drafting = func() {
				drafts++
				if !h.mu.TryLock() {
					t.Error("the hub is locked")
					return
				}
				h.mu.Unlock()
			}
			for i, e := range slices.Concat(events, []core.Event{{Data: "small"}}) {
				if err := tt.publish(h, e); err != nil {
					t.Fatal(err)
				}
				e.ID = h.id(h.last)
				want, err := e.AppendText(nil)
				if err != nil {
					t.Fatal(err)
				}
				records := &h.topics["a"].records
				if got := records.items[records.find(uint64(i+1))].frame(); string(got) != string(want) {
					t.Errorf("event %d: got %.100q of %d bytes, want %.100q of %d", i, got, len(got), want, len(want))
				}
			}
			if drafts != len(events) {
				t.Errorf("%d events were encoded outside the lock, want %d", drafts, len(events))
			}
			h.drafting = nil
			consistent(t, h)
		})
	}
}

func publishEvent(t *testing.T, h *Hub, e core.Event, opts ...PublishOption) error {
	t.Helper()
	_, err := h.Publish(t.Context(), "a", e, opts...)
	return err //nolint:wrapcheck // the hub's own
}

// A large event that cannot be published is refused like others.
func TestLargeEventsAreRefused(t *testing.T) {
	h := New(WithMaxBytes(10_000))
	for _, tt := range []struct {
		event core.Event
		want  string
	}{
		{core.Event{Data: strings.Repeat("x", 10_000)}, "larger than the limit"},
		{core.Event{Data: strings.Repeat("x", 9_000), Type: "a\nb"}, "Type contains"},
	} {
		if err := publishEvent(t, h, tt.event); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
	if h.last != 0 || len(h.topics) != 0 {
		t.Errorf("got %d events and %d topics, want none", h.last, len(h.topics))
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := publishEvent(t, h, core.Event{Data: strings.Repeat("x", 9_000)}); err != errShutdown {
		t.Errorf("got %v after the shutdown", err)
	}
}
