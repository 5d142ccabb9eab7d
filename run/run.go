package run

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

const (
	topic = "run" // the only one of a run's hub

	// What a run takes besides the text of its events, about: measured with
	// BenchmarkSleeping.
	runSize   = 8 << 10 // with its goroutine
	eventSize = 96      // with the names of its fields and its ID
	lineSize  = 6       // "data: "
)

// A run is a generator that runs or has run. Its events are in a hub of its own, which
// finishes when the run ends.
type run struct {
	runner  *Runner
	key     string
	id      string
	starter string
	started time.Time

	ctx      context.Context //nolint:containedctx // the generator's
	cancel   context.CancelCauseFunc
	limit    *time.Timer   // ends the run; nil without a bound
	expiry   *time.Timer   // drops the run; guarded by the runner's lock
	told     chan struct{} // closed when the functions of WithEnded have returned
	returned chan struct{} // closed when the generator has returned, and told is closed

	over  atomic.Bool  // it has ended; set under mu
	bytes atomic.Int64 // see State.Bytes; added to under mu

	mu     sync.Mutex // guards what follows, and the order of events
	hub    *hub.Hub   // nil when the run was dropped
	ended  time.Time  // zero while it runs
	err    error      // as State.Err
	clean  bool       // its streams have ended cleanly
	events int
}

func newRun(r *Runner, key, starter string) *run {
	one := &run{
		runner:   r,
		key:      key,
		starter:  starter,
		started:  time.Now(),
		hub:      hub.New(hub.WithMaxEvents(0), hub.WithMaxBytes(0)), // append has bounds
		told:     make(chan struct{}),
		returned: make(chan struct{}),
	}
	one.id, _, _ = strings.Cut(one.hub.LastID(), "-")
	one.ctx, one.cancel = context.WithCancelCause(context.WithValue(context.Background(), ownKey{}, one))
	one.mu.Lock() // for the timer
	defer one.mu.Unlock()
	if d := r.config.maxDuration; d > 0 {
		one.limit = time.AfterFunc(d, func() {
			one.end(&LimitError{key, LimitDuration, int64(d)})
		})
	}
	return one
}

// ownKey is the key of a run in the context of its generator.
type ownKey struct{}

// ownOf returns the run whose generator has the context, or nil.
func ownOf(ctx context.Context) *run {
	one, _ := ctx.Value(ownKey{}).(*run)
	return one
}

// work runs the generator.
func (o *run) work(generate func(ctx context.Context) core.Stream) {
	defer close(o.returned)
	defer o.runner.hasReturned(o)
	defer func() { <-o.told }() // perhaps another goroutine has ended it
	returned := false
	defer func() {
		if returned {
			return
		}
		p := &core.PanicError{Value: recover(), Stack: debug.Stack()} // the value is nil after runtime.Goexit
		log.Printf("run: %q: %v\n%s", o.key, p, p.Stack)
		o.end(p)
	}()
	err := o.generate(generate)
	returned = true
	o.end(err)
}

// generate adds the generator's events, and returns its error.
func (o *run) generate(generate func(ctx context.Context) core.Stream) error {
	stream := generate(o.ctx)
	if stream == nil {
		return fmt.Errorf("run: %q: the generator has returned a nil stream", o.key)
	}
	for e, err := range stream {
		if err == nil {
			err = o.add(e)
		}
		if err != nil {
			o.end(err) // before the generator returns, because it may wait for its context
			return err
		}
	}
	return nil
}

var errOver = errors.New("run: the run has ended")

// add adds an event of the generator.
func (o *run) add(e core.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over.Load() {
		return errOver
	}
	c, n := &o.runner.config, sizeOf(e)
	switch {
	case c.maxEvents > 0 && o.events >= c.maxEvents:
		return &LimitError{o.key, LimitEvents, int64(c.maxEvents)}
	case c.maxBytes > 0 && o.bytes.Load()+n > c.maxBytes:
		return &LimitError{o.key, LimitBytes, c.maxBytes}
	}
	return o.append(e, n)
}

// sizeOf returns how many bytes an event takes, about.
func sizeOf(e core.Event) int64 {
	n := eventSize + len(e.Type)
	for _, text := range []string{e.Data, e.Comment} {
		n += len(text) + lineSize*(strings.Count(text, "\n")+strings.Count(text, "\r"))
		if !utf8.ValidString(text) {
			n += 2 * len(text) // U+FFFD has three bytes
		}
	}
	return int64(n)
}

// append adds an event of n bytes, see sizeOf. The run is locked.
func (o *run) append(e core.Event, n int64) error {
	if e.ID != "" {
		return fmt.Errorf("run: %q: the event has the ID %q: leave it empty, because the run assigns the IDs", o.key, e.ID)
	}
	if _, err := o.hub.Publish(context.Background(), topic, e); err != nil {
		if cause := errors.Unwrap(err); cause != nil { // the hub is not the user's
			err = cause
		}
		return fmt.Errorf("run: %q: %w", o.key, err)
	}
	o.events++
	o.bytes.Add(n)
	o.runner.bytes.Add(n)
	return nil
}

// end ends the run, unless it has ended. The streams that are attached end with err.
func (o *run) end(err error) {
	if o.endNow(err) {
		o.runner.hasEnded(o)
	}
}

// endNow is end without the call of hasEnded, which must follow if it returns true.
func (o *run) endNow(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.finish(err, err)
}

// stop ends the run as [Runner.Stop] says.
func (o *run) stop(last []core.Event) error {
	o.mu.Lock()
	if o.over.Load() {
		o.mu.Unlock()
		return nil
	}
	var err error
	for _, e := range last {
		if err = o.append(e, sizeOf(e)); err != nil {
			break
		}
	}
	switch {
	case err != nil:
		o.finish(err, err)
	case len(last) == 0:
		o.finish(ErrStopped, ErrStopped)
	default:
		o.finish(ErrStopped, nil)
	}
	o.mu.Unlock()
	o.runner.hasEnded(o)
	return err
}

// finish ends a run that is locked, and reports whether it had not ended: err is for the
// state, and streams end with end.
func (o *run) finish(err, end error) bool {
	if o.over.Load() {
		return false
	}
	o.over.Store(true)
	o.ended, o.err, o.clean = time.Now(), err, end == nil
	if o.limit != nil {
		o.limit.Stop()
	}
	if err := o.hub.Finish(end); err != nil {
		panic(err) // nobody else finishes it
	}
	o.cancel(err)
	return true
}

// attach returns the run's stream, or refuses the request. It returns nil if the run was
// dropped. The stream is the hub's as it is, so that it can be handed over.
func (o *run) attach(ctx context.Context, a attach) core.Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hub == nil {
		return nil
	}
	id := core.LastEventID(ctx)
	seen := id == o.hub.LastID() || id == "" && (o.events == 0 || a.running)
	if seen && o.over.Load() && o.clean {
		return refuse(ctx, 204, ErrFinished)
	}
	return o.stream(ctx)
}

func (o *run) stream(ctx context.Context) core.Stream {
	return o.hub.SubscribeFrom(ctx, hub.Oldest, topic)
}

// forget lets go of the events, which the generator may otherwise hold for longer.
func (o *run) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hub = nil
}

func (o *run) state() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return State{
		Key: o.key, ID: o.id, Starter: o.starter, Started: o.started, Ended: o.ended,
		Events: o.events, Bytes: o.bytes.Load(), Err: o.err,
	}
}
