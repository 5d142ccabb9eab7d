package hub_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Thousands subscribe while a million events are published: between replayed and live
// events, nothing is lost and nothing comes twice.
func TestSubscribeWhilePublishing(t *testing.T) {
	const (
		subscribers = 4
		slack       = 50_000 // so that nobody is overtaken because its goroutine runs late
	)
	events, calls := hosttest.Rounds(300_000), hosttest.Rounds(200)
	topics := []string{"a", "b.x", "b.y", "c"}
	topicOf := func(n int) string { // of event n
		n %= 7 // the square of more does not fit into 32 bits
		return topics[n*n%7%len(topics)]
	}
	first := seed(t)
	h := hub.New(hub.WithMaxEvents(2*slack), hub.WithMaxBytes(0))
	hub.SetStep(h, 50) //nolint:mnd // many steps for each client
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var (
		running sync.WaitGroup
		total   atomic.Int64
		began   [subscribers]atomic.Int64 // the lowest number that it may still read; 0 if it reads nothing
	)
	check := func(i int, rng *rand.Rand) {
		names := [][]string{{"a"}, {"b.*"}, {">"}, {"a", "b.x"}, {"c", "*.y", "b.y"}}[rng.IntN(5)]
		low := number(t, h.LastID())
		began[i].Store(int64(max(low, 1000)) - 999) //nolint:gosec // small
		defer began[i].Store(0)
		from := ""
		if rng.IntN(2) == 0 {
			low -= min(low, rng.Uint64N(1000))
			from = idOf(h, int(low)) //nolint:gosec // small
		}
		s := h.SubscribeFrom(ctx, hub.After(from), names...)
		high := low
		if from == "" {
			high = number(t, h.LastID())
		}
		count, most := 0, 1+rng.IntN(60)
		for e, err := range s {
			if err != nil || e.Type != "" {
				t.Errorf("got %+v, %v", e, err)
				return
			}
			n := number(t, e.ID)
			for low++; low < n; low++ {
				if matchesAny(names, topicOf(int(low))) && (low > high || count > 0) { //nolint:gosec // small
					t.Errorf("%v from %q: %d is missing, event %d is %d", names, from, low, count, n)
					return
				}
			}
			if low != n || e.Data != strconv.FormatUint(n, 10) || !matchesAny(names, topicOf(int(n))) { //nolint:gosec // small
				t.Errorf("%v from %q: got %d with data %q as event %d, want one from %d on", names, from, n, e.Data, count, low)
				return
			}
			if count++; count == most {
				return
			}
		}
	}
	for i := range subscribers {
		running.Go(func() {
			rng := rand.New(rand.NewPCG(first, uint64(i))) //nolint:gosec // to be replayed
			for n := 0; ctx.Err() == nil || n < calls && !t.Failed(); n++ {
				if ctx.Err() != nil {
					return
				}
				check(i, rng)
				total.Add(1)
			}
		})
	}
	for n := 1; n <= events || total.Load() < int64(subscribers*calls) && n < 10*events; n++ {
		if _, err := h.Publish(ctx, topicOf(n), core.Event{Data: strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
		for i := 0; n%1000 == 0 && i < subscribers && !t.Failed(); i++ {
			for at := began[i].Load(); at != 0 && int64(n)-at > slack; at = began[i].Load() {
				if runtime.Gosched(); t.Failed() {
					break
				}
			}
		}
	}
	cancel()
	running.Wait()
	t.Logf("%d events, %d subscriptions", number(t, h.LastID()), total.Load())
}
