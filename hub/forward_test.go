package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

var allSorts = []core.Event{
	{Data: "plain"},
	{},
	{Type: "typed", Data: "a"},
	{Data: "lines\nof\r\ntext\rthat end\n"},
	{Data: " leading", Comment: "with it"},
	{Comment: "two\nlines"},
	{Retry: 1500 * time.Millisecond},
	{Type: "all", Data: "d", Comment: " c", Retry: time.Second},
	{Data: "\u00e9\u2028 \ufeff and \xff"},
	{Data: strings.Repeat("long ", 2_000)},
	{Data: strings.Repeat("longer than a slab ", 10_000)},
	{Data: "\x00\t"},
}

// A client gets the same bytes whether the frames are forwarded or a generator
// ranges over the events, and they are what the events encode to.
func TestForwardedAndDecodedAreTheSame(t *testing.T) {
	h := hub.New()
	url := serve(t, h, core.WithHeartbeat(0))
	forwarded := ssetest.Open(t, url+"topic=a&topic=*")
	decoded := ssetest.Open(t, url+"topic=a&topic=*&decode")
	detached := ssetest.Open(t, url+"topic=a&topic=*&detach")
	late := ssetest.Open(t, url+"topic=a&from=rubbish")
	lateDecoded := ssetest.Open(t, url+"topic=a&from=rubbish&decode")
	lateDetached := ssetest.Open(t, url+"topic=a&from=rubbish&detach")
	hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("a") == 6 })
	want := ""
	for range 5 {
		for _, e := range allSorts {
			id, err := h.Publish(t.Context(), "a", e)
			if err != nil {
				t.Fatal(err)
			}
			e.ID = id
			frame, err := e.AppendText(nil)
			if err != nil {
				t.Fatal(err)
			}
			want += string(frame)
		}
	}
	h.Kick("a")
	if got := forwarded.Body(); got != want {
		t.Errorf("forwarded: got\n%.2000q, want\n%.2000q", got, want)
	}
	if got := decoded.Body(); got != want {
		t.Errorf("decoded: got\n%.2000q, want\n%.2000q", got, want)
	}
	if got := detached.Body(); got != want {
		t.Errorf("detached: got\n%.2000q, want\n%.2000q", got, want)
	}
	a, b, c := late.Body(), lateDecoded.Body(), lateDetached.Body()
	if a != b || a != c || !strings.Contains(a, "event: gap\n") {
		t.Errorf("with a gap: got\n%.500q forwarded,\n%.500q decoded and\n%.500q detached", a, b, c)
	}
}

// A client that is far behind gets what it missed in few pieces.
func TestReplayGathers(t *testing.T) {
	h := hub.New()
	for range 1_000 {
		publish(t, h, "a", strings.Repeat("x", 200))
	}
	ctx, cancel := context.WithCancel(soon(t))
	s, err := host.NewSession(ctx, core.Request{LastEventID: idOf(h, 0)})
	if err != nil {
		t.Fatal(err)
	}
	enough := make(chan struct{}, 1)
	conn := &countingConn{most: 1_000 * 200, enough: enough}
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(conn, h.Subscribe(s.Context(), "a")) })
	<-enough
	cancel()
	running.Wait()
	if got, most := conn.sends.Load(), int64(10); got > most {
		t.Errorf("got 1,000 events in %d pieces, want at most %d", got, most)
	}
}

// A generator between the hub and the session sees each event, and may stop.
func TestWrappedStream(t *testing.T) {
	var h hub.Hub
	url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		s := h.SubscribeFrom(r.Context(), hub.Oldest, "a")
		return func(yield func(core.Event, error) bool) {
			s(func(e core.Event, err error) bool {
				if e.Data == "secret" {
					return true
				}
				e.Type = "wrapped"
				return yield(e, err) && e.Data != "last"
			})
		}
	}))
	publishAll(t, &h, "a", "1 secret last more")
	got := ssetest.Open(t, url).All()
	if summaries(got) != "1 last" || got[0].Type != "wrapped" {
		t.Errorf("got %+v, want 1 and last, wrapped", got)
	}
}

// A wakefulContext counts how often a subscription checks whether its context has ended.
type wakefulContext struct {
	context.Context //nolint:containedctx // it is one
	woken           atomic.Int64
}

func (c *wakefulContext) Err() error {
	c.woken.Add(1)
	return c.Context.Err()
}

// A subscription has only the goroutine that consumes it, and wakes only for its own topics.
func TestParkedSubscriptions(t *testing.T) {
	ssetest.NoLeaks(t)
	const topics = 1_000
	h := hub.New()
	base, cancel := context.WithCancel(context.Background())
	contexts := make([]*wakefulContext, topics)
	got := make(chan string)
	var running sync.WaitGroup
	name := func(i int) string { return fmt.Sprint("topic.", i) }
	before := runtime.NumGoroutine()
	for i := range topics {
		contexts[i] = &wakefulContext{Context: base}
		s := h.Subscribe(contexts[i], name(i))
		running.Go(func() {
			for e, err := range s {
				if err != nil {
					t.Error(err)
				}
				got <- e.Data
			}
		})
	}
	hosttest.Eventually(t, "all are subscribed", func() bool { return len(h.Topics()) == topics })
	if n := runtime.NumGoroutine() - before; n > topics+2 {
		t.Errorf("got %d goroutines more for %d subscriptions", n, topics)
	}
	for _, c := range contexts {
		c.woken.Store(0)
	}
	const events = 10
	for range events {
		publish(t, h, name(500), "x")
		<-got
	}
	cancel()
	running.Wait()
	others := int64(0)
	for i, c := range contexts {
		if i != 500 {
			others = max(others, c.woken.Load())
		}
	}
	// Some of the others may still have been on their way to their first wait.
	if mine := contexts[500].woken.Load(); mine < events || others >= events {
		t.Errorf("the subscriber was woken %d times, and one of the others up to %d times, want %d or more, and less", mine, others, events)
	}
}
