package run_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/run/runtest"
)

// shared returns a runner that uses a store through a link.
func shared(m *runtest.Memory, opts ...run.Option) (*run.Runner, *runtest.Link) {
	l := runtest.NewLink(m)
	return run.New(append([]run.Option{run.WithStore(l)}, opts...)...), l
}

// resume attaches with a last event ID.
func resume(t *testing.T, r *run.Runner, key, id string) (core.Stream, *host.Session) {
	t.Helper()
	s, err := host.NewSession(t.Context(), core.Request{LastEventID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(nil) })
	return r.Attach(s.Context(), key), s
}

// When a process has died, readers are told within the lease and a second, wherever they are.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, link := shared(&m)
		b, _ := shared(&m)
		s := newScript()
		here := a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		time.Sleep(time.Minute) //nolint:forbidigo // in a synctest bubble: the lease is renewed
		link.Cut()
		died := time.Now()
		for what, stream := range map[string]core.Stream{"there": b.Attach(t.Context(), "x"), "here": here} {
			got, err := collect(stream)
			isError(t, err, run.ErrLost)
			equal(t, what+": events", got, []string{"one"})
			if took := time.Since(died); took > 11*time.Second {
				t.Errorf("%s: told after %v", what, took)
			}
		}
		isError(t, <-s.ended, run.ErrLost)
		got, err := b.Get(t.Context(), "x")
		isError(t, err, nil)
		isError(t, got.Err, run.ErrLost)
	})
}

// A store that does not answer for less than a lease does no harm.
func TestStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b, _ := shared(&m)
		s := newScript()
		here := a.Start(t.Context(), "x", s.generate)
		s.say("one")
		synctest.Wait()
		next := pull(t, b.Attach(t.Context(), "x"))
		_, _, _ = next()
		m.SetDown(true)
		s.say("two")
		equal(t, "status of Start", refusal(t, "", func(ctx context.Context) core.Stream { return a.Start(ctx, "y", never) }), 503)
		equal(t, "status of Attach", refusal(t, "", func(ctx context.Context) core.Stream { return a.Attach(ctx, "y") }), 503)
		equal(t, "status of Attach here", refusal(t, "", func(ctx context.Context) core.Stream { return a.Attach(ctx, "x") }), 0)
		if _, err := a.List(t.Context()); err == nil {
			t.Error("List has no error")
		}
		time.Sleep(5 * time.Second) //nolint:forbidigo // in a synctest bubble
		m.SetDown(false)
		if e, err, _ := next(); err != nil || e.Data != "two" {
			t.Errorf("got %+v, %v", e, err)
		}
		close(s.events)
		_, err := collect(here)
		isError(t, err, nil)
		_, err, more := next()
		if more {
			t.Errorf("got the error %v", err)
		}
		// The key of a Start that was refused is free.
		_, err = collect(b.Start(t.Context(), "y", all("one")))
		isError(t, err, nil)
		isError(t, a.Shutdown(t.Context()), nil) // it has made sure that its claim has no run
	})
}

// A client that has seen an event before the store had it resumes after it, in another process.
func TestAheadOfStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b, _ := shared(&m)
		s := newScript()
		next := pull(t, a.Start(t.Context(), "x", s.generate))
		s.say("one")
		first, _, _ := next()
		synctest.Wait()
		watching := pull(t, b.Attach(t.Context(), "x"))
		_, _, _ = watching()
		m.SetDown(true)
		s.say("two", "three")
		_, _, _ = next()
		third, _, _ := next()
		time.AfterFunc(3*time.Second, func() { m.SetDown(false) })
		stream, _ := resume(t, b, "x", third.ID)
		close(s.events)
		got, err := collect(stream)
		isError(t, err, nil)
		equal(t, "events", len(got), 0)

		// The run has ended, and has no event 9.
		stream, session := resume(t, b, "x", strings.TrimSuffix(first.ID, "1")+"9")
		_, err = collect(stream)
		isError(t, err, run.ErrLost)
		refused, ok := errors.AsType[*core.RefusedError](session.Refused())
		if !ok || refused.Status != 410 {
			t.Errorf("got %v, want 410", session.Refused())
		}
	})
}

// A client with the ID of an event that a run has never had is told of a gap soon, and gets everything, as in the
// run's own process.
func TestBeyondTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m, run.WithLease(time.Hour))
		b, _ := shared(&m, run.WithLease(time.Hour))
		s := newScript()
		next := pull(t, a.Start(t.Context(), "x", s.generate))
		s.say("one")
		first, _, _ := next()
		synctest.Wait()
		for _, number := range []string{"2", "9", "9223372036854775808", "18446744073709551615", "99999999999999999999"} {
			for _, r := range []*run.Runner{a, b} {
				began := time.Now()
				stream, session := resume(t, r, "x", strings.TrimSuffix(first.ID, "1")+number)
				got := pull(t, stream)
				e, err, _ := got()
				if err != nil || e.Type != "gap" {
					t.Errorf("%s: got %+v, %v, %v, want a gap", number, e, err, session.Refused())
				}
				if e, err, _ = got(); err != nil || e.Data != "one" {
					t.Errorf("%s: got %+v, %v", number, e, err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s: told after %v", number, took)
				}
			}
		}
		close(s.events)
	})
}

// What a process has read of other processes' runs counts, and is dropped some time after the last
// reader has left.
func TestMirrorsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		a, _ := shared(&m)
		b, _ := shared(&m, run.WithMaxRuns(1))
		for _, key := range []string{"x", "y"} {
			_, err := collect(a.Start(t.Context(), key, all("one")))
			isError(t, err, nil)
		}
		_, err := collect(b.Attach(t.Context(), "x"))
		isError(t, err, nil)
		_, err = collect(b.Attach(t.Context(), "y"))
		limit, ok := errors.AsType[*run.LimitError](err)
		if !ok || limit.Limit != run.LimitRuns || limit.Key != "y" {
			t.Errorf("got the error %v", err)
		}
		equal(t, "status", refusal(t, "", func(ctx context.Context) core.Stream { return b.Attach(ctx, "y") }), 503)
		time.Sleep(11 * time.Second) //nolint:forbidigo // in a synctest bubble
		got, err := collect(b.Attach(t.Context(), "y"))
		isError(t, err, nil)
		equal(t, "events", got, []string{"one"})
		_, err = collect(b.Attach(t.Context(), "y"))
		isError(t, err, nil)
	})
}

// The functions of WithEnded are called once for a run, in its own process.
func TestWithEndedShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m runtest.Memory
		var states []run.State
		a, link := shared(&m, run.WithEnded(func(s run.State) { states = append(states, s) }))
		b, _ := shared(&m, run.WithEnded(func(s run.State) { t.Errorf("another process was told of %+v", s) }))
		_, _ = collect(a.Start(t.Context(), "x", all("one")))
		_, _ = collect(b.Attach(t.Context(), "x"))
		synctest.Wait()
		s := newScript()
		stream := a.Start(t.Context(), "y", s.generate)
		link.Cut()
		_, err := collect(stream)
		isError(t, err, run.ErrLost)
		synctest.Wait()
		if len(states) != 2 || states[0].Err != nil || !errors.Is(states[1].Err, run.ErrLost) {
			t.Errorf("got %+v", states)
		}
		isError(t, a.Shutdown(t.Context()), nil)
	})
}

// brokenStore returns other entries than it was given.
type brokenStore struct {
	run.Store

	id string
}

func (s brokenStore) Get(ctx context.Context, key string) (run.Record, error) {
	r, err := s.Store.Get(ctx, key)
	r.ID = s.id
	return r, err
}

func (s brokenStore) Read(context.Context, string, string, string) (run.Page, error) {
	return run.Page{Entries: []string{"id: 7\ndata: one\n\n"}}, nil
}

// What cannot be is an error.
func TestBrokenStore(t *testing.T) {
	var m runtest.Memory
	a, _ := shared(&m)
	_, _ = collect(a.Start(soon(t), "x", all("one")))
	for id, want := range map[string]string{"abcdefgh": `the ID "7"`, "1": `its ID is "1"`} {
		_, err := collect(run.New(run.WithStore(brokenStore{&m, id})).Attach(soon(t), "x"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHubsWithOneEpoch(t *testing.T) {
	a := hub.New()
	epoch, _, _ := strings.Cut(a.LastID(), "-")
	equal(t, "last ID", hub.New(hub.WithEpoch(epoch)).LastID(), a.LastID())
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	hub.New(hub.WithEpoch("1"))
}
