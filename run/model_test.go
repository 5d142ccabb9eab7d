package run_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/run"
)

// A world is a runner to which random things happen. What a reader gets is compared with
// what the generators have yielded.
type world struct {
	t      *testing.T
	r      *run.Runner
	random *rand.Rand // of the test's goroutine alone

	mu    sync.Mutex
	runs  map[string]*told // by the run's name, which each of its events has
	gens  map[string]int   // how many generators of a key run
	count int
	heard []heard
}

// told is what a run has told its runner.
type told struct {
	yielded []string
	end     error // why it failed
}

// heard is what a reader has received.
type heard struct {
	key    string
	after  string // what it had seen before, if it resumes
	gap    bool   // it was told of a gap first
	events []string
	lastID string
	end    error
	left   bool // before the end
}

var (
	errModel   = errors.New("the model has failed")
	modelStops = core.Event{Type: "stopped", Data: "stopped"}
)

// generator returns a generator that yields some events and then ends somehow.
func (w *world) generator(key string) func(context.Context) core.Stream {
	w.count++
	name, n, kind := fmt.Sprintf("%s/%d", key, w.count), w.random.IntN(8), w.random.IntN(5)
	var waits []time.Duration
	for range n + 1 {
		waits = append(waits, time.Duration(w.random.IntN(3))*time.Second)
	}
	return func(ctx context.Context) core.Stream {
		one := new(told)
		w.mu.Lock()
		w.runs[name] = one
		if w.gens[key]++; w.gens[key] > 1 {
			w.t.Errorf("%d generators of %s run", w.gens[key], key)
		}
		w.mu.Unlock()
		return func(yield func(core.Event, error) bool) {
			defer func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.gens[key]--
			}()
			for i := range n {
				if !hosttest.Pause(ctx, waits[i]) {
					return
				}
				data := fmt.Sprintf("%s#%d", name, i)
				w.mu.Lock()
				one.yielded = append(one.yielded, data)
				w.mu.Unlock()
				if !yield(core.Event{Data: data}, nil) {
					w.mu.Lock()
					one.yielded = one.yielded[:len(one.yielded)-1]
					w.mu.Unlock()
					return
				}
			}
			if !hosttest.Pause(ctx, waits[n]) {
				return
			}
			switch kind {
			case 0:
				one.end = errModel
				yield(core.Event{}, errModel)
			case 1:
				one.end = errModel
				panic(errModel)
			}
		}
	}
}

// read reads a stream, and leaves it after some events.
func (w *world) read(h heard, s core.Stream, leave int) heard {
	for e, err := range s {
		if err != nil {
			h.end = err
			break
		}
		h.lastID = e.ID
		if e.Type == "gap" {
			if len(h.events) > 0 || h.gap {
				w.t.Errorf("a gap after %q", h.events)
			}
			h.gap = true
			continue
		}
		h.events = append(h.events, e.Data)
		if len(h.events) >= leave {
			h.left = true
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, h)
	return h
}

// readTwice reads a stream, and resumes it if it has left it.
func (w *world) readTwice(key string, s core.Stream, leave int, pause time.Duration) {
	h := w.read(heard{key: key}, s, leave)
	if !h.left {
		return
	}
	time.Sleep(pause) //nolint:forbidigo // in a synctest bubble
	session, err := host.NewSession(w.t.Context(), core.Request{LastEventID: h.lastID})
	if err != nil {
		w.t.Error(err)
		return
	}
	defer session.Close(nil)
	last := h.events[len(h.events)-1]
	w.read(heard{key: key, after: last}, w.r.Attach(session.Context(), key), 100)
}

// check compares what a reader has heard with what its run has told.
func (w *world) check(h heard) {
	got, end := h.events, h.end
	stopped := len(got) > 0 && got[len(got)-1] == modelStops.Data
	if stopped {
		got = got[:len(got)-1]
	}
	if refused := errors.Is(end, run.ErrNotHeld) || errors.Is(end, run.ErrFinished) || errors.Is(end, run.ErrRunning); refused {
		if len(h.events) > 0 || h.gap {
			w.t.Errorf("a reader got %q and is refused with %v", h.events, end)
		}
		return
	}
	if errors.Is(end, core.ErrShutdown) && len(h.events) == 0 { // refused, perhaps
		return
	}
	first := 0
	switch {
	case h.after == modelStops.Data: // it has seen the end, so this is another run
	case h.after != "" && !h.gap:
		name, number, _ := strings.Cut(h.after, "#")
		n, err := strconv.Atoi(number)
		if err != nil {
			w.t.Fatal(err)
		}
		first = n + 1
		if len(got) > 0 && !strings.HasPrefix(got[0], name+"#") {
			w.t.Errorf("after %q a reader got %q, and was told of no gap", h.after, got)
		}
	case h.after == "" && h.gap:
		w.t.Errorf("a reader that has seen nothing was told of a gap before %q", got)
	}
	for name, one := range w.runs {
		if strings.HasPrefix(name, h.key+"/") && w.fits(h, one, got, first, stopped) {
			return
		}
	}
	w.t.Errorf("%+v fits none of the runs of %s", h, h.key)
}

// fits reports whether a reader has heard what a run has told, from an event on.
func (w *world) fits(h heard, one *told, got []string, first int, stopped bool) bool {
	if first+len(got) > len(one.yielded) || !slices.Equal(got, one.yielded[first:first+len(got)]) {
		return false
	}
	whole := first+len(got) == len(one.yielded)
	switch {
	case h.left && !stopped:
		return true
	case !whole:
		return false
	case stopped:
		return h.left || h.end == nil
	case h.end == nil:
		return one.end == nil
	case errors.Is(h.end, run.ErrStopped), errors.Is(h.end, core.ErrShutdown):
		return true
	}
	return errors.Is(h.end, errModel) && one.end != nil
}

// Each reader gets one run from its beginning, or from where it has left it, without a hole, and
// if it waits for the end, all of it and the run's own end.
func TestModel(t *testing.T) {
	discardLog(t)
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{
				t: t, random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a seed repeats it
				r:    run.New(run.WithRetention(5 * time.Second)),
				runs: map[string]*told{}, gens: map[string]int{},
			}
			var readers sync.WaitGroup
			for range 40 {
				key := string("abc"[w.random.IntN(3)])
				leave := 1 + w.random.IntN(12)
				switch w.random.IntN(8) {
				case 0, 1, 2:
					var opts []run.StartOption
					if w.random.IntN(3) == 0 {
						opts = append(opts, run.WithExclusive())
					}
					pause := time.Duration(w.random.IntN(10)) * time.Second
					for range 1 + w.random.IntN(3) { // at once
						generate := w.generator(key)
						readers.Go(func() { w.readTwice(key, w.r.Start(t.Context(), key, generate, opts...), leave, pause) })
					}
				case 3, 4, 5:
					pause := time.Duration(w.random.IntN(10)) * time.Second
					readers.Go(func() { w.readTwice(key, w.r.Attach(t.Context(), key), leave, pause) })
				case 6:
					var last []core.Event
					if w.random.IntN(2) == 0 {
						last = append(last, modelStops)
					}
					if err := w.r.Stop(t.Context(), key, last...); err != nil && !errors.Is(err, run.ErrNotHeld) {
						t.Error(err)
					}
				case 7:
					time.Sleep(time.Duration(w.random.IntN(8)) * time.Second) //nolint:forbidigo // in a synctest bubble
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(w.random.IntN(20))*time.Second)
			defer cancel()
			err := w.r.Shutdown(ctx)
			cut, ok := errors.AsType[*run.ShutdownError](err)
			switch {
			case err != nil && (!ok || len(cut.Keys) == 0 || !slices.IsSorted(cut.Keys)):
				t.Error(err)
			case err == nil:
				w.mu.Lock()
				for key, n := range w.gens {
					if n > 0 {
						t.Errorf("Shutdown has returned nil, and a generator of %s runs", key)
					}
				}
				w.mu.Unlock()
			}
			readers.Wait()
			synctest.Wait()
			for _, h := range w.heard {
				w.check(h)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
