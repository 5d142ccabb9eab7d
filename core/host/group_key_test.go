package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// byPath is the key of tests: the request's path.
func byPath(ctx context.Context) string { return core.RequestOf(ctx).Path }

// enter makes a session of a key, or returns why not.
func enter(t *testing.T, key string, groups ...*core.Group) (*host.Session, error) {
	t.Helper()
	var opts []core.Option
	for _, g := range groups {
		opts = append(opts, core.WithGroup(g))
	}
	s, err := host.NewSession(t.Context(), core.Request{Path: key}, opts...)
	if err == nil {
		t.Cleanup(func() { s.Close(nil) })
	}
	return s, err
}

func mustEnter(t *testing.T, key string, groups ...*core.Group) *host.Session {
	t.Helper()
	s, err := enter(t, key, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantRefused(t *testing.T, err error, status int, why error) {
	t.Helper()
	isError(t, err, why)
	refused, ok := errors.AsType[*core.RefusedError](err)
	if !ok {
		t.Fatalf("got %v, want a *RefusedError", err)
	}
	if after := refused.RetryAfter; refused.Status != status || after < time.Second || after > 5*time.Second {
		t.Errorf("got status %d, to come back after %v, want %d and 1 to 5 s", refused.Status, after, status)
	}
}

func wantLen(t *testing.T, g *core.Group, want int) {
	t.Helper()
	if got := g.Len(); got != want {
		t.Errorf("got %d sessions, want %d", got, want)
	}
}

func TestGroupKeyLimit(t *testing.T) {
	g := &core.Group{Key: byPath, KeyLimit: 2}
	first := mustEnter(t, "a", g)
	mustEnter(t, "a", g)
	for range 3 {
		_, err := enter(t, "a", g)
		wantRefused(t, err, 429, core.ErrKeyFull)
	}
	mustEnter(t, "b", g)
	for range 3 {
		mustEnter(t, "", g)
	}
	first.Close(nil)
	mustEnter(t, "a", g)
	_, err := enter(t, "a", g)
	wantRefused(t, err, 429, core.ErrKeyFull)
	wantLen(t, g, 6)
}

func TestGroupWithoutKeyLimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		g := &core.Group{Key: byPath, KeyLimit: limit, Evict: true}
		for range 10 {
			isError(t, mustEnter(t, "a", g).Context().Err(), nil)
		}
		wantLen(t, g, 10)
	}
}

// The oldest session of a key makes room, and its client sees a clean end.
func TestGroupEvicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &core.Group{Key: func(context.Context) string { return "a" }, KeyLimit: 2, Evict: true, Limit: 4}
		trials, ended := crowd(t, g, 2, play(forever))
		third := mustEnter(t, "a", g)
		synctest.Wait()
		isError(t, trials[0].sum.Cause, core.ErrEvicted)
		equal(t, trials[0].log, []string{open, "0s End"})
		isError(t, trials[1].Context().Err(), nil)
		wantLen(t, g, 2)
		fourth := mustEnter(t, "a", g)
		isError(t, context.Cause(trials[1].Context()), core.ErrEvicted)
		third.Close(nil) // frees its place
		mustEnter(t, "a", g)
		isError(t, fourth.Context().Err(), nil)
		ended()
	})
}

// An evicted session counts until its generator has returned, and no session is evicted for
// a request that is refused.
func TestGroupEvictsWithinItsLimits(t *testing.T) {
	g := &core.Group{Key: byPath, KeyLimit: 1, Evict: true, Limit: 3}
	first := mustEnter(t, "a", g)
	second := mustEnter(t, "a", g)
	third := mustEnter(t, "a", g)
	isError(t, context.Cause(second.Context()), core.ErrEvicted)
	_, err := enter(t, "a", g)
	wantRefused(t, err, 503, core.ErrGroupFull)
	isError(t, third.Context().Err(), nil)
	wantRefused(t, first.Refused(), 503, core.ErrEvicted)
	first.Close(nil)
	second.Close(nil)
	wantLen(t, g, 1)
	third.Close(nil)
	wantLen(t, g, 0)
}

func TestGroupRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &core.Group{Rate: 10}
		enterMost := func(want int) {
			t.Helper()
			got := 0
			for range 20 {
				if s, err := enter(t, "", g); err == nil {
					got++
					s.Close(nil) // gives nothing back
				} else {
					wantRefused(t, err, 503, core.ErrRate)
				}
			}
			if got != want {
				t.Errorf("after %v: got %d sessions, want %d", time.Now(), got, want)
			}
		}
		enterMost(10)
		<-time.After(99 * time.Millisecond)
		enterMost(0)
		<-time.After(time.Millisecond)
		enterMost(1)
		<-time.After(350 * time.Millisecond)
		enterMost(3)
		<-time.After(time.Hour)
		enterMost(10)
	})
}

// A request that is refused for another reason takes nothing of the rate.
func TestGroupRateOfRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &core.Group{Rate: 2, Limit: 1}
		s := mustEnter(t, "", g)
		for range 5 {
			_, err := enter(t, "", g)
			wantRefused(t, err, 503, core.ErrGroupFull)
		}
		s.Close(nil)
		mustEnter(t, "", g)
	})
}

// A Key that panics fails its request and leaves no session behind.
func TestGroupKeyPanics(t *testing.T) {
	before, behind := new(core.Group), new(core.Group)
	g := &core.Group{KeyLimit: 1, Key: func(ctx context.Context) string {
		if key := byPath(ctx); key != "bad" {
			return key
		}
		panic("no key")
	}}
	mustEnter(t, "a", g)
	func() {
		defer func() {
			if got := recover(); got != "no key" {
				t.Errorf("got the panic %v, want Key's own", got)
			}
		}()
		_, _ = enter(t, "bad", before, g, behind)
	}()
	wantLen(t, before, 0)
	wantLen(t, g, 1)
	wantLen(t, behind, 0)
	mustEnter(t, "b", g)
}

func TestGroupEnd(t *testing.T) {
	blocked := errors.New("blocked")
	for _, tt := range []struct {
		name        string
		cause, want error
	}{
		{"a cause", blocked, blocked},
		{"none", nil, core.ErrEvicted},
		{"one that looks like a client's", fmt.Errorf("x: %w", core.ErrClientGone), core.ErrClientGone},
		{"one that looks like a slow client's", core.ErrSlowClient, core.ErrSlowClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &core.Group{Key: byPath}
				other := mustEnter(t, "b", g)
				nobody := mustEnter(t, "", g)
				g.Key = func(context.Context) string { return "a" }
				trials, ended := crowd(t, g, 3, play(forever))
				if got := g.End("", tt.cause) + g.End("c", tt.cause); got != 0 {
					t.Errorf("got %d sessions ended of keys without any, want 0", got)
				}
				if got := g.End("a", tt.cause); got != 3 {
					t.Errorf("got %d sessions ended, want 3", got)
				}
				if got := g.End("a", errMaintenance); got != 0 {
					t.Errorf("got %d sessions ended again, want 0", got)
				}
				ended()
				for _, tr := range trials {
					isError(t, context.Cause(tr.Context()), tt.want)
					isError(t, tr.sum.Cause, tt.want)
					equal(t, tr.log, []string{open, "0s End"})
				}
				isError(t, other.Context().Err(), nil)
				isError(t, nobody.Context().Err(), nil)
				wantLen(t, g, 2)
			})
		})
	}
}

// The places of sessions that End has ended are free at once.
func TestGroupEndFreesPlaces(t *testing.T) {
	g := &core.Group{Key: byPath, KeyLimit: 1}
	first := mustEnter(t, "a", g)
	g.End("a", errMaintenance)
	wantRefused(t, first.Refused(), 503, errMaintenance)
	second := mustEnter(t, "a", g)
	first.Close(nil) // not the second's place
	_, err := enter(t, "a", g)
	wantRefused(t, err, 429, core.ErrKeyFull)
	if got := g.End("a", &core.RefusedError{Status: 403, Err: errMaintenance}); got != 1 {
		t.Errorf("got %d sessions ended, want 1", got)
	}
	refused, ok := errors.AsType[*core.RefusedError](second.Refused())
	if !ok || refused.Status != 403 || !errors.Is(refused, errMaintenance) {
		t.Errorf("got %v, want a refusal with 403", second.Refused())
	}
}

func TestGroupMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &core.Group{Key: byPath}
		<-time.After(time.Second)
		begin := time.Now()
		begun := newTrial(t.Context(), t, core.WithGroup(g))
		done := make(chan error)
		go func() { done <- begun.serve(play(forever, at{0, "x"}, at{time.Minute, "y"})) }()
		<-time.After(2*time.Minute + time.Second) // not when a heartbeat is due
		mustEnter(t, "b", g)
		got := map[string]core.Member{}
		for m := range g.Members() {
			got[m.Key] = m
		}
		if len(got) != 2 {
			t.Fatalf("got %d members, want 2: %v", len(got), got)
		}
		if m := got["b"]; m.Request != (core.Request{Path: "b"}) || !m.Opened.IsZero() || m.Events != 0 || m.Bytes != 0 || !m.LastEvent.IsZero() {
			t.Errorf("got %+v of a session that has not begun", m)
		}
		m := got[""]
		if got["b"].ID <= m.ID || m.ID == 0 {
			t.Errorf("got the IDs %d and then %d, want growing ones", m.ID, got["b"].ID)
		}
		if want := begin.Add(time.Minute); !m.LastEvent.Equal(want) || m.Behind != 0 {
			t.Errorf("got the last event at %v, and the client %v behind, want %v, and 0", m.LastEvent, m.Behind, want)
		}
		size := int64(len(": open\n\ndata: x\n\ndata: y\n\n") + 4*len(": heartbeat\n\n"))
		if !m.Opened.Equal(begin) || m.Events != 2 || m.Bytes < size || m.Bytes > 2*size {
			t.Errorf("got %+v, want it opened at %v, with 2 events and over %d bytes", m, begin, size)
		}
		m.End(errMaintenance)
		isError(t, <-done, nil)
		isError(t, begun.sum.Cause, errMaintenance)
		if begun.sum.Bytes != m.Bytes || begun.sum.Events != m.Events {
			t.Errorf("got %+v, want as many events and bytes as at the end: %+v", m, begun.sum)
		}
		m.End(nil) // has no effect
		core.Member{}.End(nil)
	})
}

// A member whose client does not accept a write is behind, for as long as that lasts.
func TestGroupMembersBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		slow := newTrial(t.Context(), t, core.WithGroup(&g), core.WithWriteTimeout(time.Minute))
		slow.send = func(frames string) error {
			if strings.Contains(frames, "y") {
				return slow.stuck()
			}
			return nil
		}
		done := make(chan error)
		go func() { done <- slow.serve(play(forever, at{0, "x"}, at{time.Second, "y"})) }()
		<-time.After(20 * time.Second)
		for m := range g.Members() {
			if want := 19 * time.Second; m.Behind != want || m.Events != 2 {
				t.Errorf("got the client %v behind after %d events, want %v after 2", m.Behind, m.Events, want)
			}
		}
		isError(t, <-done, nil)
		isError(t, slow.sum.Cause, core.ErrSlowClient)
	})
}

// Members may be listed while the request of one is being read.
func TestGroupMembersBeforeTheView(t *testing.T) {
	var g core.Group
	s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g), core.WithQueryID())
	isError(t, err, nil)
	defer s.Close(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Query(func(string) string { return "7" })
	}()
	for m := range g.Members() {
		if got := m.Request.LastEventID; got != "" && got != "7" {
			t.Errorf("got the ID %q", got)
		}
	}
	<-done
	if got := core.LastEventID(s.Context()); got != "7" {
		t.Errorf("got the ID %q, want 7", got)
	}
}

// The body of a loop over members may do what it likes.
func TestGroupMembersLoop(t *testing.T) {
	g := &core.Group{Key: byPath}
	for i := range 20 {
		mustEnter(t, fmt.Sprint(i%5+1), g)
	}
	for range g.Members() {
		break
	}
	func() {
		defer func() { _ = recover() }()
		for range g.Members() {
			panic("in the loop")
		}
	}()
	var keys []string
	for m := range g.Members() {
		mustEnter(t, "", g).Close(nil)
		wantLen(t, g, 20)
		g.End(m.Key, nil)
		for range g.Members() {
			break
		}
		keys = append(keys, m.Key)
	}
	slices.Sort(keys)
	if got, want := strings.Join(keys, ""), strings.Repeat("1", 4)+"2222333344445555"; got != want {
		t.Errorf("got members with the keys %s, want %s", got, want)
	}
}

// Listing sees every session that stays, while others come and go.
func TestGroupMembersStorm(t *testing.T) {
	const stay, rounds = 100, 20
	g := &core.Group{Key: byPath, KeyLimit: 5, Evict: true}
	for i := range stay {
		mustEnter(t, fmt.Sprint("stay", i), g)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				s, err := host.NewSession(context.Background(), core.Request{Path: fmt.Sprint("go", (n+i)%3)}, core.WithGroup(g))
				isError(t, err, nil)
				if n%10 == 0 {
					g.End(fmt.Sprint("go", n%3), nil)
				}
				s.Close(nil)
			}
		})
	}
	for range rounds {
		seen := map[string]int{}
		for m := range g.Members() {
			seen[m.Key]++
		}
		for i := range stay {
			if key := fmt.Sprint("stay", i); seen[key] != 1 {
				t.Fatalf("saw %s %d times, want once", key, seen[key])
			}
		}
	}
	close(stop)
	wg.Wait()
	wantLen(t, g, stay)
}

func TestGroupDrain(t *testing.T) {
	for _, n := range []int{0, 1, 4, 60} {
		t.Run(fmt.Sprint(n, " sessions"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				trials, ended := crowd(t, &g, n, play(forever))
				begin := time.Now()
				drained := make(chan error)
				go func() { drained <- g.Drain(t.Context(), time.Minute) }()
				synctest.Wait()
				if n > 1 {
					_, err := enter(t, "", &g)
					wantRefused(t, err, 503, core.ErrShutdown)
				}
				isError(t, <-drained, nil)
				if got, want := time.Since(begin), time.Minute*time.Duration(max(n-1, 0))/time.Duration(max(n, 1)); got != want {
					t.Errorf("got a drain of %v, want %v", got, want)
				}
				ended()
				var got, want []string
				for i, tr := range trials {
					isError(t, tr.sum.Cause, core.ErrShutdown)
					got = append(got, tr.log[len(tr.log)-2:]...)
					at := time.Minute * time.Duration(i) / time.Duration(n)
					want = append(want, fmt.Sprintf("%v %q", at, "retry: 500\n"), fmt.Sprint(at, " End"))
				}
				slices.Sort(got)
				slices.Sort(want)
				equal(t, got, want)
				_, err := enter(t, "", &g)
				wantRefused(t, err, 503, core.ErrShutdown)
			})
		})
	}
}

// When the context of a drain ends, the rest ends as in a shutdown.
func TestGroupDrainInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		trials, ended := crowd(t, &g, 10, play(forever))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 35*time.Second, errMaintenance)
		defer cancel()
		err := g.Drain(ctx, 100*time.Second)
		isError(t, err, errMaintenance)
		if got, want := fmt.Sprint(err), "6 of 10 streams were ended at once"; !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %q", got, want)
		}
		ended()
		last, retries := 0, map[string]bool{}
		for _, tr := range trials {
			isError(t, tr.sum.Cause, core.ErrShutdown)
			if tr.log[len(tr.log)-1] == "35s End" {
				last++
				retries[tr.log[len(tr.log)-2]] = true
			}
		}
		if last != 6 || len(retries) != 6 {
			t.Errorf("got %d sessions that ended at once, to come back at %v, want 6 at different times", last, retries)
		}
	})
}

// A drain waits for the generators, and ends when all sessions have left before their turn.
func TestGroupDrainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		_, ended := crowd(t, &g, 3, func(context.Context, func(core.Event, error) bool) { <-time.After(time.Minute) })
		begin := time.Now()
		isError(t, g.Drain(t.Context(), 3*time.Second), nil)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("got a drain of %v, want 1m", got)
		}
		ended()
	})
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		_, ended := crowd(t, &g, 3, play(time.Minute))
		begin := time.Now()
		isError(t, g.Drain(t.Context(), time.Hour), nil)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("got a drain of %v, want 1m", got)
		}
		ended()
	})
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		_, ended := crowd(t, &g, 3, func(context.Context, func(core.Event, error) bool) { <-time.After(time.Minute) })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := g.Drain(ctx, 3*time.Second)
		isError(t, err, context.DeadlineExceeded)
		if got, want := fmt.Sprint(err), "drain: 3 of 3 streams have not ended"; !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %q", got, want)
		}
		ended()
	})
}

// Wait leaves the sessions alone, and lets others join.
func TestGroupWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		isError(t, g.Wait(t.Context()), nil)
		_, ended := crowd(t, &g, 3, play(time.Minute))
		begin := time.Now()
		waited := make(chan error, 2)
		for range cap(waited) {
			go func() { waited <- g.Wait(t.Context()) }()
		}
		synctest.Wait()
		s := mustEnter(t, "", &g)
		ended()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errMaintenance)
		defer cancel()
		err := g.Wait(ctx)
		isError(t, err, errMaintenance)
		if got, want := fmt.Sprint(err), "wait: 1 of the group's streams have not ended"; !strings.Contains(got, want) {
			t.Errorf("got %q, want it to say %q", got, want)
		}
		s.Close(nil)
		for range cap(waited) {
			isError(t, <-waited, nil)
		}
		if got, want := time.Since(begin), time.Minute+time.Second; got != want {
			t.Errorf("got a wait of %v, want %v", got, want)
		}
		mustEnter(t, "", &g).Close(nil)
		isError(t, g.Shutdown(t.Context()), nil)
	})
}

// A group without a key costs two words of its map for a session, and no object.
func TestGroupCost(t *testing.T) {
	cost := func(g *core.Group) float64 {
		return testing.AllocsPerRun(1000, func() {
			s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(g))
			if err != nil {
				t.Fatal(err)
			}
			s.Close(nil)
		})
	}
	without := cost(nil)
	if got := cost(new(core.Group)) - without; got > 3 { // the option, the list of groups and the key of the map
		t.Errorf("got %v allocations more than without a group, want at most 3", got)
	}
}
