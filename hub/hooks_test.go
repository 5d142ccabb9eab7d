package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

type hookKey struct{}

// The hooks are called once for each name, in order, with the subscription's
// context, however the stream ends.
func TestHooks(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, h *hub.Hub, s core.Stream, cancel func())
	}{
		{"the consumer breaks", func(t *testing.T, _ *hub.Hub, s core.Stream, _ func()) {
			for _, err := range s {
				if err != nil {
					t.Error(err)
				}
				break
			}
		}},
		{"the consumer panics", func(t *testing.T, _ *hub.Hub, s core.Stream, _ func()) {
			defer func() { _ = recover() }()
			for _, err := range s {
				if err != nil {
					t.Error(err)
				}
				panic("consumer")
			}
		}},
		{"the context ends", func(t *testing.T, _ *hub.Hub, s core.Stream, cancel func()) {
			for _, err := range s {
				if err != nil {
					t.Error(err)
				}
				cancel()
			}
		}},
		{"kick", func(t *testing.T, h *hub.Hub, s core.Stream, _ func()) {
			for _, err := range s {
				if err != nil {
					t.Error(err)
				}
				h.Kick("p.*")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			h := hub.New(
				hub.WithJoin(func(ctx context.Context, topic string) {
					calls = append(calls, fmt.Sprint("join ", topic, ctx.Value(hookKey{}), ctx.Err()))
				}),
				hub.WithLeave(func(ctx context.Context, topic string) {
					calls = append(calls, fmt.Sprint("leave ", topic, ctx.Value(hookKey{}), ctx.Err()))
				}),
			)
			publish(t, h, "b", "1")
			ctx, cancel := context.WithCancel(context.WithValue(soon(t), hookKey{}, "!"))
			s := h.SubscribeFrom(ctx, hub.Oldest, "b", "p.*", "b", "a")
			if len(calls) > 0 {
				t.Errorf("got %q before the stream runs", calls)
			}
			tt.end(t, h, s, cancel)
			want := []string{"join b!<nil>", "join p.*!<nil>", "join a!<nil>", "leave b!<nil>", "leave p.*!<nil>", "leave a!<nil>"}
			if !slices.Equal(calls, want) {
				t.Errorf("got %q, want %q", calls, want)
			}
			if got := h.Len("a") + h.Len("b") + h.Len("p.*"); got != 0 {
				t.Errorf("%d subscriptions are left", got)
			}
		})
	}
}

// A panic of the join hook is the stream's, and leave is called for the names that were
// joined.
func TestJoinPanics(t *testing.T) {
	var calls []string
	h := hub.New(
		hub.WithJoin(func(_ context.Context, topic string) {
			if calls = append(calls, "join "+topic); topic == "b" {
				panic("hook")
			}
		}),
		hub.WithLeave(func(_ context.Context, topic string) { calls = append(calls, "leave "+topic) }),
	)
	func() {
		defer func() {
			if got := recover(); got != "hook" {
				t.Errorf("got panic %v, want the hook's", got)
			}
		}()
		for _, err := range h.Subscribe(soon(t), "a", "b", "c") {
			t.Errorf("got an element of the stream, and error %v", err)
		}
	}()
	if got, want := strings.Join(calls, ", "), "join a, join b, leave a, leave b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := h.Len("a") + h.Len("b") + h.Len("c"); got != 0 {
		t.Errorf("%d subscriptions are left", got)
	}
}

// The hooks may use the hub. What join publishes reaches that subscription too,
// and what leave publishes reaches the others.
func TestHooksUseTheHub(t *testing.T) {
	var h *hub.Hub
	say := func(what string) func(context.Context, string) {
		return func(ctx context.Context, topic string) {
			data := fmt.Sprintf("%s:%d", what, h.Len(topic))
			if _, err := h.Publish(ctx, topic, core.Event{Data: data}); err != nil {
				t.Error(err)
			}
			_, _ = h.Topics(), h.LastID()
		}
	}
	h = hub.New(hub.WithJoin(say("join")), hub.WithLeave(say("leave")))
	ctx, cancel := context.WithCancel(soon(t))
	first := read(t, h.Subscribe(ctx, "room"))
	first.want("join:1")
	second := read(t, h.Subscribe(soon(t), "room"))
	second.want("join:2")
	first.want("join:2")
	cancel()
	if err := first.end(); err != nil {
		t.Error(err)
	}
	second.want("leave:1")

	closed := hub.New(hub.WithJoin(func(context.Context, string) { h.Kick("room") }))
	_ = read(t, closed.SubscribeFrom(soon(t), hub.After("rubbish"), "x")).event()
	if got := second.rest(); got != "" {
		t.Errorf("got %q, want the end", got)
	}
}

// A stream that its join hook kicks ends.
func TestJoinKicks(t *testing.T) {
	var h *hub.Hub
	h = hub.New(hub.WithJoin(func(_ context.Context, topic string) { h.Kick(topic) }), hub.WithGapEvent(nil), nil)
	if err := read(t, h.Subscribe(soon(t), "a")).end(); err != nil {
		t.Error(err)
	}
}

// A hub may have only a leave hook. Without a running stream no hook is called.
func TestLeaveAlone(t *testing.T) {
	left := 0
	h := hub.New(hub.WithLeave(func(context.Context, string) { left++ }), hub.WithJoin(nil))
	publish(t, h, "a", "1")
	r := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "a", "*"))
	r.want("1")
	r.stop()
	if left != 2 {
		t.Errorf("got %d calls, want 2", left)
	}
	if err := h.Shutdown(soon(t)); err != nil {
		t.Error(err)
	}
	if err := read(t, h.Subscribe(soon(t), "a")).end(); !errors.Is(err, core.ErrShutdown) || left != 2 {
		t.Errorf("got %v and %d calls after a shutdown, want %v and 2", err, left, core.ErrShutdown)
	}
}

// The application makes the gap event, except for its ID, and its function may use the hub.
func TestGapEvent(t *testing.T) {
	var h *hub.Hub
	var got hub.Gap
	h = hub.New(hub.WithMaxEvents(1), hub.WithGapEvent(func(g hub.Gap) core.Event {
		got = g
		_ = h.Len("a")
		publish(t, h, "other", "from the function")
		return core.Event{ID: "mine", Type: "reload", Data: "all", Comment: "with it"}
	}))
	begin := h.LastID()
	publishAll(t, h, "a", "1 2")
	want := hub.Gap{Reason: hub.GapDropped, After: begin, Through: idOf(h, 1), Topics: []string{"a"}}
	e := read(t, h.SubscribeFrom(soon(t), hub.After(begin), "b", "a")).event()
	if wantEvent := (core.Event{ID: want.Through, Type: "reload", Data: "all", Comment: "with it"}); e != wantEvent {
		t.Errorf("got %+v, want %+v", e, wantEvent)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	read(t, h.SubscribeFrom(soon(t), hub.After("rubbish"), "b", "a", "c.*")).event()
	if got, want := got.Topics, []string{"b", "a", "c.*"}; !slices.Equal(got, want) {
		t.Errorf("got %v as the topics, want %v", got, want)
	}
}

// A gap event that cannot be encoded fails the stream.
func TestGapEventThatIsNone(t *testing.T) {
	h := hub.New(hub.WithGapEvent(func(hub.Gap) core.Event { return core.Event{Type: "two\nlines"} }))
	err := read(t, h.SubscribeFrom(soon(t), hub.After("rubbish"), "a")).end()
	if err == nil || !strings.HasPrefix(err.Error(), "hub: gap event: ") || !strings.Contains(err.Error(), "Type") {
		t.Errorf("got %v, want an error that says what is wrong", err)
	}
	if got := h.Len("a"); got != 0 {
		t.Errorf("got Len %d, want 0", got)
	}
}
