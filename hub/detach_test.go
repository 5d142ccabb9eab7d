package hub_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// needPoller skips a test where each client needs a goroutine that reads from it.
func needPoller(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux does a client need no goroutine")
	}
}

// crowd opens many detached subscriptions, and waits until all have joined.
func crowd(t *testing.T, h *hub.Hub, url, topic string, size int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, size)
	for i := range conns {
		conns[i] = open(t, url+"detach&topic="+topic)
	}
	hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len(topic) == size })
	return conns
}

// A detached subscription has no goroutine, and still notices that its client leaves
// while it is idle.
func TestDetachedHasNoGoroutine(t *testing.T) {
	for name, serve := range map[string]func(testing.TB, *hub.Hub, ...core.Option) string{"plain": serve, "TLS": serveTLS} {
		t.Run(name, func(t *testing.T) { hasNoGoroutine(t, serve) })
	}
}

func hasNoGoroutine(t *testing.T, serve func(testing.TB, *hub.Hub, ...core.Option) string) {
	t.Helper()
	needPoller(t)
	ssetest.NoLeaks(t)
	const size, few = 200, 20
	h := hub.New()
	url := serve(t, h, core.WithHeartbeat(time.Hour)) // a heartbeat would also tell that they have left
	before := runtime.NumGoroutine()
	conns := crowd(t, h, url, "a", size)
	hosttest.Eventually(t, "the handlers have returned", func() bool { return runtime.NumGoroutine() < before+few })
	publish(t, h, "a", "news")
	for _, conn := range conns {
		readUntil(t, conn, "data: news\n\n")
	}
	hosttest.Eventually(t, "the workers have nothing to do", func() bool { return runtime.NumGoroutine() < before+few })
	for _, conn := range conns {
		_ = conn.Close()
	}
	hosttest.Eventually(t, "all have left", func() bool { return h.Len("a") == 0 })
}

// readUntil reads until text comes.
func readUntil(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var got []byte
	for buf := make([]byte, 1<<10); !strings.Contains(string(got), text); {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
		got = append(got, buf[:n]...)
	}
}

// Delivering an event allocates nothing, whether events are written one by one
// or many together.
func TestDetachedDeliveryAllocations(t *testing.T) {
	needPoller(t)
	skipUnderRace(t)
	const subscribers, events, most = 50, 400, 0.01
	h := hub.New()
	conns := crowd(t, h, serve(t, h, core.WithHeartbeat(0)), "a", subscribers)
	for _, conn := range conns {
		readUntil(t, conn, "\r\n\r\n")
	}
	event := core.Event{Data: strings.Repeat("x", 200)}
	buf := make([]byte, 64<<10)
	id := publish(t, h, "a", event.Data)
	for _, conn := range conns {
		readUntil(t, conn, id)
	}
	frame := len("id: ") + len(id) + len("\ndata: ") + 200 + 2
	for _, batch := range []int{1, events} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range events / batch {
			sent := 0
			for range batch {
				if _, err := h.Publish(context.Background(), "a", event); err != nil {
					t.Fatal(err)
				}
				sent += frame
			}
			for _, conn := range conns {
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				for got := 0; got < sent; { // the chunks' sizes and longer IDs make it more
					n, err := conn.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					got += n
				}
			}
		}
		runtime.ReadMemStats(&after)
		if got := float64(after.Mallocs-before.Mallocs)/events - 3; got/subscribers > most { // 3 to publish
			t.Errorf("%d at once: got %.3f allocations a delivery, want at most %v", batch, got/subscribers, most)
		}
	}
}

// Hooks may be slow, and panic, and nobody else waits for them.
func TestDetachedHooks(t *testing.T) {
	type key struct{}
	free, left := make(chan struct{}), make(chan any, 10)
	h := hub.New(
		hub.WithJoin(func(_ context.Context, topic string) {
			if topic == "explode" {
				panic("boom")
			}
		}),
		hub.WithLeave(func(ctx context.Context, topic string) {
			if topic == "slow" {
				<-free
			}
			left <- ctx.Value(key{})
		}))
	handler := view(h)
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 42)))
	})) + "/?detach&"
	var slow []*ssetest.Stream
	for range 2 * runtime.GOMAXPROCS(0) {
		slow = append(slow, ssetest.Open(t, url+"topic=slow"))
	}
	hosttest.Eventually(t, "they are subscribed", func() bool { return h.Len("slow") == len(slow) })
	other := ssetest.Open(t, url+"topic=a")
	hosttest.Eventually(t, "the other is subscribed", func() bool { return h.Len("a") == 1 })
	for _, s := range slow {
		s.Close()
	}
	hosttest.Eventually(t, "they have left", func() bool { return h.Len("slow") == 0 })
	if _, err := ssetest.Open(t, url+"topic=a&topic=explode").Rest(); err == nil {
		t.Error("got a clean end after a panic of the join hook")
	}
	publish(t, h, "a", "news")
	if got := other.Next().Data; got != "news" {
		t.Errorf("got %q, want news", got)
	}
	close(free)
	for range len(slow) + 2 {
		select {
		case got := <-left:
			if got != 42 {
				t.Errorf("got value %v in a hook's context, want the request's", got)
			}
		case <-time.After(patience):
			t.Fatal("not all have left")
		}
	}
	hosttest.Eventually(t, "the one whose hook has panicked is gone", func() bool { return h.Len("explode") == 0 })
	if err := h.Shutdown(soon(t)); err != nil {
		t.Error(err)
	}
}

// A subscription may have a context of its own, which ends only that subscription. It ends with
// its session, too, even if nothing is published.
func TestSubscriptionWithItsOwnContext(t *testing.T) {
	for name, opts := range map[string][]core.Option{"in a handler": nil, "detached": {core.WithDetach()}} {
		t.Run(name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			var h hub.Hub
			ctx, cancel := context.WithCancel(context.Background())
			url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, _ *http.Request) core.Stream {
				return h.Subscribe(ctx, "a")
			}, opts...))
			ended, left := ssetest.Open(t, url), ssetest.Open(t, url)
			hosttest.Eventually(t, "both are subscribed", func() bool { return h.Len("a") == 2 })
			left.Close()
			hosttest.Eventually(t, "one has left", func() bool { return h.Len("a") == 1 })
			cancel()
			ended.All()
			hosttest.Eventually(t, "the other has ended", func() bool { return h.Len("a") == 0 })
		})
	}
}

// A subscriber that was overtaken, and whose hub ends it for that, sees a broken
// response, and the host learns why.
func TestDetachedLagged(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(10), hub.WithGapPolicy(hub.GapEnd))
	ends := make(chan core.Summary, 1)
	url := serve(t, h, core.WithWriteTimeout(0), core.WithObserver(core.Observer{
		Closed: func(_ context.Context, end core.Summary) { ends <- end },
	}))
	conn := open(t, url+"detach&topic=a")
	hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == 1 })
	large := strings.Repeat("x", 64<<10)
	for range 500 { // more than the kernel holds
		publish(t, h, "a", large)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(conn)
	if err != nil || strings.HasSuffix(string(got), "\r\n0\r\n\r\n") {
		t.Errorf("got the end %.20q, %v, want a broken response", got[len(got)-20:], err)
	}
	select {
	case end := <-ends:
		if !errors.Is(end.Err, hub.ErrLagged) {
			t.Errorf("got %+v, want %v", end, hub.ErrLagged)
		}
	case <-time.After(patience):
		t.Error("the session has not ended")
	}
}

// A hub with a log reads from it what its memory has lost, and its other subscribers
// continue even if the log does not answer.
func TestDetachedOverLog(t *testing.T) {
	ssetest.NoLeaks(t)
	const events = 1_000 // several pages
	log := new(hubtest.MemoryLog)
	h := hub.New(hub.WithLog(log), hub.WithMaxEvents(10))
	defer func() {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	}()
	url := serve(t, h) + "detach&topic=a"
	first := publish(t, h, "a", "0")
	newest := ""
	for i := range events {
		newest = publish(t, h, "a", strings.Repeat("x", i%7))
	}
	hosttest.Eventually(t, "the hub has followed", func() bool { return h.LastID() == newest })
	live := ssetest.Open(t, url)
	hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == 1 })
	late := ssetest.Request{URL: url, Header: http.Header{"Last-Event-Id": {first}}}.Open(t)
	var last string
	for i, e := range late.Collect(events) {
		if want := strings.Repeat("x", i%7); e.Data != want || e.ID == last {
			t.Fatalf("got event %d %+v after ID %q, want data %q", i, e, last, want)
		}
		last = e.ID
	}
	log.Fail(errors.New("away"))
	stuck := ssetest.Request{URL: url, Header: http.Header{"Last-Event-Id": {first}}}.Open(t) // waits for the log
	hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == 3 })
	log.Fail(nil)
	publish(t, h, "a", "news")
	var reading sync.WaitGroup
	for _, s := range []*ssetest.Stream{live, late} {
		reading.Go(func() {
			if got := s.Next().Data; got != "news" {
				t.Errorf("got %q, want news", got)
			}
		})
	}
	reading.Wait()
	if got := summary(stuck.Collect(events + 1)[events]); got != "news" {
		t.Errorf("got %q at the end of what was missed, want news", got)
	}
}
