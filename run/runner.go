package run

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// maxKey is how many bytes a key may have.
const maxKey = 255

// stopping is how long a Start waits for a generator of the same key whose run has ended.
const stopping = 10 * time.Second

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

	bytes atomic.Int64 // of all runs and mirrors that are held
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

// Start begins a run and returns its stream, as [Runner.Attach] does. If there is a run
// with this key that has not ended, Start attaches to that instead, and does not call
// generate; see [WithExclusive]. If the request has a last event ID, Start only attaches.
//
// generate is called once, in a goroutine of the run. Its context has no values of ctx and
// does not end with it: it ends with the run. When that has happened, yield returns false.
// Events must not have IDs, because the run assigns them. generate must not use what a host
// reuses after a handler has returned, such as a *gin.Context, a *fiber.Ctx and every string
// that came from it: pass it what it needs as values.
//
// A key has 1 to 255 bytes. The client often chooses it: the view must check whether the client
// may read the run, or start one. Start belongs in a view for POST: an EventSource repeats
// its GET after a failure, and would begin a run that has failed again and again.
//
// If the generator of a run with this key that was ended has not returned, Start waits for it,
// up to 10 s. With a [Store] it waits for the store's answer. Otherwise it returns at once. In addition
// to Attach's refusals, the request is refused, and the stream fails, with
//
//   - 400 if the key is not valid, and 500 if generate is nil,
//   - 409 and [ErrRunning], see [WithExclusive],
//   - 503 and a [*LimitError] if there are too many runs, or they are too large,
//   - 503 and [core.ErrShutdown] after [Runner.Shutdown] was called,
//   - 503 if that generator has not returned in time, or if the [Store] does not answer.
func (r *Runner) Start(
	ctx context.Context, key string, generate func(ctx context.Context) core.Stream, opts ...StartOption,
) core.Stream {
	var s start
	for _, o := range opts {
		if o != nil {
			o(&s)
		}
	}
	if generate == nil {
		return refuse(ctx, 500, errors.New("run: start: the generator is nil"))
	}
	if core.LastEventID(ctx) != "" {
		return r.Attach(ctx, key)
	}
	if err := checkKey(key); err != nil {
		return refuse(ctx, 400, err)
	}
	stream, err := r.begin(ctx, key, generate, s)
	switch {
	case err == nil:
		return stream
	case errors.Is(err, ErrRunning):
		return refuse(ctx, 409, err)
	default:
		core.Refuse(ctx, err) // with 503
		return failed(err)
	}
}

var errStopping = fmt.Errorf("run: the generator of a run with this key that was ended has not returned for %v", stopping)

// begin returns the stream of the run of a key, which may be new.
func (r *Runner) begin(
	ctx context.Context, key string, generate func(ctx context.Context) core.Stream, s start,
) (core.Stream, error) {
	deadline := time.NewTimer(stopping)
	defer deadline.Stop()
	for {
		stream, one, other, err := r.beginNow(ctx, key, s)
		switch {
		case err != nil:
			return nil, err
		case one != nil && one.upload != nil:
			return r.beginShared(ctx, one, stream, generate, s)
		case one != nil:
			go one.work(generate)
			return stream, nil
		}
		if other.claimed != nil {
			select {
			case <-other.claimed:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if !other.over.Load() {
			if stream = other.attach(ctx, attach{}); stream != nil {
				return stream, nil
			}
		}
		select { // it has ended
		case <-other.returned:
		case <-deadline.C:
			return nil, errStopping
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// beginNow makes a run, whose generator the caller calls, and its stream. Or it returns the other
// run of this key whose generator has not returned.
func (r *Runner) beginNow(ctx context.Context, key string, s start) (stream core.Stream, one, other *run, err error) {
	r.lock()
	defer r.mu.Unlock()
	old, active := r.runs[key], r.active[key]
	runs, bytes := len(r.runs), r.bytes.Load()
	if old != nil { // it makes room
		runs, bytes = runs-1, bytes-old.bytes.Load()-runSize
	}
	running := active != nil && !active.over.Load()
	switch {
	case running && s.exclusive:
		return nil, nil, nil, ErrRunning
	case running:
		return nil, nil, active, nil
	case r.closed:
		return nil, nil, nil, shutdownError{}
	case active != nil:
		return nil, nil, active, nil
	}
	if err := r.full(key, max(runs, len(r.active)), bytes); err != nil { // one that was dropped may be active
		return nil, nil, nil, err
	}
	if old != nil {
		r.drop(old)
	}
	one = newRun(r, strings.Clone(key), strings.Clone(s.starter))
	stream = one.stream(ctx) // before it can end and be dropped
	r.runs[one.key], r.active[one.key] = one, one
	r.bytes.Add(runSize)
	return stream, one, nil, nil
}

// full returns an error if there is no room for one more. The runner is locked.
func (r *Runner) full(key string, runs int, bytes int64) error {
	c := &r.config
	switch {
	case c.maxRuns > 0 && runs+len(r.mirrors) >= c.maxRuns:
		return &LimitError{strings.Clone(key), LimitRuns, int64(c.maxRuns)}
	case c.maxTotal > 0 && bytes >= c.maxTotal:
		return &LimitError{strings.Clone(key), LimitTotalBytes, c.maxTotal}
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("run: the key is empty")
	case len(key) > maxKey:
		return fmt.Errorf("run: the key has %d bytes: it may have at most %d", len(key), maxKey)
	}
	return nil
}

// Attach returns the stream of the run with this key: all of its events from the first
// one, or after the client's last event ID (see [core.LastEventID]), and its end. If that
// ID is not of this run, the client is sent a gap event (see [hub.Gap]) and then
// everything.
//
// Attach looks for the run when it is called, so call it in the view. The request is refused,
// and the stream fails, with
//
//   - 204 and [ErrFinished] if the run has ended cleanly, and the client has seen its last
//     event, or it has none; see also [WithOnlyRunning],
//   - 204 and [ErrNotHeld] if there is no such run, or 410 if the request has a last event
//     ID,
//   - with a [Store], 410 and [ErrLost] if the client has seen more of the run than the store, and 503
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
// nevertheless, except in another process: see [WithStore]. There Stop waits until the end is in the
// store. The error is [ErrNotHeld] if there is no such run. If an event in last cannot be
// added, the streams fail with Stop's error.
func (r *Runner) Stop(ctx context.Context, key string, last ...core.Event) error {
	one := r.get(key)
	switch {
	case one != nil:
	case r.config.store != nil:
		return r.stopShared(ctx, key, last)
	default:
		return ErrNotHeld
	}
	own := ownOf(ctx) == one
	err := one.stop(last)
	if own {
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

// Shutdown refuses to begin runs, waits until the generators of all runs have returned, and
// returns nil. Clients may still attach. If ctx ends first, Shutdown ends what still runs, and returns a
// [*ShutdownError]; it does not wait for the generators then, but with a [Store] until their runs' ends
// are stored, for at most the time of the lease. It fails at once if ctx is
// made of a generator's, which it would wait for.
func (r *Runner) Shutdown(ctx context.Context) error {
	if own := ownOf(ctx); own != nil && own.runner == r {
		return fmt.Errorf("run: shutdown: it was called by the generator of %q, and would wait for it", own.key)
	}
	r.lock()
	r.closed = true
	if r.idle == nil {
		r.idle = make(chan struct{})
		if len(r.active) == 0 {
			close(r.idle)
		}
	}
	idle := r.idle
	r.mu.Unlock()

	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	r.lock()
	left := slices.Collect(maps.Values(r.active))
	r.mu.Unlock()
	if len(left) == 0 { // the last one has returned in the meantime
		return nil
	}
	e := &ShutdownError{Err: context.Cause(ctx)}
	var tell sync.WaitGroup
	for _, one := range left {
		switch {
		case one.endNow(shutdownError{}):
			tell.Go(func() { r.hasEnded(one) })
		case one.upload != nil:
			tell.Go(func() { <-one.told }) // its end is in the store
		}
		e.Keys = append(e.Keys, one.key)
	}
	tell.Wait()
	slices.Sort(e.Keys)
	return e
}

// hasEnded is called once for each run, when it has ended.
func (r *Runner) hasEnded(one *run) {
	defer close(one.told)
	defer r.retain(one)
	for _, f := range r.config.ended {
		r.tell(one, f)
	}
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
