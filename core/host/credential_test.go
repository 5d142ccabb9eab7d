package host_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

func expires(after time.Duration) core.Option {
	return core.WithExpiry(func(context.Context) time.Time { return time.Now().Add(after) })
}

func TestExpiry(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []core.Option
		want error
		at   time.Duration // when the session ends
	}{
		{"at its time", []core.Option{expires(time.Hour)}, core.ErrExpired, time.Hour},
		{"without a monotonic clock", []core.Option{core.WithExpiry(func(context.Context) time.Time {
			return time.Now().Round(0).Add(time.Hour)
		})}, core.ErrExpired, time.Hour},
		{"soon", []core.Option{expires(1)}, core.ErrExpired, 1},
		{"before the maximum duration", []core.Option{expires(time.Minute), core.WithMaxDuration(time.Hour)}, core.ErrExpired, time.Minute},
		{"after the maximum duration", []core.Option{expires(time.Hour), core.WithMaxDuration(time.Nanosecond)}, core.ErrMaxDuration, 1},
		{"never", []core.Option{core.WithExpiry(func(context.Context) time.Time { return time.Time{} })}, nil, 5 * time.Hour},
		{"in 9000 years", []core.Option{core.WithExpiry(func(context.Context) time.Time {
			return time.Now().AddDate(9000, 0, 0)
		})}, nil, 5 * time.Hour},
		{"a nil function", []core.Option{expires(time.Hour), core.WithExpiry(nil)}, nil, 5 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				tr := newTrial(t.Context(), t, append(tt.opts, core.WithHeartbeat(0))...)
				isError(t, tr.serve(play(5*time.Hour)), nil)
				isError(t, tr.sum.Cause, tt.want)
				if got := time.Since(begin); got != tt.at {
					t.Errorf("got an end after %v, want %v", got, tt.at)
				}
				equal(t, tr.log[len(tr.log)-1:], []string{fmt.Sprint(tt.at, " End")})
				quiet()
			})
		})
	}
}

func wantUnauthorized(t *testing.T, err error) {
	t.Helper()
	refused, ok := errors.AsType[*core.RefusedError](err)
	if !ok || refused.Status != 401 || refused.RetryAfter != 0 || !errors.Is(err, core.ErrExpired) {
		t.Errorf("got %#v, want a refusal with 401 and ErrExpired", err)
	}
}

// A request with a credential that has expired is refused before it joins a group, or when
// the view returns.
func TestExpiredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &core.Group{Rate: 1}
		for _, after := range []time.Duration{0, -1, -time.Hour} {
			_, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(g), expires(after))
			wantUnauthorized(t, err)
			wantLen(t, g, 0)
		}
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(g), expires(time.Minute))
		isError(t, err, nil)
		isError(t, s.Refused(), nil)
		<-time.After(time.Minute)
		wantUnauthorized(t, s.Refused())
		s.Close(nil)
		wantLen(t, g, 0)
	})
}

// A function that panics leaves nothing behind.
func TestExpiryPanics(t *testing.T) {
	var g core.Group
	func() {
		defer func() {
			if got := recover(); got != "no time" {
				t.Errorf("got the panic %v, want the function's own", got)
			}
		}()
		_, _ = host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g),
			core.WithExpiry(func(context.Context) time.Time { panic("no time") }))
	}()
	wantLen(t, &g, 0)
}

func TestRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		begin := time.Now()
		quietly := []core.Option{core.WithHeartbeat(0), core.WithWriteTimeout(0)} // so that nothing else wakes the timer
		tr := newTrial(t.Context(), t, append(quietly, core.WithRecheck(time.Minute, func(context.Context) error {
			asked = append(asked, time.Since(begin))
			<-time.After(10 * time.Second)
			if len(asked) == 4 {
				return errMaintenance
			}
			return nil
		}))...)
		isError(t, tr.serve(play(forever)), nil)
		isError(t, tr.sum.Cause, errMaintenance)
		if len(asked) != 4 || asked[0] <= 0 || asked[0] > time.Minute {
			t.Fatalf("got asked at %v, want 4 times, first within a minute", asked)
		}
		for i := range 3 {
			if got := asked[i+1] - asked[i]; got != 70*time.Second {
				t.Errorf("got asked %v after the last time, want 70 s, a minute after the answer", got)
			}
		}
		if got, want := tr.log[len(tr.log)-1], fmt.Sprint(asked[3]+10*time.Second, " End"); got != want {
			t.Errorf("got the end %s, want %s", got, want)
		}
		quiet()
	})
}

// Sessions that begin together are not asked about together.
func TestRecheckSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		begin := time.Now()
		g := new(core.Group)
		var wg sync.WaitGroup
		for range 100 {
			tr := newTrial(t.Context(), t, core.WithGroup(g), core.WithRecheck(time.Minute, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(begin))
				return errMaintenance
			}))
			wg.Go(func() { isError(t, tr.serve(play(forever)), nil) })
		}
		wg.Wait()
		slices.Sort(at)
		if first, last := at[0], at[len(at)-1]; len(at) != 100 || first > 10*time.Second || last < 50*time.Second || last > time.Minute {
			t.Errorf("got asked %d times, from %v to %v, want 100 over a minute", len(at), first, last)
		}
	})
}

// A function that does not return delays neither events nor heartbeats, and is not called
// again. The session waits for it at the end.
func TestRecheckSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		calls := 0
		returned := false
		tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithHeartbeat(10*time.Second), core.WithRecheck(time.Second, func(ctx context.Context) error {
			calls++
			<-ctx.Done()
			<-time.After(time.Second)
			returned = true
			return ctx.Err()
		}))
		isError(t, tr.serve(play(44*time.Second, at{25 * time.Second, "x"})), nil)
		if calls != 1 || !returned || g.Len() != 0 {
			t.Errorf("got %d calls, returned %t, and %d sessions, want one that has returned, and none", calls, returned, g.Len())
		}
		isError(t, tr.sum.Cause, nil)
		equal(t, tr.log, []string{open, "10s " + heartbeat, "20s " + heartbeat, `25s "data: x\n\n"`, "35s " + heartbeat, "44s End"})
		quiet()
	})
}

// An error that comes when the session has ended changes nothing.
func TestRecheckTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithMaxDuration(10*time.Second), core.WithRecheck(time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return errMaintenance
		}))
		isError(t, tr.serve(play(forever)), nil)
		isError(t, tr.sum.Cause, core.ErrMaxDuration)
		quiet()
	})
}

func TestRecheckPanics(t *testing.T) {
	for name, f := range map[string]func(context.Context) error{
		"panic":  func(context.Context) error { panic("lost") },
		"goexit": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, core.WithRecheck(time.Second, f))
				err := tr.serve(play(forever))
				p, ok := errors.AsType[*core.PanicError](err)
				if !ok || !strings.Contains(string(p.Stack), "TestRecheckPanics") {
					t.Errorf("got %v, want a *PanicError with the stack", err)
				}
				if got := tr.log[len(tr.log)-1]; !strings.HasSuffix(got, "Abort") {
					t.Errorf("got the end %s, want a broken response", got)
				}
				quiet()
			})
		})
	}
}

func TestRecheckOff(t *testing.T) {
	f := func(context.Context) error { return errMaintenance }
	for name, opt := range map[string]core.Option{
		"zero":           core.WithRecheck(0, f),
		"negative":       core.WithRecheck(-time.Second, f),
		"a nil function": core.WithRecheck(time.Second, nil),
		"never":          core.WithRecheck(1<<63-1, f),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, opt)
				isError(t, tr.serve(play(time.Hour)), nil)
				isError(t, tr.sum.Cause, nil)
			})
		})
	}
}

// A session that was handed over has no goroutine, and ends all the same.
func TestCredentialHandedOver(t *testing.T) {
	silent := &pump{next: func(*[][]byte) (bool, error) { return false, nil }}
	for name, tt := range map[string]struct {
		opt  core.Option
		want error
	}{
		"expiry":  {expires(300 * time.Millisecond), core.ErrExpired},
		"recheck": {core.WithRecheck(time.Millisecond, func(context.Context) error { return errMaintenance }), errMaintenance},
	} {
		t.Run(name, func(t *testing.T) {
			g := detached(t, handedOver(t, silent), tt.opt)
			isError(t, soon(t, g.sums, "the end").Cause, tt.want)
			if _, err := g.events(); err != nil {
				t.Errorf("got the end %v, want a clean one", err)
			}
		})
	}
	t.Run("panic", func(t *testing.T) {
		g := detached(t, handedOver(t, silent), core.WithRecheck(time.Millisecond, func(context.Context) error { panic("lost") }))
		if got, want := fmt.Sprint(soon(t, g.failures, "the failure")), "lost"; !strings.Contains(got, want) {
			t.Errorf("got failure %q, want %q", got, want)
		}
		if _, err := g.events(); err == nil {
			t.Error("got a clean end, want a broken one")
		}
	})
}
