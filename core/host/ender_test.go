package host_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A deaf connection accepts every write, and has no input until it is closed.
type deaf struct {
	net.Conn

	written *atomic.Int64
	closed  chan struct{}
	once    sync.Once
}

func (d *deaf) Write(p []byte) (int, error) { d.written.Add(1); return len(p), nil }
func (d *deaf) Read([]byte) (int, error)    { <-d.closed; return 0, io.EOF }
func (d *deaf) Close() error                { d.once.Do(func() { close(d.closed) }); return nil }

func (*deaf) SetWriteDeadline(time.Time) error { return nil }

// A deafHost has a deaf connection that can be taken.
type deafHost struct{ *deaf }

func (deafHost) Send(host.Frames) error { return nil }
func (deafHost) End() error             { return nil }
func (deafHost) Abort()                 {}

func (h deafHost) Detach() (net.Conn, func(error), bool) { return h.deaf, func(error) {}, true }

// multitude begins sessions that are handed over and have nothing to send.
func multitude(t *testing.T, n int, opts ...core.Option) (end func()) {
	t.Helper()
	var g core.Group
	opts = append([]core.Option{core.WithDetach(), core.WithHeartbeat(0), core.WithGroup(&g)}, opts...)
	written := new(atomic.Int64)
	var sessions []*host.Session
	for range n {
		s, err := host.NewSession(context.WithoutCancel(t.Context()), core.Request{}, opts...)
		isError(t, err, nil)
		p := &pump{next: func(*[][]byte) (bool, error) { return false, nil }}
		isError(t, s.Serve(deafHost{&deaf{written: written, closed: make(chan struct{})}}, handedOver(t, p)(s)), nil)
		sessions = append(sessions, s)
	}
	t.Cleanup(func() {
		for _, s := range sessions {
			feeds.Delete(s)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		isError(t, g.Shutdown(ctx), nil)
	}
}

// settled waits until there are this many goroutines, and returns the highest number seen.
func peak(stop <-chan struct{}) (most int) {
	for {
		select {
		case <-stop:
			return most
		default:
			most = max(most, runtime.NumGoroutine())
			runtime.Gosched()
		}
	}
}

// Sessions that end together do not each have a goroutine, so that they end soon even on
// little CPU.
func TestManyEndAtOnce(t *testing.T) {
	const n = 20_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	end := multitude(t, n)
	before := runtime.NumGoroutine() // of which n read

	stop, most := make(chan struct{}), make(chan int)
	go func() { most <- peak(stop) }()
	end()
	close(stop)
	if got, limit := <-most-before, 1000; got > limit {
		t.Errorf("%d sessions that ended together had %d goroutines more at once, want %d at most", n, got, limit)
	}
}

// A function of the application that does not return delays the sessions after it, but
// does not stop them.
func TestEndHoldsNobodyUp(t *testing.T) {
	const n = 100
	goOn, ended := make(chan struct{}), make(chan struct{}, n)
	var stuck atomic.Bool
	end := multitude(t, n, core.WithObserver(core.Observer{Closed: func(context.Context, core.Summary) {
		if !stuck.Swap(true) {
			<-goOn
		}
		ended <- struct{}{}
	}}))
	done := make(chan struct{})
	go func() { end(); close(done) }()
	for range n - 1 {
		soon(t, ended, "the end of a session behind one that is stuck")
	}
	close(goOn)
	soon(t, ended, "the end of the one that was stuck")
	soon(t, done, "the end of all")
}
