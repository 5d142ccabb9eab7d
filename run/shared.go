package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// claim asks the store whether a run may begin. If the key has another one, it returns that.
func (r *Runner) claim(one *run) (other *Record, err error) {
	u := one.upload
	ctx, cancel := context.WithTimeout(context.Background(), attempt(u.claim.Lease))
	defer cancel()
	u.renewed = time.Now()
	held, err := u.store.Claim(ctx, u.claim)
	switch {
	case err != nil:
		return nil, fmt.Errorf("run: start %q: %w", one.key, err)
	case held.ID != one.id:
		return &held, nil
	}
	return nil, nil
}

// beginShared asks the store, and begins the run or gives it up.
func (r *Runner) beginShared(
	ctx context.Context, one *run, stream core.Stream, generate func(ctx context.Context) core.Stream, s start,
) (core.Stream, error) {
	other, err := r.claim(one)
	if err == nil && other == nil {
		one.upload.begun.Store(true)
		close(one.claimed)
		go one.upload.work()
		go one.work(generate)
		return stream, nil
	}
	r.giveUp(one)
	switch {
	case err != nil:
		return nil, err
	case s.exclusive:
		return nil, ErrRunning
	}
	return r.attachShared(ctx, one.key, attach{}), nil
}

// giveUp lets go of a run that the store has refused.
func (r *Runner) giveUp(one *run) {
	one.mu.Lock()
	one.finish(ErrLost, ErrLost)
	one.mu.Unlock()
	r.lock()
	r.drop(one)
	r.mu.Unlock()
	r.hasReturned(one)
	close(one.told)
	close(one.returned)
	close(one.claimed)
}

// attachShared attaches to a run that the store holds.
func (r *Runner) attachShared(ctx context.Context, key string, a attach) core.Stream {
	m, err := r.mirror(ctx, key)
	switch {
	case err == nil:
		return m.attach(ctx, a)
	case !errors.Is(err, ErrNotHeld):
		core.Refuse(ctx, err) // with 503
		return failed(err)
	case core.LastEventID(ctx) != "":
		return refuse(ctx, 410, ErrNotHeld)
	default:
		return refuse(ctx, 204, ErrNotHeld)
	}
}

// mirror returns the mirror of the run that the key has now.
func (r *Runner) mirror(ctx context.Context, key string) (*mirror, error) {
	if checkKey(key) != nil {
		return nil, ErrNotHeld
	}
	r.lock()
	m := r.mirrors[key]
	r.mu.Unlock()
	if m != nil && m.following() { // it is that one
		return m, nil
	}
	rec, err := ask(ctx, r, func(ctx context.Context) (Record, error) { return r.config.store.Get(ctx, key) })
	if err != nil {
		return nil, err
	}
	rec.Key = strings.Clone(key)
	fresh, err := newMirror(r, rec)
	if err != nil {
		return nil, err
	}
	r.lock()
	defer r.mu.Unlock()
	m = r.mirrors[key]
	switch {
	case m != nil && m.id == rec.ID:
		fresh.idle.Stop()
		return m, nil
	case m == nil:
		if err := r.full(key, len(r.runs), r.bytes.Load()); err != nil {
			fresh.idle.Stop()
			return nil, err
		}
	default:
		r.forgetMirror(m)
	}
	r.mirrors[rec.Key] = fresh
	fresh.bytes = runSize
	r.bytes.Add(runSize)
	return fresh, nil
}

// countMirror counts bytes of a mirror.
func (r *Runner) countMirror(m *mirror, n int64) {
	r.lock()
	defer r.mu.Unlock()
	if r.mirrors[m.key] == m {
		m.bytes += n
		r.bytes.Add(n)
	}
}

// dropMirror has the next Attach make a new mirror. Streams of this one go on.
func (r *Runner) dropMirror(m *mirror) {
	r.lock()
	defer r.mu.Unlock()
	if r.mirrors[m.key] == m {
		r.forgetMirror(m)
	}
}

func (r *Runner) forgetMirror(m *mirror) {
	delete(r.mirrors, m.key)
	r.bytes.Add(-m.bytes)
}

// stopShared stops a run of another process, and waits until its end is in the store.
func (r *Runner) stopShared(ctx context.Context, key string, last []core.Event) error {
	if checkKey(key) != nil {
		return ErrNotHeld
	}
	store := r.config.store
	var request StopRequest
	var bad error
	for _, e := range last {
		if e.ID != "" {
			bad = fmt.Errorf("run: stop %q: the event has the ID %q: leave it empty, because the run assigns the IDs", key, e.ID)
		}
	}
	if bad == nil {
		request.Last, bad = encode(last)
	}
	rec, err := ask(ctx, r, func(ctx context.Context) (Record, error) { return store.Stop(ctx, key, request) })
	if err != nil {
		return err
	}
	moved := make(chan struct{}, 1)
	defer store.Watch(key, HintEvents, func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	})()
	for {
		now, err := ask(ctx, r, func(ctx context.Context) (Record, error) { return store.Get(ctx, key) })
		switch {
		case errors.Is(err, ErrNotHeld), err == nil && (now.ID != rec.ID || now.Outcome != ""):
			return bad
		case ctx.Err() != nil:
			return errors.Join(bad, fmt.Errorf("run: stop %q: its process has not ended it yet: %w", key, context.Cause(ctx)))
		}
		t := time.NewTimer(max(retry(rec.Lease), time.Millisecond)) // if the hint is lost
		select {
		case <-moved:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// ask calls the store once.
func ask[T any](ctx context.Context, r *Runner, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt(r.config.lease))
	defer cancel()
	return f(ctx)
}
