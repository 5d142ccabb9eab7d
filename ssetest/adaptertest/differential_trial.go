package adaptertest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// failings are the errors of generators. None of them may be mistaken for something
// else.
var failings = []error{
	errors.New("boom"),
	core.ErrShutdown,
	core.ErrClientGone,
	core.ErrMaxDuration,
	core.ErrSlowClient,
	io.EOF,
	fmt.Errorf("no row: %w", context.Canceled),
	context.DeadlineExceeded,
	os.ErrDeadlineExceeded,
	&core.RefusedError{Status: 503, Err: errors.New("not a refusal")},
	http.ErrAbortHandler,
	errors.New("two\nlines"),
}

// A trial runs a plan.
type trial struct {
	*plan

	asked    *plan // including the parts for hosts based on net/http
	mount    Mount
	limit    time.Duration // for each wait
	addr     string
	site     *Site
	group    core.Group
	hub      *hub.Hub
	shutdown func(context.Context) error
	spawned  sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something changes
	problems []string
	stalled  []string // what is a problem unless the machine is slow

	// The program.
	yield      func(core.Event, error) bool
	viewed     context.Context //nolint:containedctx // the session's; set by the view
	joined     bool            // the hub has the subscription
	runs       int             // of generators
	running    int
	trace      []element
	thrown     []any // what it panicked with
	exited     bool  // by Goexit
	endAlive   bool  // its context had not ended when it returned normally
	failed     []error
	kept       []string // IDs that the hub has set
	kicked     int      // the number of events when the hub ended the stream; negative if it has not
	publishing bool     // the publisher runs, and may not have recorded what it has published
	opened     int
	ended      []core.Summary

	// The client.
	conn   clientEnd
	left   bool
	done   bool
	strip  stripper
	zipped decoder
	bytes  int64
	status int
	header http.Header
	end    string
	how    error

	guarded guarded
	times   times
}

// An element is an event that a generator has yielded, or a publisher has published.
type element struct {
	step   int
	event  core.Event
	err    error
	bad    bool
	ok     bool
	before error // the cause if the context had ended before
	after  error
}

// How a response ends for its client.
const (
	clean  = "clean"
	broken = "broken"
	gone   = "left" // the client has not seen the end
)

func (r *trial) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *trial) problemf(format string, args ...any) {
	r.update(func() { r.problems = append(r.problems, fmt.Sprintf(format, args...)) })
}

// until waits for ok, which is called under the lock. It returns false if stop is closed
// first, or if it waits in vain, which is a problem.
func (r *trial) until(stop <-chan struct{}, what string, ok func() bool) bool {
	return r.untilWithin(r.limit, stop, what, ok)
}

func (r *trial) untilWithin(limit time.Duration, stop <-chan struct{}, what string, ok func() bool) bool {
	timer, ticker := time.NewTimer(limit), time.NewTicker(20*time.Millisecond) // the end of a context does not close changed
	defer timer.Stop()
	defer ticker.Stop()
	for {
		r.mu.Lock()
		holds, changed := ok(), r.changed
		r.mu.Unlock()
		if holds {
			return true
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-stop:
			return false
		case <-timer.C:
			r.problemf("waited %v for %s, in vain", limit, what)
			return false
		}
	}
}

func (r *trial) spawn(f func()) { r.spawned.Go(f) }

// An outcome is what is wrong with a trial.
type outcome struct {
	problems []string
	late     []string // what has taken too long, for a machine that is not too busy
}

// try runs the plan. slack is how much longer things may take than they should.
func (p *plan) try(t testing.TB, mount Mount, slack time.Duration) outcome {
	r := &trial{plan: p, asked: p, mount: mount, limit: mount.timeout, changed: make(chan struct{}), kicked: -1}
	if p.Retry > 0 { // a line of the first event's block
		r.strip.start = []byte("retry: " + milliseconds(p.Retry) + "\n")
	}
	r.strip.beat, r.strip.silent = p.beat()
	tcp := &listener{Listener: listen(t), hurried: p.stalls()}
	if p.deaf() {
		tcp.sendBuffer = 16 << 10
	}
	r.addr = tcp.Addr().String()
	r.site = &Site{
		Views:    map[string]View{"/stream": r.view, "/works": works},
		Options:  r.options(),
		Listener: tcp,
		Log:      io.Discard,
		protocol: p.Protocol,

		around:       r.around,
		writeTimeout: p.ServerTimeout,
	}
	if p.Protocol == HTTP2 || p.Protocol == HTTP1TLS {
		r.site.Listener = tls.NewListener(tcp, hosttest.ServerTLS())
	}
	q := *p
	q.Deadline, q.Wrapped, q.ServerTimeout = 0, false, 0
	r.plan = &q // unless the host is based on net/http
	r.shutdown = mount.Serve(t, r.site)
	release := r.crowd()

	r.spawn(r.client)
	// The program's waits are shorter, so that they fail first.
	ok := r.untilWithin(2*r.limit, nil, "the client's end", func() bool { return r.done }) &&
		r.untilWithin(2*r.limit, nil, "the session's end", func() bool {
			return r.opened == len(r.ended) && r.running == 0 && !r.publishing && (r.viewed == nil || r.viewed.Err() != nil)
		})
	release()
	r.shutdownGroup()
	if r.hub != nil && ok {
		r.shutdownHub()
	}
	r.mu.Lock()
	if r.conn != nil {
		r.conn.drop()
	}
	r.mu.Unlock()
	tcp.breakConns()
	r.shutdownServer()
	_ = tcp.Close()
	if ok {
		if n := r.group.Len(); n != 0 {
			r.problemf("%d sessions are left in the group", n)
		}
		r.judge()
	} else {
		r.problemf("at that time: %s", r.state())
	}
	all := make(chan struct{})
	go func() { defer close(all); r.spawned.Wait() }()
	select {
	case <-all:
	case <-time.After(r.limit):
		r.problemf("goroutines of the trial hang")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return outcome{r.problems, append(r.late(slack), r.stalled...)}
}

// around returns the plan's middleware around the handler.
func (r *trial) around(next http.Handler) http.Handler {
	r.plan = r.asked
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/stream" {
			next.ServeHTTP(w, req)
			return
		}
		if r.Deadline > 0 {
			ctx, cancel := context.WithTimeout(req.Context(), r.Deadline)
			defer cancel()
			req = req.WithContext(ctx)
		}
		if r.Wrapped {
			w = wrapped{w}
		}
		next.ServeHTTP(w, req)
	})
}

// A wrapped writer is a middleware's.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// crowd fills the group or shuts it down, if the plan is to be refused.
func (r *trial) crowd() (release func()) {
	switch r.Refuse {
	case "closing":
		r.shutdownGroup()
	case "full":
		r.group.Limit = 1
		if s, err := host.NewSession(context.Background(), core.Request{}, core.WithGroup(&r.group)); err == nil {
			return func() { s.Close(nil) }
		}
	}
	return func() {}
}

func (r *trial) shutdownGroup() {
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	err := r.group.Shutdown(ctx)
	r.mu.Lock()
	running, asking := r.running, r.guarded.asking
	r.mu.Unlock()
	switch {
	case err != nil:
		r.problemf("Group.Shutdown: %v; %s", err, r.state())
	case asking != 0:
		r.problemf("Group.Shutdown has returned, but somebody still asks whether the session may continue")
	case running != 0:
		r.problemf("Group.Shutdown has returned, but the generator still runs")
	}
}

func (r *trial) shutdownHub() {
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	if err := r.hub.Shutdown(ctx); err != nil {
		r.problemf("Hub.Shutdown: %v", err)
	}
}

func (r *trial) shutdownServer() {
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	if err := r.shutdown(ctx); err != nil {
		r.problemf("the server's shutdown: %v", err)
	}
}

func (r *trial) options() []core.Option {
	opts := []core.Option{
		core.WithHeartbeat(r.Heartbeat),
		core.WithFlushWindow(r.FlushWindow),
		core.WithWriteTimeout(r.WriteTimeout),
		core.WithMaxDuration(r.MaxAge),
		core.WithRetry(r.Retry),
		core.WithGroup(&r.group),
		core.WithObserver(core.Observer{
			Refused: r.tellRefused,
			Opened: func(context.Context) {
				r.update(func() { r.opened++ })
				r.begin()
				r.hook(r.Opened, "opened")
			},
			Wrote: r.wroteHook(),
			Closed: func(ctx context.Context, end core.Summary) {
				if ctx.Err() == nil {
					r.problemf("the context has not ended when the observer's Closed is called")
				}
				r.hook(r.Closed, "")
				r.close(end)
				r.hook(r.Closed, "closed")
			},
		}),
	}
	if r.Detach {
		opts = append(opts, core.WithDetach())
	}
	if r.Compress {
		opts = append(opts, core.WithCompression())
	}
	if r.ErrorEvent != none {
		opts = append(opts, core.WithErrorEvent(func(err error) core.Event {
			r.update(func() { r.failed = append(r.failed, err) })
			r.hook(r.ErrorEvent, "error event")
			return hookEvent(r.ErrorEvent)
		}))
	}
	return append(opts, r.guardOptions()...)
}

// hook does what one of the application's functions does besides its work. It panics with
// the name.
func (r *trial) hook(kind, name string) {
	switch {
	case kind == slow:
		r.pause(3 * time.Millisecond)
	case kind == panics && name != "":
		panic(name)
	case kind == reentrant:
		_ = r.group.Len()
		if name == "opened" || name == "wrote" { // the session is locked
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.group.Shutdown(ctx)
		r.mu.Lock()
		yield := r.yield
		r.mu.Unlock()
		if yield != nil && yield(core.Event{Data: "from a hook"}, nil) {
			r.problemf("yield returns true after the end of the stream")
		}
	}
}

func hookEvent(kind string) core.Event {
	switch kind {
	case bad:
		return core.Event{ID: "a\nb", Data: "never"}
	case empty:
		return core.Event{}
	default:
		return core.Event{Type: "error", Data: "it has failed"}
	}
}

func (*trial) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// leave makes the client leave, once.
func (r *trial) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Client.Leaves == "" || r.left || r.done || r.conn == nil {
		return
	}
	r.left = true
	r.conn.leave(r.Client.Leaves)
}

// state describes a trial that hangs.
func (r *trial) state() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var viewed error
	if r.viewed != nil {
		viewed = context.Cause(r.viewed)
	}
	return fmt.Sprintf("viewed %t (context %v), joined %t, %d runs, %d running, %d yields, opened %d, closed %+v, group %d, "+
		"client: left %t, done %t, status %d, %d bytes, end %s (%v)",
		r.viewed != nil, viewed, r.joined, r.runs, r.running, len(r.trace), r.opened, r.ended, r.group.Len(),
		r.left, r.done, r.status, r.bytes, r.end, r.how)
}
