package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// stopping is how long a Start waits for a generator of the same key whose run has ended.
const stopping = 10 * time.Second

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

var errStopping = fmt.Errorf(
	"run: a run with this key was ended, but its generator has not returned, or the store has not answered, for %v", stopping)

// begin returns the stream of the run of a key, which may be new.
func (r *Runner) begin(
	ctx context.Context, key string, generate func(ctx context.Context) core.Stream, s start,
) (core.Stream, error) {
	deadline := time.After(stopping)
	for {
		stream, one, other, err := r.beginNow(ctx, key, s)
		switch {
		case err != nil:
			return nil, err
		case one != nil && one.upload != nil:
			return r.beginShared(ctx, one, stream, generate, s)
		case one != nil:
			r.launch(one, generate)
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
		case <-deadline:
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
	stream = attach{}.stream(ctx, one.hub, 0, false) // before it can end and be dropped
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
