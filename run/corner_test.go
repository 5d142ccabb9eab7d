package run_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

// refusal returns the status with which a view is refused, or 0.
func refusal(t *testing.T, lastEventID string, view func(ctx context.Context) core.Stream) int {
	t.Helper()
	s, err := host.NewSession(t.Context(), core.Request{LastEventID: lastEventID})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(nil)
	view(s.Context())
	if refused, ok := errors.AsType[*core.RefusedError](s.Refused()); ok {
		return refused.Status
	}
	return 0
}

// stubborn returns a generator that does not obey, until it is released.
func stubborn() (generate func(context.Context) core.Stream, release func()) {
	ch := make(chan struct{})
	return func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "one"}, nil)
			<-ch
		}
	}, sync.OnceFunc(func() { close(ch) })
}

// A generator may stop its own run. It cannot shut its runner down.
func TestOwnGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		errs := make(chan error, 2)
		stream := r.Start(t.Context(), "x", func(ctx context.Context) core.Stream {
			return func(func(core.Event, error) bool) {
				errs <- r.Shutdown(ctx)
				errs <- r.Stop(ctx, "x", core.Event{Data: "enough"})
			}
		})
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "wait for it") {
			t.Errorf("Shutdown: got %v", err)
		}
		isError(t, <-errs, nil)
		got, err := collect(stream)
		isError(t, err, nil)
		equal(t, "events", got, []string{"enough"})
	})
}

// Shutdown says which generators still run, also of runs that were stopped before.
func TestShutdownOfStubbornGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		generate, release := stubborn()
		defer release()
		r.Start(t.Context(), "x", generate)
		isError(t, r.Stop(ended(), "x"), context.Canceled)
		err := r.Shutdown(ended())
		cut, ok := errors.AsType[*run.ShutdownError](err)
		if !ok || !slices.Equal(cut.Keys, []string{"x"}) || !strings.Contains(err.Error(), `1 run had not finished ("x")`) {
			t.Errorf("got the error %v", err)
		}
		isError(t, state(t, &r, "x").Err, run.ErrStopped)
		release()
		isError(t, r.Shutdown(t.Context()), nil)
	})
}

// All calls of Shutdown wait, and end what runs when the first of them may not wait longer.
func TestShutdowns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		r.Start(t.Context(), "x", never)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { isError(t, r.Shutdown(t.Context()), nil) })
		all.Go(func() { isError(t, r.Shutdown(ctx), context.DeadlineExceeded) })
		all.Wait()
		isError(t, state(t, &r, "x").Err, core.ErrShutdown)
	})
}

// While a runner shuts down, whoever sends a request again joins what still runs.
func TestJoinInShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		s := newScript()
		r.Start(t.Context(), "x", s.generate)
		var all sync.WaitGroup
		all.Go(func() { isError(t, r.Shutdown(t.Context()), nil) })
		synctest.Wait()
		joined := r.Start(t.Context(), "x", never)
		equal(t, "status of another", refusal(t, "", func(ctx context.Context) core.Stream { return r.Start(ctx, "y", never) }), 503)
		s.say("one")
		close(s.events)
		got, err := collect(joined)
		isError(t, err, nil)
		equal(t, "events", got, []string{"one"})
		all.Wait()
	})
}

// A run that was ended by a shutdown is broken off on the wire.
func TestShutdownOnTheWire(t *testing.T) {
	discardLog(t)
	for _, mode := range []string{"", "?detach"} {
		var r run.Runner
		s := newScript()
		url := serve(t, &r, s.generate) + "/x" + mode
		stream := post(t, url)
		s.say("one")
		want(t, stream, "one")
		_ = r.Shutdown(ended())
		if events, err := stream.Rest(); err == nil {
			t.Errorf("%s: got %v and a clean end", mode, events)
		}
	}
}

// What is stopped with an event ends cleanly, so a client that has everything is done.
func TestStopIsAnEnd(t *testing.T) {
	var r run.Runner
	s := newScript()
	url := serve(t, &r, s.generate) + "/x"
	stream := post(t, url)
	s.say("one")
	first := stream.Next()
	isError(t, r.Stop(soon(t), "x", core.Event{Type: "stopped"}), nil)
	rest := stream.All()
	equal(t, "events", len(rest), 1)
	equal(t, "status", status(t, url, rest[0].ID), 204)
	equal(t, "status before the end", status(t, url, first.ID), 200)
}

// A run that has ended cleanly without events has nothing to send. An EventSource would
// otherwise come back again and again.
func TestEmptyRun(t *testing.T) {
	var r run.Runner
	url := serve(t, &r, all()) + "/x"
	post(t, url).All()
	equal(t, "status", status(t, url, ""), 204)
}

// A page that shows the stored answer resumes only what still runs.
func TestOnlyRunning(t *testing.T) {
	var r run.Runner
	s := newScript()
	whole := r.Start(soon(t), "x", s.generate)
	s.say("one")
	resume := func(ctx context.Context) core.Stream { return r.Attach(ctx, "x", run.WithOnlyRunning(), nil) }
	equal(t, "status while it runs", refusal(t, "", resume), 0)
	close(s.events)
	_, err := collect(whole)
	isError(t, err, nil)
	equal(t, "status after the end", refusal(t, "", resume), 204)
	if got := refusal(t, state(t, &r, "x").ID+"-0", resume); got != 0 { // it lacks the event
		t.Errorf("with a last event ID: got status %d, want a stream", got)
	}
}

func TestWithEnded(t *testing.T) {
	discardLog(t)
	synctest.Test(t, func(t *testing.T) {
		var states []run.State
		r := run.New(run.WithRetention(0), run.WithEnded(nil), run.WithEnded(func(s run.State) {
			states = append(states, s)
			panic("the hook's own fault")
		}))
		_, _ = collect(r.Start(t.Context(), "x", all("one"), run.WithStarter("ann")))
		synctest.Wait()
		r.Start(t.Context(), "y", never)
		isError(t, r.Stop(t.Context(), "y"), nil)
		if len(states) != 2 || states[0].Key != "x" || states[0].Events != 1 || states[0].Err != nil || states[0].Starter != "ann" ||
			states[0].Ended.IsZero() || states[1].Key != "y" || !errors.Is(states[1].Err, run.ErrStopped) {
			t.Errorf("got %+v", states)
		}
		equal(t, "runs", len(list(t, r)), 0)
	})
}

// A generator that does not obey does not hold its run for longer than others, and there is
// no second one with its key.
func TestStubbornGeneratorIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithRetention(time.Minute), run.WithMaxRuns(2), run.WithMaxDuration(time.Minute))
		generate, release := stubborn()
		defer release()
		stream := r.Start(t.Context(), "x", generate)
		time.Sleep(time.Minute + time.Second) //nolint:forbidigo // in a synctest bubble
		got, err := collect(stream)
		wantLimit(t, err)
		equal(t, "events", got, []string{"one"})
		time.Sleep(time.Minute) //nolint:forbidigo // in a synctest bubble
		_, err = r.Get(t.Context(), "x")
		isError(t, err, run.ErrNotHeld)
		isError(t, r.Stop(t.Context(), "x"), run.ErrNotHeld)
		_, err = collect(r.Start(t.Context(), "y", all("one")))
		isError(t, err, nil)

		equal(t, "status", refusal(t, "", func(ctx context.Context) core.Stream { return r.Start(ctx, "x", never) }), 503)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = collect(r.Start(ctx, "x", never))
		isError(t, err, context.DeadlineExceeded)
		release()
	})
}

// A run that has ended is not ended again by its timers, and its memory goes with it.
func TestTimersStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithMaxDuration(time.Minute), run.WithRetention(time.Hour))
		_, _ = collect(r.Start(t.Context(), "x", all("one")))
		time.Sleep(2 * time.Minute) //nolint:forbidigo // in a synctest bubble
		isError(t, state(t, r, "x").Err, nil)
	})
	var r run.Runner
	gone := make(chan bool)
	func() {
		big := new([1 << 20]byte)
		runtime.AddCleanup(big, func(ch chan bool) { close(ch) }, gone)
		_, _ = collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
			return func(yield func(core.Event, error) bool) { yield(core.Event{Data: string(big[:3])}, nil) }
		}))
	}()
	for range 100 { // the run is still held, and its generator is not
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("a run that has ended holds its generator")
}

// Some hosts reuse the memory of a request's strings.
func TestStringsAreCopied(t *testing.T) {
	r := run.New(run.WithMaxRuns(1))
	b := []byte("x1")
	reused := unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // that is the test
	_, _ = collect(r.Start(soon(t), reused, all("one"), run.WithStarter(reused)))
	copy(b, "y2")
	_, err := collect(r.Start(soon(t), reused, all("one")))
	limit, ok := errors.AsType[*run.LimitError](err)
	copy(b, "z3")
	if !ok || limit.Key != "y2" {
		t.Errorf("got the error %v", err)
	}
	if got := state(t, r, "x1"); got.Key != "x1" || got.Starter != "x1" {
		t.Errorf("got %+v", got)
	}
}

func TestLimitError(t *testing.T) {
	for want, err := range map[string]run.LimitError{
		"as WithMaxRuns allows (10000)":     {Limit: run.LimitRuns, Max: 10_000},
		"all runs have 1 GiB already":       {Limit: run.LimitTotalBytes, Max: 1 << 30},
		"has more than 2 events":            {Limit: run.LimitEvents, Max: 2},
		"is larger than 16 MiB":             {Limit: run.LimitBytes, Max: 16 << 20},
		"is larger than 3 KiB":              {Limit: run.LimitBytes, Max: 3 << 10},
		"is larger than 1001 bytes":         {Limit: run.LimitBytes, Max: 1001},
		"has taken longer than 1h0m0s, see": {Limit: run.LimitDuration, Max: int64(time.Hour)},
	} {
		err.Key = "answer"
		if got := err.Error(); !strings.Contains(got, want) || !strings.HasPrefix(got, `run: "answer" `) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

// Each event counts with all of its text.
func TestBytes(t *testing.T) {
	var r run.Runner
	_, err := collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "a\nb", Type: "type"}, nil) && yield(core.Event{Comment: "comment"}, nil)
		}
	}))
	isError(t, err, nil)
	if got, text := state(t, &r, "x").Bytes, int64(len("a\nbtypecomment")); got <= text+2*90 || got > text+2*110 {
		t.Errorf("got %d bytes", got)
	}
}

// A bad event's error does not speak of what is inside.
func TestErrorsNameTheRun(t *testing.T) {
	for _, e := range []core.Event{{ID: "7"}, {Type: "a\nb"}} {
		var r run.Runner
		_, err := collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
			return func(yield func(core.Event, error) bool) { yield(e, nil) }
		}))
		if err == nil || !strings.HasPrefix(err.Error(), `run: "x": `) || strings.Contains(err.Error(), "hub") {
			t.Errorf("got the error %v", err)
		}
	}
	var r run.Runner
	s := post(t, serve(t, &r, never)+"/"+strings.Repeat("x", 256))
	if body := s.Body(); s.Status != http.StatusBadRequest || !strings.Contains(body, "256 bytes") {
		t.Errorf("got %d %q for a key that is too long", s.Status, body)
	}
}

// Runs that began at the same time are sorted by their keys.
func TestListTie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		for _, key := range []string{"c", "a", "b"} {
			r.Start(t.Context(), key, all())
		}
		var keys []string
		for _, s := range list(t, &r) {
			keys = append(keys, s.Key)
		}
		equal(t, "keys", keys, []string{"a", "b", "c"})
	})
}

// A Start gives its caller the run, even if that is over and dropped at once.
func TestStartOfShortRun(t *testing.T) {
	failure := errors.New("boom")
	r := run.New(run.WithRetention(0))
	for range 500 {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				got, err := collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
					return func(yield func(core.Event, error) bool) {
						_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{}, failure)
					}
				}))
				isError(t, err, failure)
				equal(t, "events", got, []string{"one"})
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
	}
}

// Whoever waits for a run's end waits for the functions that are told of it.
func TestWithEndedIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told sync.Map
		r := run.New(run.WithMaxDuration(time.Minute), run.WithEnded(func(s run.State) {
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
			told.Store(s.ID, true)
		}))
		wantTold := func(when string, id string) {
			t.Helper()
			if _, ok := told.Load(id); !ok {
				t.Errorf("%s returned before the function did", when)
			}
		}
		id := func() string { return state(t, r, "x").ID }

		r.Start(t.Context(), "x", never)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				isError(t, r.Stop(t.Context(), "x"), nil)
				wantTold("Stop", id())
			})
		}
		all.Wait()
		first := id()
		r.Start(t.Context(), "x", never)
		second := id()
		equal(t, "another run", first != second, true)
		time.Sleep(time.Minute + time.Millisecond) //nolint:forbidigo // in a synctest bubble
		r.Start(t.Context(), "x", never)
		wantTold("the next Start", second)

		for _, key := range []string{"a", "b", "c"} { // they are told at once
			r.Start(t.Context(), key, never)
		}
		began := time.Now()
		if err := r.Shutdown(ended()); err == nil {
			t.Error("Shutdown: got no error")
		}
		equal(t, "Shutdown took", time.Since(began), time.Second)
		for _, s := range list(t, r) {
			wantTold("Shutdown", s.ID)
			equal(t, "ended", s.Ended.Sub(began), 0*time.Second)
		}
	})
}

// A run that has ended before Shutdown's context ends is waited for, too.
func TestWithEndedIsWaitedForThen(t *testing.T) {
	for _, how := range []string{"the generator returns", "Stop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := false
				r := run.New(run.WithEnded(func(run.State) {
					time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
					told = true
				}))
				leave := make(chan struct{})
				r.Start(t.Context(), "x", func(ctx context.Context) core.Stream {
					return func(func(core.Event, error) bool) {
						select {
						case <-leave:
						case <-ctx.Done():
						}
					}
				})
				if how == "Stop" {
					go func() { _ = r.Stop(ended(), "x") }()
				} else {
					close(leave)
				}
				synctest.Wait()
				if err := r.Shutdown(ended()); err == nil || !told {
					t.Errorf("got %v and told %t, want an error after the function of WithEnded has returned", err, told)
				}
			})
		})
	}
}

// A failure ends the run at once, and the generator's context with it.
func TestFailureEndsContext(t *testing.T) {
	failure := errors.New("boom")
	for name, test := range map[string]struct {
		opt   run.Option
		yield func(yield func(core.Event, error) bool)
		want  func(error) bool
	}{
		"error": {
			nil,
			func(yield func(core.Event, error) bool) { yield(core.Event{}, failure) },
			func(err error) bool { return errors.Is(err, failure) },
		},
		"limit": {
			run.WithMaxEvents(1),
			func(yield func(core.Event, error) bool) {
				_ = yield(core.Event{Data: "1"}, nil) && yield(core.Event{Data: "2"}, nil)
			},
			func(err error) bool { _, ok := errors.AsType[*run.LimitError](err); return ok },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run.New(test.opt)
				causes := make(chan error, 1)
				_, err := collect(r.Start(t.Context(), "x", func(ctx context.Context) core.Stream {
					return func(yield func(core.Event, error) bool) {
						test.yield(yield)
						<-ctx.Done() // as workers do for which it waits
						causes <- context.Cause(ctx)
					}
				}))
				if !test.want(err) {
					t.Errorf("got the error %v", err)
				}
				if err := <-causes; !test.want(err) {
					t.Errorf("got the cause %v", err)
				}
			})
		})
	}
}

// What makes an event longer on the wire counts.
func TestBytesOnTheWire(t *testing.T) {
	for _, text := range []string{"\n", "\r", "\xff", "\r\n"} {
		long := strings.Repeat(text, 10_000)
		for _, e := range []core.Event{{Data: long}, {Comment: long}} {
			wire, err := e.AppendText(nil)
			isError(t, err, nil)
			var r run.Runner
			_, err = collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) { yield(e, nil) }
			}))
			isError(t, err, nil)
			if got := state(t, &r, "x").Bytes; got < int64(len(wire)) {
				t.Errorf("%q: counted %d bytes, but there are %d", text, got, len(wire))
			}
		}
	}
}

// A client of a run that has failed is not told that it has seen all of the next one.
func TestEmptyRunAfterAnother(t *testing.T) {
	var r run.Runner
	resume := func(ctx context.Context) core.Stream { return r.Attach(ctx, "x") }
	_, _ = collect(r.Start(soon(t), "x", func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{}, errors.New("boom"))
		}
	}))
	before := state(t, &r, "x").ID + "-1"
	_, _ = collect(r.Start(soon(t), "x", all()))
	equal(t, "status", refusal(t, before, resume), 0)
	stream := ssetest.Request{URL: serve(t, &r, never) + "/x", Header: http.Header{"Last-Event-Id": {before}}}.Open(t)
	events := stream.All()
	if len(events) != 1 || events[0].Type != "gap" {
		t.Fatalf("got %+v, want a gap event", events)
	}
	equal(t, "status after the gap", refusal(t, events[0].ID, resume), 204)
}

// Each function is told, whatever another one does.
func TestWithEndedTwice(t *testing.T) {
	discardLog(t)
	for name, stop := range map[string]func(){"panic": func() { panic("one") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				r := run.New(
					run.WithEnded(func(run.State) { stop() }),
					run.WithEnded(func(run.State) { told++ }),
				)
				r.Start(t.Context(), "x", all())
				isError(t, r.Shutdown(t.Context()), nil)
				equal(t, "told", told, 1)
			})
		})
	}
}

// Generators that do not obey count as runs, also when they were dropped.
func TestStubbornGeneratorsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithMaxRuns(2), run.WithRetention(0))
		generate, release := stubborn()
		for _, key := range []string{"a", "b"} {
			r.Start(t.Context(), key, generate)
			synctest.Wait()
			_ = r.Stop(ended(), key)
		}
		equal(t, "held", len(list(t, r)), 0)
		_, err := collect(r.Start(t.Context(), "c", all("one")))
		wantLimit(t, err)
		release()
		synctest.Wait()
		_, err = collect(r.Start(t.Context(), "c", all("one")))
		isError(t, err, nil)
	})
}

// The events of Stop may exceed the bounds, so that a full run can be ended with them.
func TestStopOfFullRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithMaxEvents(1))
		stream := r.Start(t.Context(), "x", func(ctx context.Context) core.Stream {
			return func(yield func(core.Event, error) bool) {
				if yield(core.Event{Data: "one"}, nil) {
					<-ctx.Done()
				}
			}
		})
		synctest.Wait()
		isError(t, r.Stop(t.Context(), "x", core.Event{Data: "stopped"}), nil)
		got, err := collect(stream)
		isError(t, err, nil)
		equal(t, "events", got, []string{"one", "stopped"})
		isError(t, state(t, r, "x").Err, run.ErrStopped)
	})
}
