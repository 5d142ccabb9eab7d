package host

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// A broken connection accepts nothing, and does not say so before it is closed.
type broken struct {
	net.Conn

	closed chan struct{}
	once   sync.Once
}

func (*broken) Write([]byte) (int, error)  { return 0, syscall.EPIPE }
func (b *broken) Read([]byte) (int, error) { <-b.closed; return 0, io.EOF }
func (b *broken) Close() error             { b.once.Do(func() { close(b.closed) }); return nil }

func (*broken) SetWriteDeadline(time.Time) error { return nil }

// A brokenHost has a broken connection that can be taken.
type brokenHost struct{ *broken }

func (brokenHost) Send(Frames) error { return nil }
func (brokenHost) End() error        { return nil }
func (brokenHost) Abort()            {}

func (h brokenHost) Detach() (net.Conn, func(error), bool) { return h.broken, func(error) {}, true }

// A silent pump has nothing to send.
type silent struct{ asked chan struct{} }

func (p silent) Next(*[][]byte) (more bool, err error) { p.asked <- struct{}{}; return false, nil }
func (silent) Prepare()                                {}
func (silent) Close()                                  {}

// A session ends when a heartbeat cannot be written, and not only when the next one is due.
func TestBeatFails(t *testing.T) {
	sums := make(chan core.Summary, 1)
	s, err := NewSession(context.WithoutCancel(t.Context()), core.Request{}, core.WithDetach(), core.WithHeartbeat(time.Hour),
		core.WithObserver(core.Observer{Closed: func(_ context.Context, sum core.Summary) { sums <- sum }}))
	if err != nil {
		t.Fatal(err)
	}
	p := silent{make(chan struct{}, 2)}
	var stream core.Stream
	stream = func(yield func(core.Event, error) bool) {
		if f, ok := feed.Of(yield); !ok || !f.Handover(stream, p) {
			t.Error("the stream was not handed over")
		}
	}
	if err := s.Serve(brokenHost{&broken{closed: make(chan struct{})}}, stream); err != nil {
		t.Fatal(err)
	}
	<-p.asked
	s.mu.Lock()
	s.detached.beat(s.now())
	s.mu.Unlock()
	select {
	case sum := <-sums:
		if sum.Cause != core.ErrClientGone {
			t.Errorf("got the cause %v, want %v", sum.Cause, core.ErrClientGone)
		}
	case <-time.After(time.Minute):
		t.Error("the session has not ended")
	}
}
