package run_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
)

var token = core.Event{Type: "token", Data: `{"delta":" the"}`}

// tokens yields n events.
func tokens(n int) func(context.Context) core.Stream {
	return func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for range n {
				if !yield(token, nil) {
					return
				}
			}
		}
	}
}

func unbounded() *run.Runner {
	return run.New(run.WithMaxEvents(0), run.WithMaxBytes(0), run.WithMaxTotalBytes(0), run.WithRetention(0))
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

// An event is published and delivered to a client, by a hub and by a run.
func BenchmarkToken(b *testing.B) {
	b.Run("hub", func(b *testing.B) {
		b.ReportAllocs()
		h := hub.New(hub.WithMaxEvents(0), hub.WithMaxBytes(0))
		s := h.SubscribeFrom(b.Context(), hub.Oldest, "run")
		go func() {
			for range b.N {
				if _, err := h.Publish(b.Context(), "run", token); err != nil {
					b.Error(err)
				}
			}
			_ = h.Finish(nil)
		}()
		count(b, s, b.N)
	})
	b.Run("run", func(b *testing.B) {
		b.ReportAllocs()
		count(b, unbounded().Start(b.Context(), "x", tokens(b.N)), b.N)
	})
}

// A client attaches to what has ended, and reads all of it.
func BenchmarkAttach(b *testing.B) {
	const events = 1000
	b.Run("hub", func(b *testing.B) {
		b.ReportAllocs()
		h := hub.New()
		for range events {
			if _, err := h.Publish(b.Context(), "run", token); err != nil {
				b.Fatal(err)
			}
		}
		_ = h.Finish(nil)
		for b.Loop() {
			count(b, h.SubscribeFrom(b.Context(), hub.Oldest, "run"), events)
		}
	})
	b.Run("run", func(b *testing.B) {
		b.ReportAllocs()
		var r run.Runner
		count(b, r.Start(b.Context(), "x", tokens(events)), events)
		for b.Loop() {
			count(b, r.Attach(b.Context(), "x"), events)
		}
	})
}

// What a run costs that waits, with the goroutine of its generator, which has yielded 10
// events.
func BenchmarkSleeping(b *testing.B) {
	most := 0.0 // the first time, because later ones use its stacks again
	for b.Loop() {
		const runs, events = 10_000, 10
		before := memory()
		r := unbounded()
		ready := make(chan struct{}, runs)
		for i := range runs {
			r.Start(b.Context(), strconv.Itoa(i), func(ctx context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					for range events {
						yield(token, nil)
					}
					ready <- struct{}{}
					<-ctx.Done()
				}
			})
		}
		for range runs {
			<-ready
		}
		most = max(most, (float64(memory())-float64(before))/runs)
		_ = r.Shutdown(ended())
		runtime.KeepAlive(r) // it is not freed before
	}
	b.ReportMetric(most, "B/run")
}

// memory returns what the heap and the stacks take.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
