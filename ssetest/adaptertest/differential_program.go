package adaptertest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// view is the view of the stream.
func (r *trial) view(ctx context.Context, x Exchange) core.Stream {
	r.update(func() { r.viewed = ctx })
	context.AfterFunc(ctx, func() { r.owe("the end of its context", time.Now()) })
	if got, want := core.LastEventID(ctx), r.resumes(); got != want {
		r.problemf("the last event ID is %q, want %q", got, want)
	}
	if r.Client.ViewRead {
		_, _ = io.Copy(io.Discard, x.Body)
	}
	if r.Source == generator {
		return r.generator(ctx)
	}
	opts := []hub.Option{
		hub.WithJoin(func(context.Context, string) { r.update(func() { r.joined = true }) }),
		hub.WithGapEvent(func(gap hub.Gap) core.Event {
			r.hook(r.GapEvent, "gap event")
			if r.GapEvent == bad {
				return core.Event{Type: "gap\n"}
			}
			return core.Event{Type: "gap", Data: string(gap.Reason)}
		}),
	}
	if r.Bound > 0 {
		opts = append(opts, hub.WithMaxEvents(r.Bound))
	}
	h := hub.New(opts...)
	r.update(func() { r.hub, r.publishing = h, true })
	stream := h.SubscribeFrom(ctx, hub.Oldest, "topic")
	r.spawn(func() {
		defer r.update(func() { r.publishing = false })
		r.publish(ctx)
	})
	if r.Source == asIs {
		return stream
	}
	return func(yield func(core.Event, error) bool) {
		r.update(func() { r.runs++; r.running++ })
		defer func() { r.update(func() { r.running-- }) }()
		for e, err := range stream {
			if !yield(e, err) {
				return
			}
		}
	}
}

// generator is the program.
func (r *trial) generator(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		r.update(func() { r.runs++; r.running++; r.yield = yield })
		defer func() { r.update(func() { r.running-- }) }()
		give := func(step int, e core.Event, err error, bad bool) bool {
			before, begin, ok := context.Cause(ctx), time.Now(), false
			defer func() { // also if an observer ends the goroutine
				r.update(func() {
					r.times.yield = max(r.times.yield, time.Since(begin))
					r.trace = append(r.trace, element{step, e, err, bad, ok, before, context.Cause(ctx)})
				})
			}()
			ok = yield(e, err)
			return ok
		}
		for i, s := range r.Steps {
			ok := true
			switch s.Do {
			case doYield:
				ok = give(i, s.Event, nil, false)
			case doBad:
				ok = give(i, s.Event, nil, true)
			case doError:
				ok = give(i, s.Event, failings[s.Err], false)
			case doFlood:
				ok = !r.flood(i, func(e core.Event) bool { return give(i, e, nil, false) })
			case doPanic:
				r.panic(ctx, i, failings[s.Err])
			case doGoexit:
				r.update(func() {
					r.exited = true
					r.trace = append(r.trace, element{step: i, before: context.Cause(ctx)})
				})
				runtime.Goexit()
			default:
				r.step(ctx, i)
			}
			if !ok && !r.Stubborn {
				return
			}
		}
		r.update(func() { r.endAlive = ctx.Err() == nil })
		r.oweReader("the return of its generator")
	}
}

// panic panics with an error, or with its text.
func (r *trial) panic(ctx context.Context, step int, err error) {
	value := any(err)
	if step%2 == 0 {
		value = err.Error()
	}
	r.update(func() {
		r.thrown = append(r.thrown, value)
		r.trace = append(r.trace, element{step: step, before: context.Cause(ctx)})
	})
	panic(value)
}

// publish is the program of a hub. At its end it ends the subscriptions.
func (r *trial) publish(ctx context.Context) {
	give := func(step int, e core.Event, bad bool) {
		id, err := r.hub.Publish(context.Background(), "topic", e)
		switch {
		case err != nil && ctx.Err() != nil: // the trial is over
		case (err == nil) == bad:
			r.problemf("step %d: Publish of %.100q: %v", step, e, err)
		case err == nil:
			e.ID = id
			r.update(func() {
				r.trace = append(r.trace, element{step: step, event: e, ok: true})
				r.kept = append(r.kept, id)
			})
		}
	}
	there := func() bool {
		return r.until(ctx.Done(), "the subscription's beginning", func() bool { return r.joined })
	}
	for i, s := range r.Steps {
		switch s.Do {
		case doYield:
			s.Event.ID = ""
			give(i, s.Event, false)
		case doBad:
			give(i, s.Event, true)
		case doFlood:
			n := 0
			r.flood(i, func(e core.Event) bool {
				if n++; n <= 200 && !(r.narrow() && n > 10) {
					e.ID = ""
					give(i, e, false)
				}
				return ctx.Err() == nil
			})
		case doKick:
			if there() {
				r.kick()
				r.hub.Kick("topic")
			}
		case doShutdownHub:
			if there() {
				r.kick()
				r.spawn(r.shutdownHub)
				r.until(ctx.Done(), "the end of the subscription by Hub.Shutdown", func() bool { return false })
			}
		default:
			r.step(ctx, i)
		}
	}
	if there() {
		r.kick()
		r.hub.Kick("topic")
		r.until(ctx.Done(), "the end of the subscription by Kick", func() bool { return false })
	}
}

// kick records how many events the subscription must get.
func (r *trial) kick() {
	r.oweReader("the end that its hub has given it")
	r.update(func() {
		if r.kicked < 0 {
			r.kicked = len(r.kept)
		}
	})
}

// flood yields until yield returns false, and reports whether it has. It does nothing if
// that might never happen.
func (r *trial) flood(step int, yield func(core.Event) bool) bool {
	if !r.ends(step) && !r.floods(step) {
		return false
	}
	size := 8 << 10
	if r.narrow() {
		size = r.Client.Window
	}
	e := core.Event{ID: "flood", Data: strings.Repeat("~", size)}
	noise := rand.New(rand.NewPCG(r.Seed, 1)) //nolint:gosec // not a secret
	begin := time.Now()
	for n := 0; time.Since(begin) < r.limit; n++ {
		if r.zips() { // otherwise it would be next to nothing
			e.Data = printable(noise, size)
		}
		if !yield(e) {
			return true
		}
		if n > 100 {
			r.pause(time.Millisecond)
		}
	}
	r.problemf("step %d: yield returns true for %v, though the stream cannot continue", step, r.limit)
	return false
}

// step runs a step that yields nothing.
func (r *trial) step(ctx context.Context, i int) {
	s := r.Steps[i]
	switch s.Do {
	case doWait:
		timer := time.NewTimer(s.D)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	case doIgnore:
		r.pause(s.D)
	case doAwait:
		if r.ends(i) {
			r.until(ctx.Done(), fmt.Sprintf("the end of the context in step %d", i), func() bool { return false })
		}
	case doSeen:
		if r.delivers() {
			r.awaitSeen(ctx, i)
		}
	case doBeat:
		if r.reads() && 0 < r.Heartbeat && r.Heartbeat < time.Second {
			r.mu.Lock()
			want := r.strip.beats + 1
			if r.Beat != none {
				want++ // the first may be the opening
			}
			r.mu.Unlock()
			r.until(ctx.Done(), fmt.Sprintf("a heartbeat in step %d", i), func() bool { return r.strip.beats >= want || r.done })
		}
	case doLeave:
		if r.Client.After < 0 {
			r.leave()
		}
	case doShutdown:
		r.owe("a shutdown", time.Now())
		r.spawn(r.shutdownGroup)
	case doShutdownInside:
		r.owe("a shutdown", time.Now())
		done, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.group.Shutdown(done)
	case doShutdownServer:
		r.spawn(r.shutdownServer)
	}
}

// delivers reports whether events reach the client while the program waits.
func (r *trial) delivers() bool { return r.reads() && r.FlushWindow < time.Second }

func (r *trial) awaitSeen(ctx context.Context, step int) {
	want := 0
	r.mu.Lock()
	for _, e := range r.trace {
		if e.ok {
			want += len(encode(e.event))
		}
	}
	r.mu.Unlock()
	if r.gapFails() || r.Source != generator && r.Bound > 0 {
		return // the client may never have it
	}
	r.until(ctx.Done(), fmt.Sprintf("the client to have everything that was yielded before step %d", step), func() bool {
		return len(r.strip.whole) >= want || r.done || r.left
	})
}
