package run_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// nilError is an error whose methods panic if it is nil.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func (e *nilError) Unwrap() error { return errors.New(e.text) }

// fails is a generator that fails after one event.
func fails(err error) func(context.Context) core.Stream {
	return func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "one"}, nil) {
				yield(core.Event{}, err)
			}
		}
	}
}

// Whatever the error of a generator is, it is told in other processes.
func TestErrorsOfUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b, _ := shared(&m)
		for what, err := range map[string]error{
			"*run_test.nilError, has panicked": (*nilError)(nil),
			"xxxx":                             errors.New(strings.Repeat("x", 2<<20)),
			"\uFFFD!?":                         errors.New("\xff!?"),
		} {
			_, here := collect(a.Start(t.Context(), "x", fails(err)))
			got, there := collect(b.Attach(t.Context(), "x"))
			equal(t, "events", got, []string{"one"})
			if !errors.Is(here, err) {
				t.Errorf("%s: here it is another error", what)
			}
			if there == nil || !strings.Contains(there.Error(), what) || len(there.Error()) > 4<<10 || !utf8.ValidString(there.Error()) {
				t.Errorf("got %.100v, want %s", there, what)
			}
		}
	})
}

// An exitError ends the goroutine that wants its text.
type exitError struct{}

func (exitError) Error() string { runtime.Goexit(); return "" }

// A run ends although its error ends the goroutine that brings it into the store.
func TestGoexitInUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		got, err := collect(a.Start(t.Context(), "x", fails(exitError{})))
		equal(t, "events", got, []string{"one"})
		isError(t, err, run.ErrLost)
		isError(t, a.Shutdown(t.Context()), nil)
	})
}

// A smallStore accepts only some bytes at once.
type smallStore struct {
	run.Store

	max   int
	calls *int
}

func (s smallStore) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	*s.calls++
	if n := len(strings.Join(b.Entries, "")); n > s.max {
		return nil, fmt.Errorf("%d bytes: %w", n, run.ErrTooLarge)
	}
	return s.Store.Append(ctx, c, b)
}

// A batch that is too large for the store is divided. With an event that is too large, the run fails at once.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		calls := 0
		a := run.New(run.WithStore(smallStore{&m, 100, &calls}))
		b, _ := shared(&m)
		var words []string
		for i := range 50 {
			words = append(words, fmt.Sprint("word", i))
		}
		began := time.Now()
		_, err := collect(a.Start(t.Context(), "x", all(words...)))
		isError(t, err, nil)
		got, err := collect(b.Attach(t.Context(), "x"))
		isError(t, err, nil)
		equal(t, "events", got, words)

		// The generator returns before the store has refused its event.
		words = append(words, strings.Repeat("x", 100), "after that")
		calls = 0
		here, err := collect(a.Start(t.Context(), "x", all(words...)))
		isError(t, err, run.ErrTooLarge)
		equal(t, "events here", here, words)
		got, err = collect(b.Attach(t.Context(), "x"))
		equal(t, "events there", got, words[:50])
		if err == nil || errors.Is(err, run.ErrLost) || !strings.Contains(err.Error(), run.ErrTooLarge.Error()) {
			t.Errorf("there: got the error %v", err)
		}
		if took := time.Since(began); took > 0 || calls > 200 {
			t.Errorf("it took %v and %d calls", took, calls)
		}
	})
}

// A deafStore gets no hints.
type deafStore struct{ run.Store }

func (deafStore) Watch(string, run.Hint, func()) (cancel func()) { return func() {} }

// A process that reads an old run, and has not been told of its end, gets the new one with Start and Attach.
func TestReplacedUnnoticed(t *testing.T) {
	for name, begin := range map[string]func(context.Context, *run.Runner) core.Stream{
		"start":  func(ctx context.Context, r *run.Runner) core.Stream { return r.Start(ctx, "x", never) },
		"attach": func(ctx context.Context, r *run.Runner) core.Stream { return r.Attach(ctx, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m runtest.Memory
				a, _ := shared(&m)
				b := run.New(run.WithStore(deafStore{&m}))
				s := newScript()
				a.Start(t.Context(), "x", s.generate)
				s.say("old")
				synctest.Wait()
				next := pull(t, b.Attach(t.Context(), "x"))
				_, _, _ = next()
				synctest.Wait() // it follows the run
				close(s.events)
				synctest.Wait()
				s = newScript()
				a.Start(t.Context(), "x", s.generate)
				s.say("new")
				synctest.Wait()
				stream := begin(t.Context(), b)
				close(s.events)
				got, err := collect(stream)
				isError(t, err, nil)
				equal(t, "events", got, []string{"new"})
			})
		})
	}
}

// A client that has seen all is told so, even if this process has not been told of the end.
func TestEndUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b := run.New(run.WithStore(deafStore{&m}))
		s := newScript()
		a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		next := pull(t, b.Attach(t.Context(), "x"))
		e, _, _ := next()
		synctest.Wait() // it follows the run
		close(s.events)
		synctest.Wait()
		equal(t, "status", refusal(t, e.ID, func(ctx context.Context) core.Stream { return b.Attach(ctx, "x") }), 204)
	})
}

// A deadStore does what it is asked, but its answers are lost: those of some claims, or those of reads, which hang.
type deadStore struct {
	run.Store

	claims int // whose answers are lost
	hangs  atomic.Bool
}

var errAnswer = errors.New("the answer was lost")

func (s *deadStore) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	r, err := s.Store.Claim(ctx, c)
	if s.claims--; s.claims >= 0 {
		return run.Record{}, errAnswer
	}
	return r, err
}

func (s *deadStore) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	if s.hangs.Load() {
		<-ctx.Done()
		return run.Page{}, context.Cause(ctx)
	}
	return s.Store.Read(ctx, key, id, cursor)
}

// A claim whose answer was lost is repeated. If it is not known whether there is a run, it is ended.
func TestClaimUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		b, _ := shared(&m)
		a := run.New(run.WithStore(&deadStore{Store: &m, claims: 1}))
		got, err := collect(a.Start(t.Context(), "x", all("one")))
		isError(t, err, nil)
		equal(t, "events", got, []string{"one"})

		ended := false
		a = run.New(run.WithStore(&deadStore{Store: &m, claims: 2}), run.WithEnded(func(run.State) { ended = true }))
		equal(t, "status", refusal(t, "", func(ctx context.Context) core.Stream { return a.Start(ctx, "y", never) }), 503)
		synctest.Wait()
		state, err := b.Get(t.Context(), "y")
		isError(t, err, nil)
		if state.Err == nil || !strings.Contains(state.Err.Error(), errAnswer.Error()) {
			t.Errorf("got the state %+v", state)
		}
		equal(t, "the function of WithEnded was called", ended, false)
		for _, r := range []*run.Runner{a, b} {
			got, err = collect(r.Start(t.Context(), "y", all("two")))
			isError(t, err, nil)
			equal(t, "events", got, []string{"two"})
		}
		isError(t, a.Shutdown(t.Context()), nil)
	})
}

// A claimless store's first claim does not return.
type claimless struct {
	run.Store

	leave func()
}

func (s *claimless) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	if leave := s.leave; leave != nil {
		s.leave = nil
		leave()
	}
	return s.Store.Claim(ctx, c)
}

// A claim that panics or ends its goroutine does not keep the key from others.
func TestClaimPanics(t *testing.T) {
	for name, leave := range map[string]func(){"panic": func() { panic("claim") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := run.New(run.WithStore(&claimless{new(runtest.Memory), leave}))
				go func() {
					defer func() { _ = recover() }() // as the server does
					a.Start(t.Context(), "x", all("one"))
				}()
				synctest.Wait()
				got, err := collect(a.Start(t.Context(), "x", all("two")))
				isError(t, err, nil)
				equal(t, "events", got, []string{"two"})
				isError(t, a.Shutdown(t.Context()), nil)
			})
		})
	}
}

// A lossyStore does what it is asked, but loses every second answer.
type lossyStore struct {
	run.Store

	calls atomic.Int64
}

func lossy[T any](s *lossyStore, answer T, err error) (T, error) {
	if err == nil && s.calls.Add(1)%2 == 1 {
		err = errAnswer
	}
	return answer, err
}

func (s *lossyStore) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	r, err := s.Store.Claim(ctx, c)
	return lossy(s, r, err)
}

func (s *lossyStore) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	r, err := s.Store.Append(ctx, c, b)
	return lossy(s, r, err)
}

func (s *lossyStore) End(ctx context.Context, c run.Claim, e run.End) error {
	_, err := lossy(s, 0, s.Store.End(ctx, c, e))
	return err
}

// An answer that was lost is asked for again, and nothing comes twice.
func TestAnswersLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		store := &lossyStore{Store: &m}
		a := run.New(run.WithStore(store))
		b, _ := shared(&m)
		s := newScript()
		stream := a.Start(t.Context(), "x", s.generate)
		there := b.Attach(t.Context(), "x")
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprint(i))
			s.say(want[i])
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble: each is a batch
		}
		close(s.events)
		for what, stream := range map[string]core.Stream{"here": stream, "there": there, "late": b.Attach(t.Context(), "x")} {
			got, err := collect(stream)
			isError(t, err, nil)
			equal(t, what, got, want)
		}
		if state := state(t, b, "x"); state.Events != 10 || state.Err != nil {
			t.Errorf("got %+v", state)
		}
		if n := store.calls.Load(); n < 24 { // each call twice
			t.Errorf("the store was called only %d times", n)
		}
	})
}

// Readers are told within the lease and a second if the store hangs. A client that comes then is refused.
func TestStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		d := &deadStore{Store: &m}
		b := run.New(run.WithStore(d))
		s := newScript()
		a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		next := pull(t, b.Attach(t.Context(), "x"))
		_, _, _ = next()
		time.Sleep(time.Minute) //nolint:forbidigo // in a synctest bubble
		d.hangs.Store(true)
		began := time.Now()
		_, err, _ := next()
		isError(t, err, run.ErrLost)
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("told after %v", took)
		}
		began = time.Now()
		equal(t, "status", refusal(t, "", func(ctx context.Context) core.Stream { return b.Attach(ctx, "x") }), 503)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("refused after %v", took)
		}

		// The time begins when somebody waits.
		d.hangs.Store(false)
		next = pull(t, b.Attach(t.Context(), "x"))
		_, _, _ = next()
		d.hangs.Store(true)
		began = time.Now()
		_, err, _ = next()
		isError(t, err, run.ErrLost)
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("told after %v", took)
		}
		close(s.events)
	})
}

// A stuckStore says that there is more, but does not return it.
type stuckStore struct{ run.Store }

func (s stuckStore) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	p, err := s.Store.Read(ctx, key, id, cursor)
	if p.Entries != nil && cursor != "" {
		return run.Page{Record: p.Record, Cursor: cursor, More: true}, err
	}
	return p, err
}

func TestStoreIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b := run.New(run.WithStore(stuckStore{&m}))
		s := newScript()
		a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		next := pull(t, b.Attach(t.Context(), "x"))
		_, _, _ = next()
		s.say("two")
		_, err, _ := next()
		isError(t, err, run.ErrLost)
		close(s.events)
	})
}

// Shutdown waits for a store that does not answer for at most five seconds.
func TestShutdownWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		var states []run.State
		a := run.New(run.WithStore(&m), run.WithLease(time.Minute), run.WithEnded(func(s run.State) { states = append(states, s) }))
		s := newScript()
		stream := a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		m.SetDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := a.Shutdown(ctx)
		if _, ok := errors.AsType[*run.ShutdownError](err); !ok {
			t.Errorf("got the error %v", err)
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("it took %v", took)
		}
		isError(t, <-s.ended, core.ErrShutdown)
		_, err = collect(stream)
		isError(t, err, run.ErrLost)
		if len(states) != 1 || !errors.Is(states[0].Err, run.ErrLost) {
			t.Errorf("got the states %+v", states)
		}
	})
}

// Stop of a run of another process fails if the store does not answer any more.
func TestStopUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, link := shared(&m)
		b, other := shared(&m)
		s := newScript()
		a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		link.Cut() // so that the run is not stopped
		time.AfterFunc(time.Second, other.Cut)
		began := time.Now()
		if err := b.Stop(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "it is not known") {
			t.Errorf("got the error %v", err)
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A run of another process goes on if the events of Stop are not valid.
func TestStopElsewhereWithBadEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b, _ := shared(&m)
		s := newScript()
		stream := a.Start(t.Context(), "x", s.generate)
		for _, e := range []core.Event{{ID: "7"}, {Type: "a\nb"}} {
			if err := b.Stop(t.Context(), "x", e); err == nil {
				t.Errorf("%+v: got no error", e)
			}
		}
		synctest.Wait()
		s.say("one")
		close(s.events)
		got, err := collect(stream)
		isError(t, err, nil)
		equal(t, "events", got, []string{"one"})
	})
}

// Stop waits for the generator of this process, even if the end of its run is in the store already.
func TestStopAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		release := make(chan struct{})
		stream := a.Start(t.Context(), "x", func(context.Context) core.Stream {
			return func(yield func(core.Event, error) bool) {
				yield(core.Event{}, errAnswer)
				<-release
			}
		})
		_, err := collect(stream)
		isError(t, err, errAnswer)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		isError(t, a.Stop(ctx, "x"), context.DeadlineExceeded)
		time.AfterFunc(time.Second, func() { close(release) })
		isError(t, a.Stop(t.Context(), "x"), nil)
	})
}
