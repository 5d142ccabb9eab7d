package host

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// mute is a Conn that accepts everything after a time.
type mute struct{ takes *time.Duration }

func (m mute) Send(Frames) error { <-time.After(*m.takes); return nil }
func (mute) End() error          { return nil }
func (mute) Abort()              {}

// When a session has ended, its timer does not fire again and again while its generator
// still runs: there may be many such sessions.
func TestTimerRestsAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*Session, *core.Group){
		"a shutdown":          func(_ *Session, g *core.Group) { go func() { _ = g.Shutdown(context.Background()) }() },
		"the client has gone": func(s *Session, _ *core.Group) { s.ClientGone() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var (
					g     core.Group
					takes time.Duration
				)
				s, err := NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = s.Serve(mute{&takes}, func(func(core.Event, error) bool) { <-time.After(time.Hour) })
				}()
				<-time.After(time.Minute)
				end(s, &g)
				<-time.After(time.Minute) // the timer may fire once more
				s.timerMu.Lock()
				if s.timer.Stop() {
					t.Error("the timer of a session that has ended will fire again")
				}
				s.timerMu.Unlock()
				<-done
			})
		})
	}
}

// A write that begins after the session has ended has a time limit too.
func TestWriteAfterTheEndIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		takes := time.Duration(0)
		s, err := NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
		if err != nil {
			t.Fatal(err)
		}
		aborted := make(chan struct{})
		begin := time.Now()
		time.AfterFunc(time.Second, func() { _ = g.Shutdown(context.Background()) })
		_ = s.Serve(stuckLast{mute{&takes}, aborted}, func(func(core.Event, error) bool) {
			<-time.After(time.Hour)
			takes = -1
		})
		if got, want := time.Since(begin), time.Hour+grace; got != want {
			t.Errorf("got the end after %v, want %v", got, want)
		}
	})
}

// stuckLast accepts nothing more once its mute has been told so.
type stuckLast struct {
	mute

	aborted chan struct{}
}

func (c stuckLast) Send(f Frames) error {
	if *c.takes < 0 {
		<-c.aborted
		return context.Canceled
	}
	return c.mute.Send(f)
}

func (c stuckLast) Abort() {
	select {
	case <-c.aborted:
	default:
		close(c.aborted)
	}
}

// When a session ends in the middle of a large event, all pieces together have the grace of
// one write.
func TestGraceForAllPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := 900 * time.Millisecond
		s, err := NewSession(t.Context(), core.Request{})
		if err != nil {
			t.Fatal(err)
		}
		c := &sluggish{takes: takes, aborted: make(chan struct{})}
		begin := time.Now()
		time.AfterFunc(2*time.Second, func() { s.end(core.ErrMaxDuration) })
		_ = s.Serve(c, func(yield func(core.Event, error) bool) {
			f, _ := feed.Of(yield)
			f.Forward([][]byte{make([]byte, 100*pieceSize)})
		})
		// At 2 s the third piece is being sent; it began at 1.8 s.
		if got, want := time.Since(begin), 3*time.Second; got > want {
			t.Errorf("got the end after %v, want at most %v", got, want)
		}
	})
}

// A sluggish Conn takes some time for each Send, until it is aborted.
type sluggish struct {
	takes   time.Duration
	aborted chan struct{}
}

func (c *sluggish) Send(Frames) error {
	select {
	case <-c.aborted:
		return context.Canceled
	case <-time.After(c.takes):
		return nil
	}
}

func (*sluggish) End() error { return nil }

func (c *sluggish) Abort() {
	select {
	case <-c.aborted:
	default:
		close(c.aborted)
	}
}
