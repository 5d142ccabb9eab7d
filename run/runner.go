package run

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// maxKey is how many bytes a key may have.
const maxKey = 255

// A Runner holds runs by their keys. The zero Runner works and has the defaults of [New].
// Its methods may be called by any goroutine at any time. It must not be copied after its
// first use.
type Runner struct {
	config config

	mu     sync.Mutex      // guards what follows; nobody waits for a run's lock under it
	runs   map[string]*run // that are held; nil before the first use
	active map[string]*run // whose generators have not returned
	idle   chan struct{}   // closed when active is empty; nil unless a Shutdown waits
	closed bool

	mirrors map[string]*mirror // of the store's runs
	ended   map[Outcome]int64  // see Stats

	bytes   atomic.Int64 // of all runs and mirrors that are held
	started atomic.Int64
}

// New returns a runner. Its defaults: 10,000 runs, 100,000 events, 16 MiB and an hour for
// each, 1 GiB for all, and 5 minutes for which a run is held after its end.
func New(opts ...Option) *Runner {
	r := &Runner{config: newConfig(opts)}
	r.setUp()
	return r
}

func (r *Runner) setUp() {
	r.runs = make(map[string]*run)
	r.active = make(map[string]*run)
	r.mirrors = make(map[string]*mirror)
}

// lock locks the runner, and sets it up if it is a zero Runner.
func (r *Runner) lock() {
	r.mu.Lock()
	if r.runs == nil {
		r.config = newConfig(nil)
		r.setUp()
	}
}

// Attach returns the stream of the run with this key: all of its events from the first
// one, or after the client's last event ID (see [core.LastEventID]), and its end. If the run
// has no event with that ID, the client is sent a gap event (see [hub.Gap]) and then
// everything.
//
// Attach looks for the run when it is called, so call it in the view. The request is refused,
// and the stream fails, with
//
//   - 204 and [ErrFinished] if the run has ended cleanly, and the client has seen its last
//     event, or it has none; see also [WithOnlyRunning],
//   - 204 and [ErrNotHeld] if there is no such run, or 410 if the request has a last event
//     ID,
//   - with a [Store], 410 and [ErrLost] if the run has ended, and the client has seen more of it than the store, and 503
//     if the store does not answer, or there is no room for another process's run.
//
// With a store, Attach may wait for it, for some seconds; without one it returns at once.
//
// The stream may run several times, even at once. Return it from the view as it is if you
// can, as with [hub.Hub.Subscribe].
func (r *Runner) Attach(ctx context.Context, key string, opts ...AttachOption) core.Stream {
	var a attach
	for _, o := range opts {
		if o != nil {
			o(&a)
		}
	}
	if one := r.get(key); one != nil {
		if stream := one.attach(ctx, a); stream != nil {
			return stream
		}
	}
	if r.config.store != nil {
		return r.attachShared(ctx, key, a)
	}
	return notHeld(ctx)
}

// notHeld refuses a request for a run that there is not, as [ErrNotHeld] says.
func notHeld(ctx context.Context) core.Stream {
	if core.LastEventID(ctx) != "" {
		return refuse(ctx, 410, ErrNotHeld)
	}
	return refuse(ctx, 204, ErrNotHeld)
}

// get returns the run of a key that this process has, or nil. With a store it must go on: only
// the store knows whether one that has ended was replaced.
func (r *Runner) get(key string) *run {
	r.lock()
	defer r.mu.Unlock()
	one := r.runs[key]
	if one != nil && one.upload != nil && !one.upload.begun.Load() {
		return nil
	}
	return one
}

// refuse refuses the request of ctx with a status, and returns a stream that fails.
func refuse(ctx context.Context, status int, err error) core.Stream {
	core.Refuse(ctx, &core.RefusedError{Status: status, Err: err})
	return failed(err)
}

func failed(err error) core.Stream {
	return func(yield func(core.Event, error) bool) { yield(core.Event{}, err) }
}

// Stop ends a run: no event of its generator is added any more, and the generator's context
// ends with [ErrStopped]. The events in last are added, and then the streams that are attached
// end cleanly; they may exceed the run's bounds. Without such events the streams fail with
// [ErrStopped], because what they have received is not the whole. A run that has ended is left as it is.
//
// Stop waits until the generator has returned, unless ctx is made of the generator's own. If
// ctx ends first, it returns an error that wraps the cause of that; the run has ended
// nevertheless. The error is [ErrNotHeld] if there is no such run. If an event in last cannot be
// added, the streams fail with Stop's error.
//
// A run of another process is asked to end, see [WithStore]. Stop waits until its end is in the store,
// and gives up when the store has not answered for the time of [WithLease]. If an event in last
// is not valid, or all are too large for the store, Stop returns an error and the run goes on.
func (r *Runner) Stop(ctx context.Context, key string, last ...core.Event) error {
	r.lock()
	active := r.active[key]
	r.mu.Unlock()
	one := r.get(key)
	var err error
	switch {
	case one != nil:
		err = one.stop(last)
	case r.config.store == nil:
		return ErrNotHeld
	default:
		err = r.stopShared(ctx, key, last)
		if one = active; err != nil || one == nil || !one.over.Load() {
			return err
		} // its end is in the store, but its generator may not have returned
	}
	if ownOf(ctx) == one {
		return err
	}
	select {
	case <-one.returned:
		return err
	default:
	}
	select {
	case <-one.returned:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("run: stop %q: the generator has not returned: %w", key, context.Cause(ctx)))
	}
}

// hasEnded is called once for each run, when it has ended.
func (r *Runner) hasEnded(one *run) {
	defer close(one.told)
	defer r.retain(one)
	r.count(one.state().Err)
	for _, f := range slices.Backward(r.config.ended) {
		defer r.tell(one, f) // the last one deferred is the first; all of them, even if one ends the goroutine
	}
}

// launch calls the generator of a run that has begun.
func (r *Runner) launch(one *run, generate func(ctx context.Context) core.Stream) {
	r.started.Add(1)
	go one.work(generate)
}

// tell calls a function of WithEnded.
func (*Runner) tell(one *run, f func(State)) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("run: %q: the function of WithEnded has panicked: %v\n%s", one.key, v, debug.Stack())
		}
	}()
	f(one.state())
}

// retain holds a run that has ended for some time.
func (r *Runner) retain(one *run) {
	r.lock()
	defer r.mu.Unlock()
	switch {
	case r.runs[one.key] != one:
	case r.config.retention <= 0 || one.upload != nil:
		r.drop(one) // the store holds it
	default:
		one.expiry = time.AfterFunc(r.config.retention, func() {
			r.lock()
			defer r.mu.Unlock()
			r.drop(one)
		})
	}
}

// hasReturned is called when the generator of a run has returned.
func (r *Runner) hasReturned(one *run) {
	r.lock()
	defer r.mu.Unlock()
	delete(r.active, one.key)
	if len(r.active) == 0 && r.idle != nil {
		close(r.idle)
	}
}

// drop lets go of a run that has ended.
func (r *Runner) drop(one *run) {
	if r.runs[one.key] != one {
		return
	}
	if one.expiry != nil {
		one.expiry.Stop()
	}
	delete(r.runs, one.key)
	r.bytes.Add(-one.bytes.Load() - runSize)
	go one.forget() // not here, because of its lock
}
