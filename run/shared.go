package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// claim asks the store whether a run may begin. If the key has another one, it returns that. If there is no
// answer, it asks once more, because the first answer may have been lost.
func (r *Runner) claim(one *run) (other *Record, err error) {
	u := one.upload
	ask := func() (Record, error) {
		ctx, cancel := context.WithTimeout(u.ctx, attempt(u.claim.Lease)/2)
		defer cancel()
		return u.store.Claim(ctx, u.claim)
	}
	u.renewed = time.Now()
	held, err := ask()
	if err != nil && !errors.Is(err, ErrTooLarge) {
		pause.For(u.ctx, retry(u.claim.Lease))
		held, err = ask()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("run: start %q: %w", one.key, err)
	case held.ID != one.id:
		return &held, nil
	case held.Outcome != "":
		return nil, fmt.Errorf("run: start %q: the store says that it has ended already: %w", one.key, ErrLost)
	}
	return nil, nil
}

// beginShared asks the store, and begins the run or gives it up.
func (r *Runner) beginShared(
	ctx context.Context, one *run, stream core.Stream, generate func(ctx context.Context) core.Stream, s start,
) (core.Stream, error) {
	claimed := false
	defer func() {
		if !claimed { // the store has panicked, or has ended the goroutine
			r.lose(one)
		}
	}()
	other, err := r.claim(one)
	claimed = true
	if err == nil && other == nil {
		one.upload.begun.Store(true)
		close(one.claimed)
		go one.upload.work()
		r.launch(one, generate)
		return stream, nil
	}
	if err != nil {
		one.endNow(err)
		close(one.claimed)
		go func() { // the store may have begun it
			defer r.giveUp(one)
			_ = one.upload.deliver()
		}()
		return nil, err
	}
	r.lose(one)
	if s.exclusive {
		return nil, ErrRunning
	}
	m, err := r.mirror(one.key, *other)
	if err != nil {
		return nil, err
	}
	return m.attach(ctx, attach{}, *other), nil
}

// lose ends a run that has not begun here, and gives it up.
func (r *Runner) lose(one *run) {
	one.endNow(ErrLost)
	close(one.claimed)
	r.giveUp(one)
}

// giveUp lets go of a run that has not begun here, and has ended.
func (r *Runner) giveUp(one *run) {
	r.lock()
	r.drop(one)
	r.mu.Unlock()
	r.hasReturned(one)
	close(one.told)
	close(one.returned)
}

// attachShared attaches to a run that the store holds.
func (r *Runner) attachShared(ctx context.Context, key string, a attach) core.Stream {
	r.lock()
	m := r.mirrors[key]
	r.mu.Unlock()
	rec, err := r.current(ctx, key)
	switch {
	case err == nil:
		m, err = r.mirror(key, rec)
	case errors.Is(err, ErrNotHeld):
	case m != nil && m.following(): // as if the store had not been asked: the readers of the mirror know no better
		err = nil
	}
	switch {
	case err == nil:
		return m.attach(ctx, a, rec)
	case !errors.Is(err, ErrNotHeld):
		core.Refuse(ctx, err) // with 503
		return failed(err)
	default:
		return notHeld(ctx)
	}
}

// current asks the store for the run that a key has now.
func (r *Runner) current(ctx context.Context, key string) (Record, error) {
	if checkKey(key) != nil {
		return Record{}, ErrNotHeld
	}
	return ask(ctx, r, func(ctx context.Context) (Record, error) { return r.config.store.Get(ctx, key) })
}

// mirror returns the mirror of a run, which the key has now.
func (r *Runner) mirror(key string, rec Record) (*mirror, error) {
	rec.Key = strings.Clone(key)
	fresh, err := newMirror(r, rec)
	if err != nil {
		return nil, err
	}
	r.lock()
	defer r.mu.Unlock()
	m := r.mirrors[key]
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
	entries, err := encode(last)
	if err != nil {
		return fmt.Errorf("run: stop %q: it goes on, because the events are not valid: %w", key, err)
	}
	request := StopRequest{Last: entries}
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
	asked := time.Now() // when the store was asked that has answered last
	for {
		began := time.Now()
		now, err := r.current(ctx, key)
		switch {
		case errors.Is(err, ErrNotHeld), err == nil && (now.ID != rec.ID || now.Outcome != ""):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("run: stop %q: its process has not ended it yet: %w", key, context.Cause(ctx))
		case err == nil:
			asked = began
		case time.Since(asked) >= r.config.lease:
			return fmt.Errorf("run: stop %q: it is not known whether its process has ended it: %w", key, err)
		}
		select {
		case <-moved:
		case <-time.After(max(retry(rec.Lease), time.Millisecond)): // if the hint is lost
		case <-ctx.Done():
		}
	}
}

// ask calls the store once.
func ask[T any](ctx context.Context, r *Runner, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt(r.config.lease))
	defer cancel()
	return f(ctx)
}
