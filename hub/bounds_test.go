package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// held returns what a new client is sent that begins with the oldest event. It works only
// in a bubble.
func held(t *testing.T, h *hub.Hub, topics ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var words []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range h.SubscribeFrom(ctx, hub.Oldest, topics...) {
			if err != nil {
				t.Error(err)
			}
			words = append(words, summary(e))
		}
	}()
	synctest.Wait()
	cancel()
	<-done
	return strings.Join(words, " ")
}

// sleep lets the time of a bubble pass.
func sleep(d time.Duration) { <-time.After(d) }

func frameSize(t *testing.T, e core.Event) int {
	t.Helper()
	frame, err := e.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	return len(frame)
}

func TestBoundByEvents(t *testing.T) {
	for _, tt := range []struct {
		max  int
		want string
	}{
		{1, "5"}, {3, "3 4 5"}, {4, "2 3 4 5"}, {5, "1 2 3 4 5"}, {6, "1 2 3 4 5"}, {0, "1 2 3 4 5"}, {-1, "1 2 3 4 5"},
	} {
		t.Run(fmt.Sprint(tt.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.WithMaxEvents(tt.max))
				for i, word := range strings.Fields("1 2 3 4 5") { // over all topics
					publish(t, h, []string{"a", "b"}[i%2], word)
				}
				if got := held(t, h, "a", "b"); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestBoundByBytes(t *testing.T) {
	size := frameSize(t, core.Event{ID: hub.New().LastID(), Data: "1"})
	for _, tt := range []struct {
		max  int
		want string
	}{
		{size, "5"},
		{3*size - 1, "4 5"},
		{3 * size, "3 4 5"},
		{5*size - 1, "2 3 4 5"},
		{5 * size, "1 2 3 4 5"},
		{0, "1 2 3 4 5"},
		{-1, "1 2 3 4 5"},
	} {
		t.Run(fmt.Sprint(tt.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(hub.WithMaxBytes(tt.max))
				for i, word := range strings.Fields("1 2 3 4 5") {
					publish(t, h, []string{"a", "b"}[i%2], word)
				}
				if got := held(t, h, "a", "b"); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// An event may fill the whole log, and one that is a byte larger is refused.
func TestEventAsLargeAsTheLog(t *testing.T) {
	for _, size := range []int{100, 5 << 10, 64 << 10, 100 << 10} {
		h := hub.New(hub.WithMaxBytes(size))
		overhead := frameSize(t, core.Event{ID: idOf(h, 1)})
		if _, err := h.Publish(context.Background(), "a", core.Event{Data: strings.Repeat("x", size-overhead+1)}); err == nil {
			t.Errorf("an event of %d bytes went into a log of %d", size+1, size)
		}
		want := strings.Repeat("x", size-overhead)
		publish(t, h, "a", "small")
		publish(t, h, "a", want)
		r := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "a"))
		if got := r.event().Data; got != want {
			t.Errorf("got %d bytes of data, want %d", len(got), len(want))
		}
	}
}

func TestDefaultBounds(t *testing.T) {
	for name, h := range map[string]*hub.Hub{"New": hub.New(nil), "zero": {}} {
		t.Run(name, func(t *testing.T) {
			for i := range 10_001 {
				publish(t, h, "a", fmt.Sprint(i+1))
			}
			read(t, h.SubscribeFrom(soon(t), hub.Oldest, "a")).want("2")
			text := strings.Repeat("x", 1<<20)
			for range 65 {
				publish(t, h, "a", text)
			}
			if got, want := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "a")).event().ID, idOf(h, 10_001+65-63+1); got != want {
				t.Errorf("got %q as the oldest, want %q: 63 events fit into 64 MiB with their IDs", got, want)
			}
		})
	}
}

// Events are dropped when they reach the age, and not before, whether or not anything
// else happens.
func TestBoundByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.WithMaxAge(time.Minute))
		publish(t, h, "a", "1")
		sleep(30 * time.Second)
		publish(t, h, "b", "2")
		for _, tt := range []struct {
			wait   time.Duration
			want   string
			topics []string
		}{
			{30*time.Second - 1, "1 2", []string{"a", "b"}},
			{1, "2", []string{"b"}},
			{30*time.Second - 1, "2", []string{"b"}},
			{1, "", nil},
		} {
			sleep(tt.wait)
			if got := h.Topics(); !slices.Equal(got, tt.topics) {
				t.Errorf("got topics %v, want %v", got, tt.topics)
			}
			if got := held(t, h, "a", "b"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		}
		publish(t, h, "a", "3")
		if got, want := held(t, h, "a", "b"), "3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		sleep(time.Hour)
		if got := held(t, h, "a", "b"); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
}

// A client that was away for longer is told of a gap, but only in topics that have lost events.
func TestGapByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.WithMaxAge(time.Minute))
		id := publish(t, h, "b", "0")
		publish(t, h, "a", "1")
		sleep(2 * time.Minute)
		publish(t, h, "a", "2")
		a, b := read(t, h.SubscribeFrom(soon(t), hub.After(id), "a")), read(t, h.SubscribeFrom(soon(t), hub.After(id), "b"))
		a.want("GAP:dropped 2")
		publish(t, h, "b", "3")
		b.want("3")
		a.stop()
		b.stop()
	})
}

// A client that begins with the oldest event does not miss older ones.
func TestAgeBeforeTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.WithMaxAge(time.Minute))
		publish(t, h, "a", "1")
		sleep(time.Second)
		publish(t, h, "a", "2")
		sleep(2 * time.Second)
		publish(t, h, "a", "3")
		sleep(time.Minute - 1500*time.Millisecond) // 2 is too old
		if got, want := held(t, h, "a"), "3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Whichever bound is exceeded first drops the oldest events.
func TestBoundsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := frameSize(t, core.Event{ID: hub.New().LastID(), Data: "1"})
		h := hub.New(hub.WithMaxEvents(3), hub.WithMaxBytes(5*size), hub.WithMaxAge(time.Minute))
		publishAll(t, h, "a", "1 2 3 4")
		if got, want := held(t, h, "a"), "2 3 4"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		sleep(time.Second)
		publish(t, h, "a", "5"+strings.Repeat("x", 3*size))
		if got, want := held(t, h, "a"), "4 5"; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		sleep(59 * time.Second)
		if got, want := held(t, h, "a"), "5"; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
