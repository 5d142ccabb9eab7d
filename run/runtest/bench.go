package runtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

var token = core.Event{Type: "token", Data: `{"delta":" the"}`}

// Benchmark measures a kind of store: a token that passes through a run to a reader in its own
// process and in another one, the same through a hub over [Server.HubLog], and attaching to one run of 100 events
// among few runs and among 10,000. It writes these runs to the store directly.
func Benchmark(b *testing.B, start func(t testing.TB) Server) {
	b.Helper()
	s := start(b)
	open := func(b *testing.B) (run.Store, *run.Runner) {
		b.Helper()
		store, die := s.Open(b, s.Addr)
		b.Cleanup(die)
		return store, run.New(run.WithStore(store), run.WithMaxRuns(0), run.WithMaxEvents(0), run.WithMaxBytes(0),
			run.WithMaxTotalBytes(0), run.WithRetention(time.Minute))
	}
	for _, where := range []string{"here", "elsewhere"} {
		b.Run("token "+where, func(b *testing.B) {
			_, one := open(b)
			_, other := open(b)
			ready := make(chan bool)
			stream := one.Start(b.Context(), where+strconv.Itoa(b.N), func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					<-ready
					for range b.N {
						if !yield(token, nil) {
							return
						}
					}
				}
			})
			if where == "elsewhere" {
				stream = other.Attach(b.Context(), where+strconv.Itoa(b.N))
			}
			b.ResetTimer()
			close(ready)
			count(b, stream, b.N)
		})
	}
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprintf("token over a hub with %d publishers", publishers), func(b *testing.B) {
			if s.HubLog == nil {
				b.Skip("there is no log")
			}
			tokenOverHub(b, s.HubLog(b), publishers)
		})
	}
	held := 0
	for _, runs := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("attach among %d", runs), func(b *testing.B) {
			store, _ := open(b)
			words := make([]string, 100)
			var all sync.WaitGroup
			for ; held < runs; held++ {
				n := held
				all.Go(func() { end(b, store, strconv.Itoa(n), words) })
				if n%16 == 0 {
					all.Wait()
				}
			}
			all.Wait()
			b.ResetTimer()
			for i := range b.N {
				r := run.New(run.WithStore(store)) // which has not read it before
				count(b, r.Attach(b.Context(), strconv.Itoa(i*7919%runs)), len(words))
			}
		})
	}
}

// tokenOverHub measures a hub over a log as a run is measured. A publisher waits for the log's answer
// before it publishes its next event.
func tokenOverHub(b *testing.B, l hub.Log, publishers int) {
	b.Helper()
	h := hub.New(hub.WithLog(l), hub.WithMaxEvents(0), hub.WithMaxBytes(0))
	defer func() { _ = h.Shutdown(context.Background()) }()
	before, err := h.Publish(b.Context(), "run", token)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	defer all.Wait()
	b.ResetTimer()
	for range publishers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := h.Publish(ctx, "run", token); err != nil {
					b.Error(err)
					cancel()
					return
				}
			}
		})
	}
	n := 0
	for _, err := range h.SubscribeFrom(ctx, hub.After(before), "run") {
		if err != nil {
			b.Error(err)
			return
		}
		if n++; n == b.N {
			return
		}
	}
}

// end writes a run that has ended.
func end(b *testing.B, s run.Store, key string, words []string) {
	b.Helper()
	c := claim(key, time.Hour)
	_, err1 := s.Claim(b.Context(), c)
	_, err2 := s.Append(b.Context(), c, batch(c, 1, words...))
	err3 := s.End(b.Context(), c, run.End{Outcome: run.Returned, Clean: true, Events: len(words)})
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Error(err)
	}
}

// count reads a stream to its end.
func count(b *testing.B, s core.Stream, want int) {
	b.Helper()
	n := 0
	for _, err := range s {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	if n != want {
		b.Fatalf("got %d events, want %d", n, want)
	}
}
