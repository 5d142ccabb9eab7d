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
	wake    chan struct{} // has a value if there is something to do
	begun   atomic.Bool   // the store has the run, and its end has not been told
	hurry   atomic.Bool   // somebody may have asked to stop the run
	renewed time.Time     // when the call began that has renewed the lease last; of the goroutine alone
	stored  int           // how many entries the store has; of the goroutine alone

	// What follows is guarded by the run's lock.

	entries []string // that the goroutine has not taken
	err     error    // why the run has ended, as in State.Err, if it is over
	end     error    // what its streams end with
}

func newUpload(o *run, store Store, claim Claim) *upload {
	return &upload{run: o, store: store, claim: claim, wake: make(chan struct{}, 1)}
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
	cancel := u.store.Watch(u.claim.Key, HintStop, func() {
		u.hurry.Store(true)
		u.signal()
	})
	err := u.deliver()
	cancel()
	u.begun.Store(false)
	u.run.conclude(err)
	u.run.runner.hasEnded(u.run)
}

// deliver returns nil when the store has everything, or an error that wraps ErrLost.
func (u *upload) deliver() error {
	for {
		b, end := u.next()
		switch {
		case len(b.Entries) > 0 || u.due():
			if err := u.append(b); err != nil {
				return err
			}
		case end != nil:
			return u.call("end", func(ctx context.Context) error { return u.store.End(ctx, u.claim, *end) })
		default:
			u.wait()
		}
	}
}

// next takes the next batch. If there are no more entries, it returns the end of a run that is over.
func (u *upload) next() (Batch, *End) {
	o := u.run
	o.mu.Lock()
	defer o.mu.Unlock()
	n, bytes := 0, 0
	for n < len(u.entries) && n < batchEntries && (n == 0 || bytes+len(u.entries[n]) <= batchBytes) {
		bytes += len(u.entries[n])
		n++
	}
	b := Batch{First: u.stored + 1, Entries: u.entries[:n:n], Bytes: o.bytes.Load()}
	if u.entries = u.entries[n:]; len(u.entries) == 0 {
		u.entries = nil
	}
	if n > 0 || !o.over.Load() {
		return b, nil
	}
	end := newEnd(u.err, u.end)
	end.Events, end.Bytes = o.events, o.bytes.Load()
	return b, &end
}

// due reports whether it is time to ask the store for a request to stop, or to renew the lease.
func (u *upload) due() bool {
	return u.hurry.Swap(false) || time.Since(u.renewed) >= renewal(u.claim.Lease)
}

func (u *upload) wait() {
	t := time.NewTimer(renewal(u.claim.Lease) - time.Since(u.renewed))
	defer t.Stop()
	select {
	case <-u.wake:
	case <-t.C:
	}
}

func (u *upload) append(b Batch) error {
	var stop *StopRequest
	err := u.call("append to", func(ctx context.Context) (err error) {
		stop, err = u.store.Append(ctx, u.claim, b)
		return err
	})
	if err != nil {
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

// call calls the store until it answers. When the lease is over, others have told their
// clients that the run was lost, so then it is.
func (u *upload) call(what string, f func(ctx context.Context) error) error {
	for {
		began := time.Now()
		deadline := u.renewed.Add(u.claim.Lease)
		ctx, cancel := context.WithDeadline(context.Background(), earlier(deadline, began.Add(attempt(u.claim.Lease))))
		err := f(ctx)
		cancel()
		switch {
		case err == nil:
			u.renewed = began
			return nil
		case errors.Is(err, ErrLost):
			return fmt.Errorf("run: %s %q in the store: %w", what, u.claim.Key, err)
		case !time.Now().Before(deadline):
			return fmt.Errorf("run: %s %q: the store could not be reached for %v: %w: %w", what, u.claim.Key, u.claim.Lease, ErrLost, err)
		}
		ctx, cancel = context.WithDeadline(context.Background(), deadline)
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
