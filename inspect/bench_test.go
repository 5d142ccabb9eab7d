package inspect_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/inspect"
)

// crowd returns a handler that shows n sessions and n topics.
func crowd(t testing.TB, n int) (h *inspect.Handler, g *core.Group, prices *hub.Hub) {
	t.Helper()
	g, prices = &core.Group{Key: byKey}, hub.New(hub.WithMaxEvents(n))
	for i := range n {
		enter(t, g, core.Request{Method: "GET", Path: fmt.Sprintf("/rooms/%d@user%d", i%100, i), RemoteAddr: "10.0.0.9:1"})
		if _, err := prices.Publish(t.Context(), fmt.Sprintf("topic.%d", i), core.Event{Data: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	return &inspect.Handler{Authorize: anybody, Groups: map[string]*core.Group{"g": g}, Hubs: map[string]*hub.Hub{"h": prices}}, g, prices
}

// Of very many sessions, only the rows that are wanted are sent, and others join, leave and
// publish meanwhile.
func TestManySessions(t *testing.T) {
	const n = 10_000
	h, g, prices := crowd(t, n)
	before := reportOf(t, h, "n=0").Sessions.Total
	stop := meanwhile(t, func() { come(t, g); send(t, prices) })
	again := &inspect.Handler{Authorize: anybody, Groups: h.Groups, Hubs: h.Hubs} // with a new snapshot
	w := ask(t, again, http.MethodGet, "/?q=user999&n=20&sort=key")
	stop()
	if got, most := w.Body.Len(), 20<<10; got > most {
		t.Errorf("got %d bytes, want at most %d", got, most)
	}
	got := reportOf(t, again, "q=user999&n=2&sort=key").Sessions
	if before != n || got.Total < n || got.Matching != 11 || len(got.Rows) != 2 || got.Rows[1].Key != "user9990" {
		t.Errorf("got %d sessions and then %d, %s, want %d, 11 of them user999 and those that begin so", before, got.Total, got.words(), n)
	}
}

// BenchmarkSnapshot measures an answer that needs a new snapshot of 100,000 sessions and as
// many topics. It also tells for how long a session that joins and leaves, and a Publish, take
// at most meanwhile, and while nobody looks.
func BenchmarkSnapshot(b *testing.B) {
	h, g, prices := crowd(b, 100_000)
	for name, look := range map[string]func(){
		"nobody": func() { <-time.After(100 * time.Millisecond) },
		"one": func() {
			again := &inspect.Handler{Authorize: anybody, Groups: h.Groups, Hubs: h.Hubs} // with a new snapshot
			if w := ask(b, again, http.MethodGet, "/?q=user9&sort=-events"); w.Code != http.StatusOK {
				b.Error(w.Code)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var join, publish time.Duration
			stop := meanwhile(b, func() {
				begin := time.Now()
				come(b, g)
				came := time.Now()
				send(b, prices)
				join, publish = max(join, came.Sub(begin)), max(publish, time.Since(came))
			})
			for b.Loop() {
				look()
			}
			stop()
			b.ReportMetric(float64(join.Microseconds())/1000, "ms/longest-join")
			b.ReportMetric(float64(publish.Microseconds())/1000, "ms/longest-publish")
		})
	}
}

// meanwhile calls f again and again in another goroutine until stop is called.
func meanwhile(t testing.TB, f func()) (stop func()) {
	t.Helper()
	var (
		wg   sync.WaitGroup
		over atomic.Bool
	)
	wg.Go(func() {
		for !over.Load() {
			f()
		}
	})
	return func() {
		over.Store(true)
		wg.Wait()
	}
}

// come makes a session that leaves at once.
func come(t testing.TB, g *core.Group) {
	t.Helper()
	s, err := host.NewSession(t.Context(), core.Request{Path: "/@guest"}, core.WithGroup(g))
	if err != nil {
		t.Error(err)
		return
	}
	s.Close(nil)
}

func send(t testing.TB, h *hub.Hub) {
	t.Helper()
	if _, err := h.Publish(t.Context(), "topic.0", core.Event{Data: "x"}); err != nil {
		t.Error(err)
	}
}
