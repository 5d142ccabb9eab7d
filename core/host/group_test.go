package host_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// crowd serves n sessions of g, and returns them and a function that waits until they have
// ended.
func crowd(t *testing.T, g *core.Group, n int, gen generator) (trials []*trial, ended func()) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		tr := newTrial(t.Context(), t, core.WithGroup(g))
		trials = append(trials, tr)
		wg.Go(func() { isError(t, tr.serve(gen), nil) })
	}
	synctest.Wait()
	return trials, wg.Wait
}

func TestGroupShutdown(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 100} {
		t.Run(fmt.Sprint(n, " sessions"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				trials, ended := crowd(t, &g, n, play(forever))
				if got := g.Len(); got != n {
					t.Errorf("got %d sessions, want %d", got, n)
				}
				isError(t, g.Shutdown(t.Context()), nil)
				if got := g.Len(); got != 0 {
					t.Errorf("got %d sessions after the shutdown, want 0", got)
				}
				ended()
				quiet()
				var got, want []int
				for i, tr := range trials {
					isError(t, tr.sum.Cause, core.ErrShutdown)
					var retry int
					if _, err := fmt.Sscanf(tr.log[1], `0s "retry: %d`, &retry); err != nil {
						t.Errorf("got %s, want a reconnection time", tr.log[1])
					}
					equal(t, tr.log[2:], []string{"0s End"})
					got = append(got, retry)
					want = append(want, 1000+4000*i/n)
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got reconnection times %v, want them evenly over 1 to 5 s: %v", got, want)
				}
				isError(t, g.Shutdown(t.Context()), nil) // again
			})
		})
	}
}

// Each of several shutdowns at once waits for the last session.
func TestGroupShutdownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		begin := time.Now()
		_, ended := crowd(t, &g, 10, func(context.Context, func(core.Event, error) bool) { <-time.After(time.Minute) })
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * time.Second)
				isError(t, g.Shutdown(t.Context()), nil)
				if got := time.Since(begin); got != time.Minute {
					t.Errorf("got a return after %v, want after %v", got, time.Minute)
				}
			})
		}
		wg.Wait()
		ended()
	})
}

func TestGroupShutdownTakesTooLong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause error
		want  error
	}{
		{"a deadline", nil, context.DeadlineExceeded},
		{"with a cause", errMaintenance, errMaintenance},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				_, quick := crowd(t, &g, 3, play(forever))
				_, slow := crowd(t, &g, 2, func(context.Context, func(core.Event, error) bool) { <-time.After(time.Minute) })
				ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, tt.cause)
				defer cancel()
				err := g.Shutdown(ctx)
				isError(t, err, tt.want)
				if got, want := fmt.Sprint(err), "2 of 5 streams have not ended"; !strings.Contains(got, want) {
					t.Errorf("got %q, want it to say %q", got, want)
				}
				isError(t, g.Shutdown(t.Context()), nil) // they still end
				if got := g.Len(); got != 0 {
					t.Errorf("got %d sessions, want 0", got)
				}
				quick()
				slow()
			})
		})
	}
}

// A session that has not been served yet, or never will be, counts too.
func TestGroupShutdownWaitsForViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
		isError(t, err, nil)
		time.AfterFunc(3*time.Second, func() { s.Close(nil) })
		begin := time.Now()
		isError(t, g.Shutdown(t.Context()), nil)
		if got := time.Since(begin); got != 3*time.Second {
			t.Errorf("got a shutdown of %v, want 3s", got)
		}
		isError(t, context.Cause(s.Context()), core.ErrShutdown)
	})
}

func TestGroupRefuses(t *testing.T) {
	full := &core.Group{Limit: 1}
	first, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(full))
	isError(t, err, nil)
	defer first.Close(nil)
	var closed core.Group
	isError(t, closed.Shutdown(t.Context()), nil)

	for _, tt := range []struct {
		name  string
		group *core.Group
		want  error
		len   int
	}{
		{"full", full, core.ErrGroupFull, 1},
		{"shut down", &closed, core.ErrShutdown, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := map[time.Duration]bool{}
			for range 200 {
				var before, behind core.Group
				parent, cancel := context.WithCancel(t.Context())
				s, err := host.NewSession(parent, core.Request{},
					core.WithGroup(&before), core.WithGroup(tt.group), core.WithGroup(&behind))
				cancel() // has no effect
				if s != nil {
					t.Fatal("got a session, want none")
				}
				isError(t, err, tt.want)
				var refused *core.RefusedError
				if !errors.As(err, &refused) {
					t.Fatalf("got a %T, want a *RefusedError", err)
				}
				if refused.Status != 503 {
					t.Errorf("got status %d, want 503", refused.Status)
				}
				if err.Error() != tt.want.Error() {
					t.Errorf("got %q, want %q", err, tt.want)
				}
				after[refused.RetryAfter] = true
				if before.Len() != 0 || behind.Len() != 0 || tt.group.Len() != tt.len {
					t.Fatalf("got %d, %d and %d sessions, want a refusal to leave no trace",
						before.Len(), tt.group.Len(), behind.Len())
				}
				isError(t, before.Shutdown(t.Context()), nil) // does not wait for it
			}
			for d := range after {
				if d < time.Second || d > 5*time.Second || d%time.Second != 0 {
					t.Errorf("got RetryAfter %v, want whole seconds from 1 to 5", d)
				}
			}
			if len(after) != 5 {
				t.Errorf("got %d different times, want 5", len(after))
			}
		})
	}
	isError(t, first.Context().Err(), nil)
}

func TestGroupLimit(t *testing.T) {
	for _, tt := range []struct {
		name        string
		limit, want int
	}{
		{"none", 0, 50},
		{"less than none", -1, 50},
		{"10", 10, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := core.Group{Limit: tt.limit}
			var (
				wg       sync.WaitGroup
				mu       sync.Mutex
				sessions []*host.Session
				refused  atomic.Int64
			)
			for range 50 {
				wg.Go(func() {
					s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
					if err != nil {
						isError(t, err, core.ErrGroupFull)
						refused.Add(1)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					sessions = append(sessions, s)
				})
			}
			wg.Wait()
			if len(sessions) != tt.want || g.Len() != tt.want || refused.Load() != int64(50-tt.want) {
				t.Errorf("got %d sessions, %d in the group and %d refused, want %d", len(sessions), g.Len(), refused.Load(), tt.want)
			}
			for _, s := range sessions {
				s.Close(nil)
				again, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
				isError(t, err, nil) // there is room again
				again.Close(nil)
			}
			if g.Len() != 0 {
				t.Errorf("got %d sessions at last, want 0", g.Len())
			}
		})
	}
}

// A session of several groups ends with any of them and leaves them all.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all, some core.Group
		other := newTrial(t.Context(), t, core.WithGroup(&all))
		defer other.Close(nil)
		tr := newTrial(t.Context(), t, core.WithGroup(&all), core.WithGroup(&some))
		if all.Len() != 2 || some.Len() != 1 {
			t.Errorf("got %d and %d sessions, want 2 and 1", all.Len(), some.Len())
		}
		done := make(chan error)
		go func() { done <- tr.serve(play(forever)) }()
		isError(t, some.Shutdown(t.Context()), nil)
		isError(t, <-done, nil)
		if all.Len() != 1 || some.Len() != 0 {
			t.Errorf("got %d and %d sessions, want 1 and 0", all.Len(), some.Len())
		}
		isError(t, other.Context().Err(), nil)
	})
}

// A group gives the memory of many sessions back when the last one has left.
func TestGroupMemory(t *testing.T) {
	const many = 100_000
	g := core.Group{Key: func(ctx context.Context) string { return core.RequestOf(ctx).Path }}
	before := heap()
	func() {
		sessions := make([]*host.Session, many)
		for i := range sessions {
			var err error
			if sessions[i], err = host.NewSession(context.Background(), core.Request{Path: fmt.Sprint(i)}, core.WithGroup(&g)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range sessions {
			s.Close(nil)
		}
	}()
	if got, limit := heap()-before, int64(1<<20); got > limit {
		t.Errorf("the group holds %d bytes without a session, want at most %d", got, limit)
	}
	runtime.KeepAlive(&g)
}
