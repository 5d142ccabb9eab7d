package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// Kick ends the subscriptions that have named a topic or a pattern, once they have what
// was published before.
func TestKick(t *testing.T) {
	h := hub.New()
	ctx := soon(t)
	streams := map[string]*reader{}
	for _, names := range []string{"a", "a b", "b", "*", "a.*"} {
		streams[names] = read(t, h.SubscribeFrom(ctx, hub.Oldest, strings.Fields(names)...))
	}
	publish(t, h, "a", "0")
	publish(t, h, "b", "0")
	publish(t, h, "a.x", "0")
	for _, r := range streams {
		r.want("0")
	}
	streams["a b"].want("0")
	streams["*"].want("0")
	for _, topic := range []string{"a", "b", "a"} {
		publish(t, h, topic, topic)
	}
	if got := h.Kick("a"); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
	publish(t, h, "a", "late")
	publish(t, h, "b", "later")
	if got := h.Kick("a"); got != 2 { // the second call changes nothing
		t.Errorf("got %d, want 2 that have not ended yet", got)
	}
	for names, want := range map[string]string{"a": "a a", "a b": "a b a"} {
		if got := streams[names].rest(); got != want {
			t.Errorf("%s: got %q after the kick, want %q", names, got, want)
		}
	}
	streams["b"].want("b later")
	streams["*"].want("a b a late later")
	publish(t, h, "a.x", "1")
	streams["a.*"].want("1")
	if got := h.Kick("*"); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	if got := streams["*"].rest(); got != "" {
		t.Errorf("got %q, want nothing more", got)
	}
	for name, want := range map[string]int{"a": 0, "b": 1, "*": 0, "a.*": 1, "never": 0} {
		if got := h.Len(name); got != want {
			t.Errorf("got Len(%q) = %d, want %d", name, got, want)
		}
	}
	if got := h.Kick("never") + h.Kick("") + h.Kick("never.*"); got != 0 {
		t.Errorf("got %d from a kick without subscribers, want 0", got)
	}
	again := read(t, h.SubscribeFrom(ctx, hub.After(h.LastID()), "a"))
	publish(t, h, "a", "back")
	again.want("back")
}

// A subscription that waits for the next event is woken to end.
func TestKickWhileWaiting(t *testing.T) {
	var h hub.Hub
	url := serve(t, &h)
	var streams []*ssetest.Stream
	for _, query := range ways {
		streams = append(streams, ssetest.Open(t, url+"topic=a"+query))
	}
	hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("a") == len(ways) })
	if got := h.Kick("a"); got != len(ways) {
		t.Errorf("got %d, want %d", got, len(ways))
	}
	for _, s := range streams {
		if got := summaries(s.All()); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	}
}

// A subscriber that the log has overtaken is told, or ended, depending on the policy.
// One that comes back is told in both cases.
func TestGapPolicy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy hub.GapPolicy
		err    error
	}{{"jump", hub.GapJump, nil}, {"end", hub.GapEnd, hub.ErrLagged}} {
		t.Run(tt.name, func(t *testing.T) {
			h := hub.New(hub.WithMaxEvents(2), hub.WithGapPolicy(tt.policy))
			ctx := soon(t)
			r := read(t, h.SubscribeFrom(ctx, hub.Oldest, "a"))
			publish(t, h, "a", "1")
			r.want("1")
			publishAll(t, h, "b", "2 3 4 5 6 7") // pushes out what r has read
			publish(t, h, "a", "8")
			r.want("8")
			publishAll(t, h, "a", "9 10 11")
			if tt.err == nil {
				r.want("GAP:dropped 10 11")
			} else if err := r.end(); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			r = read(t, h.SubscribeFrom(ctx, hub.After(idOf(h, 8)), "a"))
			r.want("GAP:dropped 10 11")
			read(t, h.SubscribeFrom(ctx, hub.After("rubbish"), "a")).stop()
			rubbish := read(t, h.SubscribeFrom(ctx, hub.After("rubbish"), "a"))
			rubbish.want("GAP:unknown")
		})
	}
}

// After Shutdown every method says so, and nothing is left.
func TestShutdown(t *testing.T) {
	var h hub.Hub
	r := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "a", "b.*"))
	publish(t, &h, "a", "1")
	r.want("1")
	publish(t, &h, "b.c", "2")

	pattern := read(t, h.SubscribeFrom(soon(t), hub.Oldest, "*"))
	pattern.want("1")

	ended, cancel := context.WithCancelCause(context.Background())
	cancel(errMaintenance)
	err := h.Shutdown(ended)
	if !errors.Is(err, errMaintenance) || !strings.HasPrefix(err.Error(), "hub: shutdown: 2 ") {
		t.Errorf("got %v with a stream that has not ended, want an error that wraps %v and says how many", err, errMaintenance)
	}
	last := h.LastID()
	if id, err := h.Publish(t.Context(), "a", core.Event{}); !errors.Is(err, core.ErrShutdown) || id != "" {
		t.Errorf("got %q, %v from Publish, want %v", id, err, core.ErrShutdown)
	}
	if h.LastID() != last {
		t.Errorf("got LastID %q, want %q", h.LastID(), last)
	}
	if err := read(t, h.Subscribe(soon(t), "a")).end(); !errors.Is(err, core.ErrShutdown) {
		t.Errorf("got %v from a stream, want %v", err, core.ErrShutdown)
	}
	if got, want := r.rest(), "2"; got != want {
		t.Errorf("got %q after the shutdown, want %q", got, want)
	}
	if got := pattern.rest(); got != "" {
		t.Errorf("got %q after the shutdown, want nothing", got)
	}
	for range 2 {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
	if err := new(hub.Hub).Shutdown(ended); err != nil {
		t.Errorf("got %v from a hub that was never used, want nil", err)
	}
}

// Several goroutines may wait for the end at once.
func TestShutdownTwiceAtOnce(t *testing.T) {
	ssetest.NoLeaks(t)
	h := hub.New()
	s := ssetest.Open(t, serve(t, h)+"topic=a")
	hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == 1 })
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			if err := h.Shutdown(soon(t)); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	}
	running.Wait()
	s.All()
}

// Shutdown waits for the streams, and so for their leave hooks.
func TestShutdownWaitsForLeaveHooks(t *testing.T) {
	entered, free := make(chan struct{}), make(chan struct{})
	left := false
	h := hub.New(hub.WithLeave(func(context.Context, string) {
		close(entered)
		<-free
		left = true
	}))
	s := h.SubscribeFrom(soon(t), hub.Oldest, "a")
	publish(t, h, "a", "1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range s {
			if err != nil {
				t.Error(err)
			}
			break
		}
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	early := h.Shutdown(ctx)
	close(free)
	if early == nil {
		t.Error("Shutdown has returned nil while a leave hook ran")
		<-done
	}
	if err := h.Shutdown(soon(t)); err != nil || !left {
		t.Errorf("got %v, and left is %v, want nil and true", err, left)
	}
	<-done
}

// A thousand clients leave at once, or are ended, over connections and in memory: every
// goroutine ends, and nothing is left of them.
func TestThousandLeave(t *testing.T) {
	const many = 1_000
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, h *hub.Hub, cancel func(), conns []net.Conn)
	}{
		{"by themselves", func(_ *testing.T, _ *hub.Hub, cancel func(), conns []net.Conn) {
			cancel()
			for _, conn := range conns {
				_ = conn.Close()
			}
		}},
		{"shutdown", func(t *testing.T, h *hub.Hub, _ func(), _ []net.Conn) {
			if err := h.Shutdown(soon(t)); err != nil {
				t.Error(err)
			}
		}},
		{"kick", func(t *testing.T, h *hub.Hub, _ func(), _ []net.Conn) {
			if got, want := h.Kick("all"), 2*many; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			h := hub.New()
			url := serve(t, h)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			conns := make([]net.Conn, 0, many)
			var running sync.WaitGroup
			for i := range many {
				conns = append(conns, open(t, url+fmt.Sprintf("topic=all&topic=t%d&topic=p.*", i%10)+strings.Repeat("&detach", i%2)))
				s := h.Subscribe(ctx, "all", fmt.Sprint("t", i%10), "*")
				running.Go(func() {
					for _, err := range s {
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("all") == 2*many })
			publish(t, h, "all", "news")
			publish(t, h, "t1", "news")
			tt.end(t, h, cancel, conns)
			running.Wait()
			hosttest.Eventually(t, "all have left", func() bool { return h.Len("all") == 0 })
			for _, name := range []string{"t1", "*", "p.*"} {
				hosttest.Eventually(t, "all have left "+name, func() bool { return h.Len(name) == 0 })
			}
			if err := h.Shutdown(soon(t)); err != nil {
				t.Error(err)
			}
		})
	}
}
