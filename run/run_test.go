package run_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A run goes on while nobody reads, and who comes back or joins gets all of it.
func TestReload(t *testing.T) {
	for _, mode := range []string{"", "?detach"} {
		t.Run("mode"+mode, func(t *testing.T) {
			var r run.Runner
			s := newScript()
			url := serve(t, &r, s.generate) + "/chat" + mode
			first := post(t, url)
			s.say("one", "two")
			want(t, first, "one", "two")
			first.Close()
			s.say("three")
			reloaded := ssetest.Open(t, url) // without an ID, as a page that was reloaded
			want(t, reloaded, "one", "two", "three")
			joined := post(t, url)
			want(t, joined, "one", "two", "three")
			joined.Resume()
			s.say("four")
			want(t, joined, "four")
			close(s.events)
			rest := reloaded.All()
			equal(t, "the rest", len(rest), 1)
			equal(t, "the rest of the other", len(joined.All()), 0)

			// It is held after its end, and ends alike.
			late := ssetest.Open(t, url).All()
			equal(t, "events, later", len(late), 4)
			equal(t, "status for a client that has everything", status(t, url, late[3].ID), 204)
			if got := status(t, url, late[2].ID); got != 200 {
				t.Errorf("status for a client that lacks an event: got %d, want 200", got)
			}
			got := state(t, &r, "chat")
			if got.Err != nil || got.Ended.IsZero() || got.Events != 4 || got.Bytes != int64(4*96+len("onetwothreefour")) || !strings.HasPrefix(late[0].ID, got.ID) {
				t.Errorf("got the state %+v", got)
			}
		})
	}
}

// Without a run there is nothing to attach to, and nothing to stop.
func TestNotHeld(t *testing.T) {
	var r run.Runner
	url := serve(t, &r, never)
	equal(t, "status", status(t, url+"/none", ""), 204)
	equal(t, "status for a client that may have only a part", status(t, url+"/none", "x-1"), 410)
	isError(t, r.Stop(t.Context(), "none"), run.ErrNotHeld)
	_, err := r.Get(t.Context(), "none")
	isError(t, err, run.ErrNotHeld)
	_, err = collect(r.Attach(t.Context(), "none"))
	isError(t, err, run.ErrNotHeld)
	equal(t, "runs", len(list(t, &r)), 0)
}

// A request that resumes does not begin a run.
func TestResumeDoesNotStart(t *testing.T) {
	var r run.Runner
	url := serve(t, &r, all("one")) + "/x?start"
	equal(t, "status", status(t, url, "x-1"), 410)
	events := ssetest.Open(t, url).All()
	equal(t, "events", len(events), 1)
	equal(t, "status after the end", status(t, url, events[0].ID), 204)
	equal(t, "runs", len(list(t, &r)), 1)
}

// The ID of another run is told of, and everything follows.
func TestOtherRun(t *testing.T) {
	var r run.Runner
	url := serve(t, &r, all("one")) + "/x"
	before := post(t, url).All()[0].ID
	post(t, url).All() // a new run
	events := ssetest.Request{URL: url, Header: http.Header{"Last-Event-Id": {before}}}.Open(t).All()
	if len(events) != 2 || events[0].Type != "gap" || !strings.Contains(events[0].Data, string(hub.GapRestarted)) || events[1].Data != "one" {
		t.Errorf("got %+v, want a gap and the event", events)
	}
}

func TestExclusive(t *testing.T) {
	var r run.Runner
	s := newScript()
	first := r.Start(t.Context(), "x", s.generate, run.WithStarter("ann"), nil)
	_, err := collect(r.Start(t.Context(), "x", never, run.WithExclusive()))
	isError(t, err, run.ErrRunning)
	url := ssetest.Serve(t, exclusive(&r))
	equal(t, "status", ssetest.Request{URL: url, Method: http.MethodPost}.Open(t).Status, 409)
	equal(t, "starter", state(t, &r, "x").Starter, "ann")
	close(s.events)
	_, err = collect(first)
	isError(t, err, nil)
	got, err := collect(r.Start(soon(t), "x", all("new"), run.WithExclusive())) // it has ended
	isError(t, err, nil)
	equal(t, "events", got, []string{"new"})
}

// How a run ends is how each of its streams ends, now and later.
func TestEnds(t *testing.T) {
	failure := errors.New("the model is overloaded")
	for name, test := range map[string]struct {
		generate func(context.Context) core.Stream
		want     func(error) bool
	}{
		"it returns": {all("one"), func(err error) bool { return err == nil }},
		"it fails": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{}, failure)
				}
			},
			func(err error) bool { return errors.Is(err, failure) },
		},
		"it fails with io.EOF": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{}, io.EOF)
				}
			},
			func(err error) bool { return errors.Is(err, io.EOF) },
		},
		"it panics": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					yield(core.Event{Data: "one"}, nil)
					panic(failure)
				}
			},
			func(err error) bool {
				p, ok := errors.AsType[*core.PanicError](err)
				return ok && errors.Is(err, failure) && strings.Contains(string(p.Stack), "TestEnds")
			},
		},
		"Goexit": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					yield(core.Event{Data: "one"}, nil)
					runtime.Goexit()
				}
			},
			func(err error) bool {
				p, ok := errors.AsType[*core.PanicError](err)
				return ok && p.Value == nil
			},
		},
		"it yields an ID": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{ID: "1"}, nil)
				}
			},
			func(err error) bool { return err != nil && strings.Contains(err.Error(), `"1"`) },
		},
		"it yields a bad event": {
			func(context.Context) core.Stream {
				return func(yield func(core.Event, error) bool) {
					_ = yield(core.Event{Data: "one"}, nil) && yield(core.Event{Type: "a\nb"}, nil)
				}
			},
			func(err error) bool { return err != nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			discardLog(t)
			var r run.Runner
			check := func(when string, s core.Stream) {
				t.Helper()
				got, err := collect(s)
				if !test.want(err) {
					t.Errorf("%s: got the error %v", when, err)
				}
				equal(t, when+": events", got, []string{"one"})
			}
			check("from the beginning", r.Start(soon(t), "x", test.generate))
			check("later", r.Attach(soon(t), "x"))
			if got := state(t, &r, "x"); !test.want(got.Err) || got.Ended.IsZero() {
				t.Errorf("got the state %+v", got)
			}

			url := serve(t, &r, test.generate)
			whole := test.want(nil)
			if _, err := ssetest.Open(t, url+"/x").Rest(); (err == nil) != whole {
				t.Errorf("on the wire: got the error %v, whole is %v", err, whole)
			}
			if _, err := ssetest.Open(t, url+"/x?detach").Rest(); (err == nil) != whole {
				t.Errorf("on the wire, detached: got the error %v, whole is %v", err, whole)
			}
			if !whole { // a client that has everything is told too, because it may not have been told before
				s := ssetest.Request{URL: url + "/x", Header: http.Header{"Last-Event-Id": {state(t, &r, "x").ID + "-1"}}}.Open(t)
				if events, err := s.Rest(); err == nil || len(events) > 0 {
					t.Errorf("after the last event: got status %d, %+v and the error %v, want a failure alone", s.Status, events, err)
				}
			}
			event := core.WithErrorEvent(func(err error) core.Event { return core.Event{Type: "failed"} })
			events := ssetest.Open(t, serve(t, &r, test.generate, event)+"/x").All()
			equal(t, "the end is told", events[len(events)-1].Type == "failed", !whole)
		})
	}
}

func TestNoGenerator(t *testing.T) {
	var r run.Runner
	for name, s := range map[string]core.Stream{
		"nil":          r.Start(t.Context(), "x", nil),
		"nil stream":   r.Start(soon(t), "y", func(context.Context) core.Stream { return nil }),
		"no key":       r.Start(t.Context(), "", never),
		"too long key": r.Start(t.Context(), strings.Repeat("x", 256), never),
	} {
		if _, err := collect(s); err == nil || !strings.HasPrefix(err.Error(), "run: ") {
			t.Errorf("%s: got the error %v", name, err)
		}
	}
	equal(t, "status without a key", ssetest.Request{URL: serve(t, &r, never), Method: http.MethodPost}.Open(t).Status, 400)
}

// Stop ends a run. Streams fail, because they have only a part, unless an event says so.
func TestStop(t *testing.T) {
	var r run.Runner
	for _, last := range [][]core.Event{nil, {{Type: "stopped", Data: "by Ann"}}} {
		s := newScript()
		r.Start(t.Context(), "x", s.generate)
		s.say("one")
		stream := pull(t, r.Attach(soon(t), "x"))
		if _, err, ok := stream(); !ok || err != nil {
			t.Fatalf("got %v, %t, want an event", err, ok)
		}
		isError(t, r.Stop(soon(t), "x", last...), nil)
		isError(t, <-s.ended, run.ErrStopped)
		isError(t, state(t, &r, "x").Err, run.ErrStopped)
		e, err, _ := stream()
		if last == nil {
			isError(t, err, run.ErrStopped)
		} else {
			equal(t, "the last event", e.Data, "by Ann")
			_, err, ok := stream()
			isError(t, err, nil)
			equal(t, "more", ok, false)
		}
		isError(t, r.Stop(soon(t), "x"), nil) // it has ended
	}
}

// An event that cannot be added to a run that is stopped does not pass unnoticed.
func TestStopWithBadEvent(t *testing.T) {
	var r run.Runner
	s := r.Start(soon(t), "x", never)
	err := r.Stop(soon(t), "x", core.Event{Type: "a\nb"})
	if err == nil {
		t.Fatal("got no error")
	}
	if _, end := collect(s); end == nil || end.Error() != err.Error() {
		t.Errorf("the stream ends with %v, want %v", end, err)
	}
}

// There is one generator for a key at a time, even if it does not obey.
func TestStubbornGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		release := make(chan struct{})
		stubborn := func(context.Context) core.Stream {
			return func(yield func(core.Event, error) bool) {
				<-release
				yield(core.Event{Data: "too late"}, nil)
			}
		}
		old := r.Start(t.Context(), "x", stubborn)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		isError(t, r.Stop(ctx, "x"), context.DeadlineExceeded)
		_, err := collect(old)
		isError(t, err, run.ErrStopped)

		began := time.Now()
		_, err = collect(r.Start(t.Context(), "x", all("new")))
		if err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("got the error %v after %v, want one after 10 s", err, time.Since(began))
		}
		time.AfterFunc(time.Second, func() { close(release) })
		got, err := collect(r.Start(t.Context(), "x", all("new")))
		isError(t, err, nil)
		equal(t, "events", got, []string{"new"})
	})
}

// The context of a generator has nothing of the request's, and ends with the run.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var r run.Runner
		got := make(chan context.Context, 1)
		request, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		stream := r.Start(request, "x", func(ctx context.Context) core.Stream {
			got <- ctx
			return never(ctx)
		})
		cancel()
		_, err := collect(stream)
		isError(t, err, nil)
		ctx := <-got
		equal(t, "value", ctx.Value(key{}), nil)
		synctest.Wait()
		isError(t, ctx.Err(), nil)
		isError(t, r.Stop(t.Context(), "x"), nil)
		isError(t, context.Cause(ctx), run.ErrStopped)
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run.New(run.WithRetention(time.Minute))
		began := time.Now()
		_, err := collect(r.Start(t.Context(), "x", all("one")))
		isError(t, err, nil)
		attached := pull(t, r.Attach(t.Context(), "x"))
		time.Sleep(59 * time.Second) //nolint:forbidigo // in a synctest bubble
		equal(t, "started", state(t, r, "x").Started, began)
		time.Sleep(2 * time.Second) //nolint:forbidigo // in a synctest bubble
		_, err = r.Get(t.Context(), "x")
		isError(t, err, run.ErrNotHeld)
		e, _, _ := attached() // it has the run, held or not
		equal(t, "event", e.Data, "one")

		// A new run of the key has a retention of its own.
		_, _ = collect(r.Start(t.Context(), "x", all("one")))
		time.Sleep(40 * time.Second) //nolint:forbidigo // in a synctest bubble
		_, _ = collect(r.Start(t.Context(), "x", all("two")))
		time.Sleep(40 * time.Second) //nolint:forbidigo // in a synctest bubble
		got, err := collect(r.Attach(t.Context(), "x"))
		isError(t, err, nil)
		equal(t, "events", got, []string{"two"})

		r = run.New(run.WithRetention(0))
		_, err = collect(r.Start(t.Context(), "x", all("one")))
		isError(t, err, nil)
		synctest.Wait()
		equal(t, "runs", len(list(t, r)), 0)
	})
}

// What is beyond a bound is refused, and nothing is dropped.
func TestLimits(t *testing.T) {
	for name, test := range map[string]struct {
		opt  run.Option
		want int // events
	}{
		"events": {run.WithMaxEvents(2), 2},
		"bytes":  {run.WithMaxBytes(2*99 + 1), 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := run.New(test.opt)
			got, err := collect(r.Start(soon(t), "x", all("one", "two", "six")))
			wantLimit(t, err)
			equal(t, "events", len(got), test.want)
			wantLimit(t, state(t, r, "x").Err)
			_, err = collect(r.Start(soon(t), "y", all("one")))
			isError(t, err, nil)
		})
	}
	t.Run("total", func(t *testing.T) {
		r := run.New(run.WithMaxTotalBytes(8<<10 + 200))
		s := newScript()
		first := r.Start(soon(t), "x", s.generate)
		second := r.Start(soon(t), "y", all("one"))
		_, err := collect(r.Start(soon(t), "z", all("one")))
		wantLimit(t, err)
		s.say("one", "two") // what runs goes on
		close(s.events)
		got, err := collect(first)
		isError(t, err, nil)
		equal(t, "events", len(got), 2)
		_, err = collect(second)
		isError(t, err, nil)
		_, err = collect(r.Start(soon(t), "z", all("one")))
		wantLimit(t, err)
		_, err = collect(r.Start(soon(t), "x", all("one"))) // the old one makes room
		isError(t, err, nil)
	})
	t.Run("duration", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := run.New(run.WithMaxDuration(time.Minute))
			began := time.Now()
			_, err := collect(r.Start(t.Context(), "x", never))
			wantLimit(t, err)
			equal(t, "it took", time.Since(began), time.Minute)
		})
	})
	t.Run("runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := run.New(run.WithMaxRuns(2), run.WithRetention(time.Minute))
			_, _ = collect(r.Start(t.Context(), "1", all("one")))
			_, _ = collect(r.Start(t.Context(), "2", all("one")))
			_, err := collect(r.Start(t.Context(), "3", all("one")))
			wantLimit(t, err)
			_, err = collect(r.Start(t.Context(), "2", all("one"))) // takes the place of the old one
			isError(t, err, nil)
			time.Sleep(2 * time.Minute) //nolint:forbidigo // in a synctest bubble
			_, err = collect(r.Start(t.Context(), "3", all("one")))
			isError(t, err, nil)
		})
	})
	t.Run("total of one", func(t *testing.T) {
		for n, full := range map[int]bool{2: false, 3: true} {
			r := run.New(run.WithMaxTotalBytes(8<<10 + 2*99 + 1))
			_, err := collect(r.Start(soon(t), "x", all([]string{"one", "two", "six"}[:n]...)))
			isError(t, err, nil)
			_, err = collect(r.Start(soon(t), "y", all("one")))
			if limit, ok := errors.AsType[*run.LimitError](err); ok != full || full && limit.Limit != run.LimitTotalBytes {
				t.Errorf("with %d events: got the error %v, full is %t", n, err, full)
			}
		}
	})
	t.Run("total after the retention", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := run.New(run.WithMaxTotalBytes(1), run.WithRetention(time.Minute))
			for _, key := range []string{"x", "y", "z"} {
				_, err := collect(r.Start(t.Context(), key, all("one", "two")))
				isError(t, err, nil)
				time.Sleep(2 * time.Minute) //nolint:forbidigo // in a synctest bubble
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		r := run.New(run.WithMaxRuns(0), run.WithMaxEvents(0), run.WithMaxBytes(0), run.WithMaxTotalBytes(0), run.WithMaxDuration(0), nil)
		got, err := collect(r.Start(soon(t), "x", all("one", "two")))
		isError(t, err, nil)
		equal(t, "events", len(got), 2)
	})
	t.Run("status", func(t *testing.T) {
		r := run.New(run.WithMaxRuns(1))
		url := serve(t, r, all("one"))
		post(t, url+"/x").All()
		s := post(t, url+"/y")
		if s.Status != 503 || s.Header.Get("Retry-After") == "" {
			t.Errorf("got status %d and the headers %v, want 503 and a Retry-After", s.Status, s.Header)
		}
	})
}

func wantLimit(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*run.LimitError](err); !ok {
		t.Errorf("got the error %v, want a LimitError", err)
	}
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		for _, key := range []string{"c", "a", "b"} {
			r.Start(t.Context(), key, never)
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
		}
		var keys []string
		for _, s := range list(t, &r) {
			keys = append(keys, s.Key)
		}
		equal(t, "keys", keys, []string{"c", "a", "b"})
		_ = r.Shutdown(ended())
	})
}

// A shutdown waits for what runs, and says what it has cut off.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		s := newScript()
		stream := r.Start(t.Context(), "x", s.generate)
		time.AfterFunc(time.Minute, func() { close(s.events) })
		began := time.Now()
		isError(t, r.Shutdown(t.Context()), nil)
		equal(t, "it took", time.Since(began), time.Minute)
		_, err := collect(stream)
		isError(t, err, nil)
		_, err = collect(r.Start(t.Context(), "y", never))
		isError(t, err, core.ErrShutdown)
		isError(t, r.Shutdown(t.Context()), nil)
		_, err = collect(r.Attach(t.Context(), "x"))
		isError(t, err, run.ErrFinished) // it has no events
	})
	synctest.Test(t, func(t *testing.T) {
		var r run.Runner
		var streams []core.Stream
		for i := range 12 {
			streams = append(streams, r.Start(t.Context(), fmt.Sprintf("%02d", i), never))
		}
		err := r.Shutdown(ended())
		cut, ok := errors.AsType[*run.ShutdownError](err)
		if !ok || len(cut.Keys) != 12 || !slices.IsSorted(cut.Keys) || !errors.Is(err, context.Canceled) || len(err.Error()) > 200 {
			t.Errorf("got the error %v", err)
		}
		for _, s := range streams {
			_, err := collect(s)
			isError(t, err, core.ErrShutdown)
		}
	})
	var r run.Runner
	isError(t, r.Shutdown(t.Context()), nil)
	equal(t, "status", post(t, serve(t, &r, never)+"/x").Status, 503)
}

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
