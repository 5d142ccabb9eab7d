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
	claimed  chan struct{} // closed when the store has answered; nil without a store
	upload   *upload       // nil without a store

	over  atomic.Bool  // nothing is added any more; set under mu
	bytes atomic.Int64 // see State.Bytes; added to under mu

	mu     sync.Mutex // guards what follows, and the order of events
	hub    *hub.Hub   // nil when the run was dropped
	ended  time.Time  // zero while it runs
	err    error      // as State.Err
	done   bool       // its streams have ended, which with a store is later than over
	clean  bool       // they have ended cleanly
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
	if store := r.config.store; store != nil {
		one.claimed = make(chan struct{})
		one.upload = newUpload(one, store, Claim{
			Key: key, ID: one.id, Starter: starter, Lease: r.config.lease, Retention: max(r.config.retention, 0),
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
	id, err := o.hub.Publish(context.Background(), topic, e)
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil { // the hub is not the user's
			err = cause
		}
		return fmt.Errorf("run: %q: %w", o.key, err)
	}
	o.events++
	o.bytes.Add(n)
	o.runner.bytes.Add(n)
	if u := o.upload; u != nil {
		e.ID = id
		text, _ := e.AppendText(nil) // the hub has encoded it
		u.entries = append(u.entries, string(text))
		u.signal()
	}
	return nil
}

// end ends the run, unless it has ended. The streams that are attached end with err.
func (o *run) end(err error) {
	if o.endNow(err) {
		o.runner.hasEnded(o)
	}
}

// endNow is end without the call of hasEnded, which must follow if it returns true. With a store,
// its upload does the rest.
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
	done := o.done
	o.mu.Unlock()
	if done {
		o.runner.hasEnded(o)
	}
	return err
}

// finish ends a run that is locked, unless it is over: err is for the state, and streams
// end with end. It reports whether they have ended, which with a store is later.
func (o *run) finish(err, end error) (done bool) {
	if o.over.Load() {
		return false
	}
	o.over.Store(true)
	if o.limit != nil {
		o.limit.Stop()
	}
	defer o.cancel(err)
	if u := o.upload; u != nil {
		u.err, u.end = err, end
		u.signal()
		return false
	}
	o.tell(err, end)
	return true
}

// tell ends the streams of a run that is locked.
func (o *run) tell(err, end error) {
	o.ended, o.err, o.done, o.clean = time.Now(), err, true, end == nil
	if err := o.hub.Finish(end); err != nil {
		panic(err) // nobody else finishes it
	}
}

// conclude ends a run that its upload has brought into the store, or that was lost.
func (o *run) conclude(lost error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost == nil {
		o.tell(o.upload.err, o.upload.end)
		return
	}
	o.finish(lost, lost)
	o.tell(lost, lost)
}

// attach returns the run's stream, or refuses the request. It returns nil if the run was
// dropped.
func (o *run) attach(ctx context.Context, a attach) core.Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hub == nil {
		return nil
	}
	return a.stream(ctx, o.hub, o.events, o.clean)
}

// stream returns the stream of a run with some events, or refuses the request if the run has ended cleanly
// and nothing of it is left for the client. It is the hub's as it is, so that it can be handed over.
func (a attach) stream(ctx context.Context, h *hub.Hub, events int, clean bool) core.Stream {
	id := core.LastEventID(ctx)
	if clean && (id == h.LastID() || id == "" && (events == 0 || a.running)) {
		return refuse(ctx, 204, ErrFinished)
	}
	return h.SubscribeFrom(ctx, hub.Oldest, topic)
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
