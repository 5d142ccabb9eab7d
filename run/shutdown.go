package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// farewell is how long Shutdown waits for the store after its context has ended.
const farewell = 5 * time.Second

// Shutdown refuses to begin runs, waits until the generators of all runs have returned, and
// returns nil. Clients may still attach. If ctx ends first, Shutdown ends what still runs, and returns a
// [*ShutdownError]; it does not wait for the generators then, but with a [Store] until their runs' ends
// are stored, for at most 5 s. Before you shut the host down, wait for the streams, see
// [core.Group.Wait]: a host's shutdown ends cleanly those that have not been told of their run's end.
// Shutdown fails at once if ctx is made of a generator's, which it would wait for.
func (r *Runner) Shutdown(ctx context.Context) error {
	if own := ownOf(ctx); own != nil && own.runner == r {
		return fmt.Errorf("run: shutdown: it was called by the generator of %q, and would wait for it: "+
			"call it outside of the runs, with another context", own.key)
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
	defer time.AfterFunc(farewell, func() {
		for _, one := range left {
			if one.upload != nil {
				one.upload.cancel()
			}
		}
	}).Stop()
	e := &ShutdownError{Err: context.Cause(ctx)}
	var tell sync.WaitGroup
	for _, one := range left {
		switch {
		case one.endNow(shutdownError{}):
			tell.Go(func() { r.hasEnded(one) })
		default: // it has ended, but the functions of WithEnded or the store have not been told of it
			tell.Go(func() { <-one.told })
		}
		e.Keys = append(e.Keys, one.key)
	}
	tell.Wait()
	slices.Sort(e.Keys)
	return e
}
