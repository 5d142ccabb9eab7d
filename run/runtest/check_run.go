package runtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/run"
)

// begun is a run that goes on, which has yielded "one" and "two", and its stream.
func (f *fixture) begun(r *run.Runner, key string) (*script, core.Stream) {
	f.Helper()
	var (
		s      *script
		stream core.Stream
	)
	f.until("a run begins", func() bool { // a slow server may answer too late
		s = f.script()
		ctx, refused := request(f, "")
		stream = r.Start(ctx, key, s.generate, run.WithStarter("ann"), run.WithExclusive())
		return refused() == 0
	})
	s.say("one", "two")
	f.until("two events", func() bool {
		state, err := r.Get(soon(f), key)
		return err == nil && state.Events == 2
	})
	return s, stream
}

// reading reads a stream in a goroutine. It returns a function that waits for the event with
// some data, and one that waits for the end.
func (f *fixture) reading(stream core.Stream) (until func(word string) (id string), end func() ([]core.Event, error)) {
	var (
		mu     sync.Mutex
		events []core.Event
		failed error
	)
	over := make(chan bool)
	go func() {
		defer close(over)
		for e, err := range stream {
			mu.Lock()
			if err != nil {
				failed = err
			} else {
				events = append(events, e)
			}
			mu.Unlock()
		}
	}()
	until = func(word string) (id string) {
		f.Helper()
		f.until("an event "+word, func() bool {
			mu.Lock()
			defer mu.Unlock()
			i := slices.IndexFunc(events, func(e core.Event) bool { return e.Data == word })
			if i >= 0 {
				id = events[i].ID
			}
			return i >= 0
		})
		return id
	}
	return until, func() ([]core.Event, error) {
		f.Helper()
		select {
		case <-over:
		case <-soon(f).Done():
			f.Fatal("the stream does not end")
		}
		return events, failed
	}
}

// A watched run has a reader in its own process, here, and one in another process, there.
type watched struct {
	*script
	seen        func(word string) (id string)           // waits until the reader there has received an event
	here, there func() (events []core.Event, err error) // wait for the end of the reader's stream
}

// watched begins the run "x" in process a. The reader in process b has received "one" and "two".
func (f *fixture) watched(a, b *run.Runner) *watched {
	f.Helper()
	s, stream := f.begun(a, "x")
	_, here := f.reading(stream)
	seen, there := f.reading(b.Attach(soon(f), "x"))
	seen("two")
	return &watched{s, seen, here, there}
}

// ends waits for the ends of both streams, which must be the same. If they are clean, so must be the events.
func (f *fixture) ends(x *watched, end error) (here, there []core.Event) {
	f.Helper()
	here, err := x.here()
	f.isError("the end here", err, end)
	there, err = x.there()
	f.isError("the end there", err, end)
	if end == nil {
		f.equal("events there", there, here)
	}
	return here, there
}

// Readers in other processes get what readers in the run's own process get, with the same IDs.
func checkAttach(f *fixture) {
	a, b := f.pair()
	x := f.watched(a, b)
	own, _ := a.Get(soon(f), "x")
	running, err := b.Get(soon(f), "x")
	if err != nil || running.ID != own.ID || running.Starter != "ann" || running.Events != 2 || running.Bytes != own.Bytes ||
		!running.Ended.IsZero() || running.Err != nil || running.Started.Sub(own.Started).Abs() > patience {
		f.Errorf("got the state %+v, %v, want %+v", running, err, own)
	}
	ctx, _ := request(f, x.seen("one"))
	again, resumed := f.reading(b.Attach(ctx, "x"))
	again("two")
	x.say("three")
	last := x.seen("three")
	ctx, _ = request(f, last)
	_, rest := f.reading(b.Attach(ctx, "x"))
	x.events <- "" // empty data
	x.say("five\nlines")
	close(x.events)
	want, _ := f.ends(x, nil)
	f.equal("words", words(want), []string{"one", "two", "three", "", "five\nlines"})
	for from, end := range map[int]func() ([]core.Event, error){1: resumed, 3: rest} {
		got, err := end()
		f.isError("there", err, nil)
		f.equal(fmt.Sprint("events from ", from), got, want[from:])
	}
	got, err := b.Get(soon(f), "x")
	if err != nil || got.Events != 5 || got.Starter != "ann" || got.Err != nil || !strings.HasPrefix(last, got.ID) ||
		got.Bytes <= running.Bytes || !got.Started.Equal(running.Started) || got.Ended.Before(got.Started) {
		f.Errorf("got the state %+v, %v", got, err)
	}
	states, err := b.List(soon(f))
	if err != nil || len(states) != 1 || states[0] != got {
		f.Errorf("got the states %+v, %v", states, err)
	}
}

// What has ended is held for all processes.
func checkAttachLate(f *fixture) {
	a, b := f.pair()
	s, stream := f.begun(a, "x")
	close(s.events)
	want, err := collect(stream)
	f.isError("here", err, nil)
	for _, r := range []*run.Runner{a, b} {
		got, err := collect(r.Attach(soon(f), "x"))
		f.isError("late", err, nil)
		f.equal("events", got, want)
		ctx, _ := request(f, want[0].ID)
		got, err = collect(r.Attach(ctx, "x"))
		f.isError("resumed", err, nil)
		f.equal("events", got, want[1:])
		ctx, refused := request(f, want[1].ID)
		r.Attach(ctx, "x")
		f.equal("status for one that has all", refused(), 204)
		ctx, refused = request(f, "")
		r.Attach(ctx, "x", run.WithOnlyRunning())
		f.equal("status for one that wants what runs", refused(), 204)
		ctx, refused = request(f, "")
		r.Attach(ctx, "none")
		f.equal("status for no run", refused(), 204)
		ctx, refused = request(f, want[1].ID)
		r.Attach(ctx, "none")
		f.equal("status for no run, with an ID", refused(), 410)
	}
	// A new run takes its place everywhere.
	s, _ = f.begun(b, "x")
	until, _ := f.reading(a.Attach(soon(f), "x"))
	if id := until("two"); strings.HasPrefix(id, want[0].ID[:8]) {
		f.Errorf("got %s, which is of the old run", id)
	}
	close(s.events)
}

// A client with the ID of an event that the run has never had is told of a gap, and not only when the lease ends.
func checkBeyond(f *fixture) {
	a, b := f.pair()
	x := f.watched(a, b)
	ctx, refused := request(f, x.seen("one")+"000")
	until, there := f.reading(b.Attach(ctx, "x"))
	until("two")
	close(x.events)
	want, _ := f.ends(x, nil)
	got, err := there()
	f.isError("there", err, nil)
	f.equal("status", refused(), 0)
	if len(got) == 0 || got[0].Type != "gap" {
		f.Fatalf("got %+v, want a gap first", got)
	}
	f.equal("events", got[1:], want)
}

// There is one run for a key, whoever starts it.
func checkOneRun(f *fixture) {
	a, b := f.pair()
	s, stream := f.begun(a, "x")
	never := func(context.Context) core.Stream { panic("a second generator") }
	ctx, refused := request(f, "")
	b.Start(ctx, "x", never, run.WithExclusive())
	f.equal("status of an exclusive one", refused(), 409)
	_, joined := f.reading(b.Start(soon(f), "x", never))
	_, again := f.reading(a.Start(soon(f), "x", never))
	s.say("three")
	close(s.events)
	want, err := collect(stream)
	f.isError("here", err, nil)
	for _, end := range []func() ([]core.Event, error){joined, again} {
		got, err := end()
		f.isError("joined", err, nil)
		f.equal("events", got, want)
	}
	// Many at once.
	var mu sync.Mutex
	var all sync.WaitGroup
	begun := map[string]int{}
	for round := range 5 {
		for _, r := range []*run.Runner{a, b, a, b} {
			all.Go(func() {
				key := fmt.Sprint("race", round)
				got, err := collect(r.Start(soon(f), key, func(context.Context) core.Stream {
					return func(yield func(core.Event, error) bool) {
						mu.Lock()
						begun[key]++
						e := core.Event{Data: fmt.Sprint(begun[key])}
						mu.Unlock()
						if yield(e, nil) {
							yield(e, nil)
						}
					}
				}))
				if err != nil || len(got) != 2 || got[0].Data != got[1].Data {
					f.Errorf("got %q, %v", words(got), err)
				}
			})
		}
	}
	all.Wait()
}

// How a run ends is told everywhere.
func checkEnds(f *fixture) {
	a, b := f.pair()
	failure := errors.New("the model is overloaded")
	s, _ := f.begun(a, "x")
	_, there := f.reading(b.Attach(soon(f), "x"))
	s.failWith(failure)
	got, err := there()
	if err == nil || err.Error() != failure.Error() {
		f.Errorf("got the error %v, want %v", err, failure)
	}
	f.equal("events", words(got), []string{"one", "two"})
	if state, err := b.Get(soon(f), "x"); err != nil || state.Err == nil || state.Err.Error() != failure.Error() {
		f.Errorf("got %+v, %v", state, err)
	}

	f.begun(a, "y")
	_, there = f.reading(b.Attach(soon(f), "y"))
	ctx, cancel := context.WithCancel(soon(f))
	cancel()
	_ = a.Shutdown(ctx) // returns when the store knows
	if state, err := b.Get(soon(f), "y"); err != nil || !errors.Is(state.Err, core.ErrShutdown) {
		f.Errorf("after a shutdown: got %+v, %v", state, err)
	}
	_, err = there()
	f.isError("after a shutdown", err, core.ErrShutdown)
}

// A run is stopped by any process.
func checkStop(f *fixture) {
	a, b := f.pair()
	f.isError("stop no run", b.Stop(soon(f), "x"), run.ErrNotHeld)
	for _, last := range [][]core.Event{nil, {{Type: "stopped", Data: "by the user"}, {}}} {
		x := f.watched(a, b)
		f.isError("stop", b.Stop(soon(f), "x", last...), nil)
		f.isError("the generator's cause", x.cause(), run.ErrStopped)
		end := run.ErrStopped
		if last != nil {
			end = nil
		}
		here, there := f.ends(x, end)
		f.equal("events here", len(here), 2+len(last))
		f.equal("events there", there, here)
		if last != nil {
			f.equal("the last event but one", here[2].Type, "stopped")
		}
		state, err := b.Get(soon(f), "x")
		f.isError("get", err, nil)
		f.isError("the state", state.Err, run.ErrStopped)
		f.isError("stop again", b.Stop(soon(f), "x"), nil)
	}
	f.begun(a, "y")
	if err := b.Stop(soon(f), "y", core.Event{ID: "7"}); err == nil {
		f.Error("an event with an ID was accepted")
	}
}

// When a process has died, the readers of its runs are told everywhere, within the lease and a second.
func checkDeath(f *fixture) {
	const slowMachine = 20 * time.Second
	a, die := f.process(run.WithLease(middle))
	b, _ := f.process()
	x := f.watched(a, b)
	died := time.Now()
	die()
	_, got := f.ends(x, run.ErrLost)
	if took, most := time.Since(died), middle+time.Second+slowMachine; took > most {
		f.Errorf("the readers were told after %v, want at most %v", took, most)
	}
	f.equal("events", words(got), []string{"one", "two"})
	late, err := collect(b.Attach(soon(f), "x"))
	f.isError("late", err, run.ErrLost)
	f.equal("events", late, got)
	ctx, refused := request(f, got[0].ID[:9]+"3") // an event that only readers there have seen
	_, err = collect(b.Attach(ctx, "x"))
	f.isError("ahead of the store", err, run.ErrLost)
	f.equal("status", refused(), 410)
	s, stream := f.begun(b, "x")
	close(s.events)
	got, err = collect(stream)
	f.isError("a new run", err, nil)
	f.equal("events", words(got), []string{"one", "two"})
}

// A process that cannot reach the server for the time of the lease has lost its runs, and says so as
// others do.
func checkStall(f *fixture) {
	if f.Addr == "" {
		f.Skip("there is no network")
	}
	proxy := hubtest.NewProxy(f, f.Addr)
	a, _ := f.processAt(proxy.Addr, run.WithLease(middle))
	b, _ := f.process()
	x := f.watched(a, b)
	proxy.Stall(true, true)
	f.ends(x, run.ErrLost)
	f.isError("the generator's cause", x.cause(), run.ErrLost)
	proxy.Resume()
	f.until("it can read again", func() bool {
		state, err := a.Get(soon(f), "x")
		return err == nil && errors.Is(state.Err, run.ErrLost)
	})
}

// Connections that break do no harm.
func checkCut(f *fixture) {
	if f.Addr == "" {
		f.Skip("there is no network")
	}
	proxy := hubtest.NewProxy(f, f.Addr)
	a, _ := f.processAt(proxy.Addr)
	b, _ := f.processAt(proxy.Addr)
	x := f.watched(a, b)
	want := []string{"one", "two"}
	for i := range 20 {
		proxy.Cut()
		want = append(want, fmt.Sprint("word ", i))
		x.say(want[len(want)-1])
	}
	x.seen(want[len(want)-1])
	proxy.Cut()
	close(x.events)
	got, _ := f.ends(x, nil)
	f.equal("events", words(got), want)
}

// While the server is down, a run goes on. Nothing of it is missing later.
func checkKill(f *fixture) {
	if f.Kill == nil || f.Restart == nil {
		f.Skip("the server cannot be killed")
	}
	a, b := f.pair()
	x := f.watched(a, b)
	f.Kill()
	x.say("three", "four")
	f.Restart()
	x.say("five")
	x.seen("five")
	close(x.events)
	got, _ := f.ends(x, nil)
	f.equal("events", words(got), []string{"one", "two", "three", "four", "five"})
}

// If the store has lost the run, all are told.
func checkEmpty(f *fixture) {
	if f.Kill == nil || f.RestartEmpty == nil {
		f.Skip("the server cannot be emptied")
	}
	a, b := f.pair()
	x := f.watched(a, b)
	f.Kill()
	f.RestartEmpty()
	x.say("three")
	f.ends(x, run.ErrLost)
}
