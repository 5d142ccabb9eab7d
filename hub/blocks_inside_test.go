package hub

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/deflate"
	"github.com/yieldsse/yieldsse/internal/feed"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A zipFeed is a session that compresses and has taken a stream over.
type zipFeed struct{ feed.Feed }

func (zipFeed) Wake() {}

// An event is compressed when somebody wants that, once for all.
func TestBlocks(t *testing.T) {
	h := New()
	plain := &subscription{hub: h, ctx: t.Context(), feed: zipFeed{}}
	zips := [2]*subscription{}
	if err := plain.join([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for i := range zips {
		zips[i] = &subscription{hub: h, ctx: t.Context(), feed: zipFeed{}, zipped: true}
		if err := zips[i].join([]string{[]string{"a", "*"}[i]}); err != nil {
			t.Fatal(err)
		}
		defer zips[i].Close()
	}
	publishTo(t, h, "a")
	next := func(s *subscription) []byte {
		var frames [][]byte
		if _, err := s.Next(&frames); err != nil || len(frames) != 1 {
			t.Fatalf("got %d frames and %v, want 1", len(frames), err)
		}
		return frames[0]
	}
	next(plain)
	if h.slab.blocks.Load() != nil {
		t.Error("an event was compressed for nobody")
	}
	if a, b := next(zips[0]), next(zips[1]); &a[0] != &b[0] {
		t.Error("an event was compressed twice")
	}
}

// A wokenFeed says when it is woken.
type wokenFeed struct {
	feed.Feed

	woken chan struct{}
}

func (f wokenFeed) Wake() { f.woken <- struct{}{} }

// zipped returns a subscription to "a" that a worker serves, and what says when it is woken.
func zipped(t *testing.T, h *Hub) (s *subscription, woken <-chan struct{}) {
	t.Helper()
	f := wokenFeed{woken: make(chan struct{}, 100)}
	s = &subscription{hub: h, ctx: t.Context(), feed: f, zipped: true}
	if err := s.join([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	if more, err := s.Next(new([][]byte)); more || err != nil { // so that events wake it
		t.Fatalf("got more %t and %v before any event", more, err)
	}
	return s, f.woken
}

// publishBlocks publishes events whose blocks a worker does not make, in one slab.
func publishBlocks(t *testing.T, h *Hub) {
	t.Helper()
	for range manyBlocks {
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: strings.Repeat("x", 1000)}); err != nil {
			t.Fatal(err)
		}
	}
}

const manyBlocks = 50

// takeAll takes these events, and waits where it must.
func takeAll(t *testing.T, s *subscription, woken <-chan struct{}) {
	t.Helper()
	for got, more := 0, true; got < manyBlocks; {
		if !more {
			hosttest.Receive(t, woken, "the next blocks")
		}
		var frames [][]byte
		var err error
		if more, err = s.Next(&frames); err != nil {
			t.Fatal(err)
		}
		got += len(frames)
	}
}

// A worker, for which others wait, does not compress much, and does not wait for a goroutine
// that does. There is one for all subscriptions.
func TestBlocksInAWorker(t *testing.T) {
	const clients = 1000
	h := New()
	all, woken := make([]*subscription, clients), make([]<-chan struct{}, clients)
	for i := range all {
		all[i], woken[i] = zipped(t, h)
		defer all[i].Close()
	}
	probe, _ := zipped(t, h)
	defer probe.Close()
	publishBlocks(t, h)
	if _, _, err := probe.read(new([][]byte), batchSize); !errors.Is(err, errBlocks) {
		t.Fatalf("got %v from read, want %v", err, errBlocks)
	}
	at := probe.errand.some[0].blockAt()
	finish, begun := make(chan struct{}), make(chan struct{})
	go at.make.Do(func() {
		close(begun)
		<-finish
		at.made.Store(&deflate.Block{1})
	})
	<-begun
	before := runtime.NumGoroutine()
	for range 2 { // the second time as if there were one more event
		for i, s := range all {
			var frames [][]byte
			if more, err := s.Next(&frames); more || err != nil || len(frames) > 0 {
				t.Fatalf("client %d: got %d frames, more %t and %v before the first block was made", i, len(frames), more, err)
			}
		}
	}
	if got := runtime.NumGoroutine() - before; got > 5 {
		t.Errorf("got %d goroutines more for %d clients that wait for the same blocks, want one", got, clients)
	}
	close(finish)
	for i, s := range all {
		takeAll(t, s, woken[i])
		var frames [][]byte
		if more, err := s.Next(&frames); more || err != nil || len(frames) > 0 {
			t.Errorf("client %d: got %d frames, more %t and %v after the events", i, len(frames), more, err)
		}
	}
	if got := h.delivered.Load(); got != clients*manyBlocks {
		t.Errorf("%d events were delivered, want %d", got, clients*manyBlocks)
	}
}

// A subscription that ends while a goroutine compresses for it does not keep others from the
// blocks.
func TestBlocksOfWhoLeaves(t *testing.T) {
	h := New()
	first, _ := zipped(t, h)
	second, woken := zipped(t, h)
	defer second.Close()
	publishBlocks(t, h)
	if _, err := first.Next(new([][]byte)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	takeAll(t, second, woken)
}
