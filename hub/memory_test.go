package hub_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// heap returns how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what the first one has found in pools
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc) //nolint:gosec // far below
}

const mib = 1 << 20

// roll publishes noise until nothing that was held before is left.
func roll(t *testing.T, h *hub.Hub, bytes int) {
	t.Helper()
	text := strings.Repeat("n", 1<<10)
	for range bytes/len(text) + 100 {
		publish(t, h, "noise", text)
	}
}

// A stuckConn accepts the session's first frame, and then nothing until it is released.
type stuckConn struct {
	sent  int
	stuck chan<- struct{}
	free  <-chan struct{}
}

func (c *stuckConn) Send(host.Frames) error {
	if c.sent++; c.sent == 2 {
		c.stuck <- struct{}{}
		<-c.free
	}
	return nil
}
func (*stuckConn) End() error { return nil }
func (*stuckConn) Abort()     {}

// Clients that accept nothing more, each at a different place in the log, hold nothing of
// it: memory does not depend on their number.
func TestMemoryOfStalledClients(t *testing.T) {
	const (
		clients = 12
		bound   = 2 * mib
	)
	h := hub.New(hub.WithMaxBytes(bound), hub.WithMaxEvents(0))
	roll(t, h, bound)
	before := heap()

	ctx, cancel := context.WithCancel(context.Background())
	stuck, free := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(free)
	defer cancel()
	for range clients {
		for range bound / (64 << 10) { // an event in each slab of the log
			publish(t, h, "rare", strings.Repeat("r", 100))
			roll(t, h, 0)
		}
		s, err := host.NewSession(ctx, core.Request{}, core.WithWriteTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			_ = s.Serve(&stuckConn{stuck: stuck, free: free}, h.SubscribeFrom(s.Context(), hub.Oldest, "rare"))
		})
		<-stuck
	}
	roll(t, h, bound)
	if got, most := heap()-before, bound; got > most {
		t.Errorf("%d stalled clients hold %d KiB, want at most %d, because the log is bounded by %d",
			clients, got>>10, most>>10, bound>>10)
	}
}

// Detached clients that do not read hold only what they are being sent, and not the slabs that it
// was in.
func TestMemoryOfStalledDetachedClients(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux does a write to a client that does not read not wait")
	}
	const (
		clients = 10
		bound   = 6 * mib
		each    = 256 << 10 // as the documentation says
	)
	h := hub.New(hub.WithMaxBytes(bound), hub.WithMaxEvents(0))
	var g core.Group
	url := serve(t, h, core.WithWriteTimeout(0), core.WithGroup(&g))
	roll(t, h, bound)
	before := heap()
	noise, rare := strings.Repeat("n", 1<<10), strings.Repeat("r", 3900)
	for i := range clients {
		for range 64 { // an event in each slab of 64 KiB
			publish(t, h, "rare", rare)
			for range 60 {
				publish(t, h, "noise", noise)
			}
		}
		conn := open(t, url+"detach&from=oldest&topic=rare")
		_ = conn.(*net.TCPConn).SetReadBuffer(1)
		hosttest.Eventually(t, "the client is stuck", func() bool {
			stuck := 0
			for m := range g.Members() {
				if m.Behind > 0 {
					stuck++
				}
			}
			return stuck == i+1
		})
	}
	roll(t, h, 2*bound)
	if got := heap() - before; got > clients*each {
		t.Errorf("%d stalled clients hold %d KiB, want at most %d each", clients, got>>10, each>>10)
	}
}

// Generators that wait for the next event hold nothing of the log either.
func TestMemoryOfWaitingReaders(t *testing.T) {
	const (
		readers = 200
		bound   = 1 * mib
	)
	h := hub.New(hub.WithMaxBytes(bound), hub.WithMaxEvents(0))
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan struct{})
	var running sync.WaitGroup
	for i := range readers {
		s := h.Subscribe(ctx, fmt.Sprint("topic", i))
		running.Go(func() {
			for _, err := range s {
				if err != nil {
					t.Error(err)
				}
				got <- struct{}{}
			}
		})
	}
	defer running.Wait()
	defer cancel()
	hosttest.Eventually(t, "all are subscribed", func() bool { return len(h.Topics()) == readers })
	for i := range readers {
		publish(t, h, fmt.Sprint("topic", i), "1")
		<-got
	}
	roll(t, h, bound)
	before := heap()
	for i := range readers {
		publish(t, h, fmt.Sprint("topic", i), "2")
		<-got
		roll(t, h, 0)
	}
	roll(t, h, bound)
	if got, most := heap()-before, bound; got > most {
		t.Errorf("%d readers that wait hold %d KiB more than before, want at most %d", readers, got>>10, most>>10)
	}
}

// Patterns without subscribers leave nothing behind, whatever topics they have matched.
func TestMemoryOfFormerPatterns(t *testing.T) {
	const (
		topics = 20
		bound  = 1 * mib
	)
	h := hub.New(hub.WithMaxBytes(bound), hub.WithMaxEvents(0))
	ctx := soon(t)
	roll(t, h, bound)
	before := heap()
	for i := range topics {
		topic := fmt.Sprint("topic", i)
		quiet := read(t, h.Subscribe(ctx, topic))
		publish(t, h, topic, "1")
		quiet.want("1")
		all := read(t, h.SubscribeFrom(ctx, hub.Oldest, ">"))
		all.event()
		publish(t, h, topic, "2")
		quiet.want("2")
		all.stop()
		roll(t, h, bound)
	}
	if got, most := heap()-before, 4*bound; got > most {
		t.Errorf("%d former patterns hold %d KiB, want at most %d", topics, got>>10, most>>10)
	}
}

// Topics that come and go are forgotten.
func TestMemoryOfFormerTopics(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(100))
	fill := func(from int) {
		for i := range 60_000 {
			publish(t, h, fmt.Sprint("topic", from+i), "")
		}
	}
	fill(0)
	before := heap()
	fill(60_000)
	fill(120_000)
	if got, most := heap()-before, 2*mib; got > most {
		t.Errorf("120,000 more topics hold %d KiB, want at most %d", got>>10, most>>10)
	}
	if got, want := len(h.Topics()), 100; got != want {
		t.Errorf("got %d topics, want %d", got, want)
	}
}
