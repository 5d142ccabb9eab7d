package run

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// A State describes a run.
type State struct {
	Key     string
	ID      string // differs between two runs of the same key; the IDs of its events begin with it
	Starter string // see [WithStarter]
	Started time.Time
	Ended   time.Time // zero while it runs
	Events  int
	Bytes   int64 // that its events take in memory, about: their text, and 96 bytes for each

	// Err is nil while it runs and if its generator has returned, [ErrStopped] after
	// [Runner.Stop], and otherwise why it has failed: the generator's error, a
	// *[core.PanicError], a [*LimitError], [core.ErrShutdown] or an error that wraps [ErrLost]. If
	// another process had the run, the generator's error has only the same text.
	Err error
}

// Get returns the state of a run. The error is [ErrNotHeld] if there is none. Only a [Store] may
// return other errors, and needs ctx.
func (r *Runner) Get(ctx context.Context, key string) (State, error) {
	if one := r.get(key); one != nil {
		return one.state(), nil
	}
	if r.config.store == nil {
		return State{}, ErrNotHeld
	}
	rec, err := r.current(ctx, key)
	if err != nil {
		return State{}, err
	}
	return rec.state(), nil
}

// listing is how long List waits for a store, which may have to ask for each run.
const listing = time.Minute

// List returns the states of all runs, including those that are held after their end, the
// oldest first. Only a [Store] may return an error, and needs ctx; its runs are those of all
// processes. List waits for it for at most a minute.
func (r *Runner) List(ctx context.Context) ([]State, error) {
	states := []State{}
	if store := r.config.store; store != nil {
		ctx, cancel := context.WithTimeout(ctx, listing)
		defer cancel()
		records, err := store.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			states = append(states, rec.state())
		}
	} else {
		r.lock()
		runs := slices.Collect(maps.Values(r.runs))
		r.mu.Unlock()
		for _, one := range runs {
			states = append(states, one.state())
		}
	}
	slices.SortFunc(states, func(a, b State) int {
		if c := a.Started.Compare(b.Started); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	return states, nil
}
