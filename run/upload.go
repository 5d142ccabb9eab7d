package run

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// A batch has at most this many entries, and about this many bytes.
const (
	batchEntries = 256
	batchBytes   = 256 << 10
)

// An upload brings a run of this process into the store, and keeps its lease. It is one
// goroutine, so an event waits for nobody: what comes during a call is the next batch.
type upload struct {
	run     *run
	store   Store
	claim   Claim
	ctx     context.Context    //nolint:containedctx // of the calls of the store
	cancel  context.CancelFunc // has it give up, because the runner is shut down
	wake    chan struct{}      // has a value if there is something to do
	begun   atomic.Bool        // the store has the run, and its end has not been told
	hurry   atomic.Bool        // somebody may have asked to stop the run
	renewed time.Time          // when the call began that has renewed the lease last; of the goroutine alone
	stored  int                // how many entries the store has; of the goroutine alone
	refused bool               // it does not accept the next one; of the goroutine alone

	// What follows is guarded by the run's lock.

	entries []string // that the goroutine has not taken
	err     error    // why the run has ended, as in State.Err, if it is over
	end     error    // what its streams end with
}

func newUpload(o *run, store Store, claim Claim) *upload {
	u := &upload{run: o, store: store, claim: claim, wake: make(chan struct{}, 1)}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

func (u *upload) signal() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// work runs until the end of the run is in the store, or the run is lost. Only then its streams
// end: an end that a client is told is the one that clients of other processes are told.
func (u *upload) work() {
	err := fmt.Errorf("run: %q: the goroutine that sends its events to the store has ended (did the store call runtime.Goexit?): %w",
		u.claim.Key, ErrLost)
	defer u.run.runner.hasEnded(u.run)
	defer func() {
		u.begun.Store(false)
		u.run.conclude(err)
	}()
	cancel := u.store.Watch(u.claim.Key, HintStop, func() {
		u.hurry.Store(true)
		u.signal()
	})
	defer cancel()
	if err = u.deliver(); err != nil && !errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w: %w", err, ErrLost)
	}
}

// deliver returns nil when the store has everything.
func (u *upload) deliver() error {
	for {
		b, over := u.next()
		switch {
		case len(b.Entries) > 0 || u.due():
			if err := u.append(b); err != nil {
				return err
			}
		case over:
			end := newEnd(u.err, u.end) // without the lock, because it calls methods of the user's errors
			end.Events, end.Bytes = u.stored, u.run.bytes.Load()
			return u.call("end", func(ctx context.Context) error { return u.store.End(ctx, u.claim, end) })
		default:
			u.wait()
		}
	}
}

// next takes the next batch. over means that none will follow, and that the end is known.
func (u *upload) next() (b Batch, over bool) {
	o := u.run
	o.mu.Lock()
	defer o.mu.Unlock()
	n, bytes := 0, 0
	for n < len(u.entries) && n < batchEntries && (n == 0 || bytes+len(u.entries[n]) <= batchBytes) {
		bytes += len(u.entries[n])
		n++
	}
	b = Batch{First: u.stored + 1, Entries: u.entries[:n:n], Bytes: o.bytes.Load()}
	if u.entries = u.entries[n:]; len(u.entries) == 0 {
		u.entries = nil
	}
	return b, n == 0 && o.over.Load()
}

// due reports whether it is time to ask the store for a request to stop, or to renew the lease.
func (u *upload) due() bool {
	return u.hurry.Swap(false) || time.Since(u.renewed) >= renewal(u.claim.Lease)
}

func (u *upload) wait() {
	select {
	case <-u.wake:
	case <-time.After(renewal(u.claim.Lease) - time.Since(u.renewed)):
	}
}

func (u *upload) append(b Batch) error {
	var stop *StopRequest
	err := u.call("append to", func(ctx context.Context) (err error) {
		stop, err = u.store.Append(ctx, u.claim, b)
		return err
	})
	switch n := len(b.Entries); {
	case errors.Is(err, ErrTooLarge) && n > 1:
		rest := b
		b.Entries, rest.Entries, rest.First = b.Entries[:n/2], b.Entries[n/2:], b.First+n/2
		if err := u.append(b); err != nil || u.refused {
			return err
		}
		return u.append(rest)
	case errors.Is(err, ErrTooLarge) && n == 1:
		u.refuse(err)
		return nil
	case err != nil:
		return err
	}
	u.stored += len(b.Entries)
	if stop != nil && !u.run.over.Load() {
		last, err := decode(stop.Last)
		if err == nil {
			err = u.run.stop(last)
		}
		if err != nil {
			u.run.end(fmt.Errorf("run: stop %q: %w", u.claim.Key, err))
		}
	}
	return nil
}

// refuse ends a run with the entries that are stored, because the store does not accept the next one.
func (u *upload) refuse(err error) {
	o := u.run
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finish(err, err)
	u.refused, u.entries, u.err, u.end = true, nil, err, err // even if it has ended otherwise
}

// call calls the store until it answers. When the lease is over, others have told their
// clients that the run was lost, so then it is.
func (u *upload) call(what string, f func(ctx context.Context) error) error {
	for {
		began := time.Now()
		deadline := u.renewed.Add(u.claim.Lease)
		ctx, cancel := context.WithDeadline(u.ctx, earlier(deadline, began.Add(attempt(u.claim.Lease))))
		err := f(ctx)
		cancel()
		switch {
		case err == nil:
			u.renewed = began
			return nil
		case errors.Is(err, ErrLost), errors.Is(err, ErrTooLarge):
			return fmt.Errorf("run: %s %q in the store: %w", what, u.claim.Key, err)
		case u.ctx.Err() != nil:
			return fmt.Errorf("run: %s %q: the store has not answered, and the runner was shut down: %w: %w",
				what, u.claim.Key, ErrLost, err)
		case !time.Now().Before(deadline):
			return fmt.Errorf("run: %s %q: the store could not be reached for %v: %w: %w", what, u.claim.Key, u.claim.Lease, ErrLost, err)
		}
		ctx, cancel = context.WithDeadline(u.ctx, deadline)
		pause.For(ctx, retry(u.claim.Lease))
		cancel()
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// noID is the ID of an event that has none yet, because the wire form of an empty event without an
// ID says nothing.
const noID = "0"

// encode returns events as entries.
func encode(events []core.Event) ([]string, error) {
	entries := make([]string, 0, len(events))
	for _, e := range events {
		if e.ID != "" {
			return nil, fmt.Errorf("the event has the ID %q: leave it empty, because the run assigns the IDs", e.ID)
		}
		e.ID = noID
		text, err := e.AppendText(nil)
		if err != nil {
			return nil, err
		}
		entries = append(entries, string(text))
	}
	return entries, nil
}

// decode is the inverse of encode.
func decode(entries []string) ([]core.Event, error) {
	events := make([]core.Event, len(entries))
	for i, text := range entries {
		if err := events[i].UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
		events[i].ID = ""
	}
	return events, nil
}
