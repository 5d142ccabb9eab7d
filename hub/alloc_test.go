package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func skipUnderRace(t *testing.T) {
	t.Helper()
	if testenv.Race {
		t.Skip("the race detector has allocations of its own")
	}
}

// Publish allocates the ID, and now and then a slab for the frames.
func TestPublishAllocations(t *testing.T) {
	skipUnderRace(t)
	event := core.Event{Type: "message", Data: strings.Repeat("x", 200)}
	ctx := context.Background()
	var h hub.Hub
	got := testing.AllocsPerRun(30_000, func() {
		if _, err := h.Publish(ctx, "topic", event); err != nil {
			t.Fatal(err)
		}
	})
	if want := 1.0; got > want {
		t.Errorf("got %v allocations to publish, want at most %v", got, want)
	}
}

func mustPublishEvent(t *testing.T, h *hub.Hub, e core.Event) {
	t.Helper()
	if _, err := h.Publish(context.Background(), "other", e); err != nil {
		t.Fatal(err)
	}
}

// The log takes little more memory than its frames at any length: while it fills up,
// and when the oldest events go as new ones come.
func TestLogMemoryAllocated(t *testing.T) {
	skipUnderRace(t)
	const events = 100_000
	for _, tt := range []struct {
		name string
		opts []hub.Option
		more int // events beyond those that are held
	}{
		{"all that were published", []hub.Option{hub.WithMaxEvents(0)}, 0},
		{"full", []hub.Option{hub.WithMaxEvents(events)}, 0},
		{"one more", []hub.Option{hub.WithMaxEvents(events)}, 1},
		{"a tenth more", []hub.Option{hub.WithMaxEvents(events)}, events / 10},
		{"almost a quarter more", []hub.Option{hub.WithMaxEvents(events)}, events/4 - 100},
		{"a half more", []hub.Option{hub.WithMaxEvents(events)}, events / 2},
		{"three times as many", []hub.Option{hub.WithMaxEvents(events)}, 2 * events},
		{"with a bound by age", []hub.Option{hub.WithMaxEvents(events), hub.WithMaxAge(1 << 40)}, events / 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			event := core.Event{Data: strings.Repeat("x", 200)}
			before := heap()
			h := hub.New(append(tt.opts, hub.WithMaxBytes(0))...)
			frames := 0
			for i := range events + tt.more {
				id, err := h.Publish(context.Background(), "topic", event)
				if err != nil {
					t.Fatal(err)
				}
				if i >= tt.more {
					frames += len("id: "+id+"\ndata: \n\n") + len(event.Data)
				}
			}
			got, most := heap()-before, frames*13/10
			t.Logf("%.3f times the bytes of its frames", float64(got)/float64(frames))
			if got > most {
				t.Errorf("a log of %d bytes of frames takes %d, want at most %d", frames, got, most)
			}
			runtime.KeepAlive(h)
		})
	}
}

// A replaced event is forgotten, and so is a key without events.
func TestKeyMemoryAllocated(t *testing.T) {
	skipUnderRace(t)
	event := core.Event{Data: strings.Repeat("x", 200)}
	h := hub.New()
	ten := func(n int) {
		for i := range n {
			if _, err := h.Publish(context.Background(), "prices", event, hub.WithKey(fmt.Sprint("key", i%10))); err != nil {
				t.Fatal(err)
			}
		}
	}
	ten(10)
	before := heap()
	ten(1_000_000)
	if got, most := heap()-before, 64<<10; got > most {
		t.Errorf("a million replacements of ten keys hold %d bytes, want at most %d", got, most)
	}
	for range 300 { // an event that stays does not keep replaced ones around it alive
		ten(300)
		mustPublishEvent(t, h, event)
	}
	if got, most := heap()-before, 1<<20; got > most {
		t.Errorf("300 events among replaced ones hold %d bytes, want at most %d", got, most)
	}
	keys := func(from, n int) {
		for i := range n {
			if _, err := h.Publish(context.Background(), "prices", event, hub.WithKey(fmt.Sprint("other", from+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys(0, 30_000)
	before = heap()
	keys(30_000, 200_000)
	if got, most := heap()-before, 1<<20; got > most {
		t.Errorf("200,000 forgotten keys hold %d bytes, want at most %d", got, most)
	}
	runtime.KeepAlive(h)
}
