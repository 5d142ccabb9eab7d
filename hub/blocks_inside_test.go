package hub

import (
	"errors"
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

// While somebody compresses an event, a worker does not wait for that.
func TestBlockInProgress(t *testing.T) {
	h := New()
	s := &subscription{hub: h, ctx: t.Context(), feed: zipFeed{}, zipped: true}
	if err := s.join([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 50 { // in one slab
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: strings.Repeat("x", 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	at := record{slab: h.slab}.blockAt()
	begun, finish, done := make(chan bool), make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		at.make.Do(func() {
			close(begun)
			<-finish
			at.made.Store(&deflate.Block{})
		})
	}()
	<-begun
	result := make(chan error)
	go func() {
		var frames [][]byte
		_, err := s.Next(&frames)
		result <- err
	}()
	if err := hosttest.Receive(t, result, "the result of Next"); !errors.Is(err, feed.ErrNotReady) {
		t.Errorf("got %v, want %v", err, feed.ErrNotReady)
	}
	close(finish)
	<-done
}

// A worker, for which others wait, does not compress much.
func TestBlocksInAWorker(t *testing.T) {
	h := New()
	subscriptions := [2]*subscription{}
	for i := range subscriptions {
		subscriptions[i] = &subscription{hub: h, ctx: t.Context(), feed: zipFeed{}, zipped: true}
		if err := subscriptions[i].join([]string{"a"}); err != nil {
			t.Fatal(err)
		}
		defer subscriptions[i].Close()
	}
	if _, err := h.Publish(t.Context(), "a", core.Event{Data: strings.Repeat("x", 100<<10)}); err != nil {
		t.Fatal(err)
	}
	for i, s := range subscriptions {
		var frames [][]byte
		_, err := s.Next(&frames)
		if i == 0 {
			if !errors.Is(err, feed.ErrNotReady) || len(frames) > 0 {
				t.Fatalf("got %d frames and %v, want %v", len(frames), err, feed.ErrNotReady)
			}
			s.Prepare()
			_, err = s.Next(&frames)
		}
		if err != nil || len(frames) != 1 {
			t.Errorf("client %d: got %d frames and %v, want 1", i, len(frames), err)
		}
		if got := h.delivered.Load(); got != int64(i+1) {
			t.Errorf("%d events were delivered, want %d", got, i+1)
		}
	}
}
