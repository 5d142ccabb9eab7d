package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A failure ends the context too, so that a generator that only checks its context returns.
func TestFailureEndsTheContext(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(yield func(core.Event, error) bool)
		err  string
	}{
		{"an error", func(yield func(core.Event, error) bool) { yield(core.Event{}, errGenerator) }, errGenerator.Error()},
		{
			"an event that cannot be encoded", func(yield func(core.Event, error) bool) { yield(core.Event{Type: "a\x00"}, nil) },
			`core: event Type contains '\x00' at byte 1: an ID and a Type are one line, without CR, LF or NUL`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				tr := newTrial(t.Context(), t, core.WithGroup(&g))
				err := tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
					yield(core.Event{Data: "a"}, nil)
					tt.fail(yield)
					<-ctx.Done()
					if got := fmt.Sprint(context.Cause(ctx)); got != tt.err {
						t.Errorf("got the cause %q, want %q", got, tt.err)
					}
					go func() { _ = g.Shutdown(context.WithoutCancel(ctx)) }() // comes after it
					<-time.After(time.Second)
					yield(core.Event{}, errors.New("another one"))
				})
				equal(t, tr.log, []string{open, `0s "data: a\n\n"`, "1s Abort"})
				if got := fmt.Sprint(err); got != tt.err {
					t.Errorf("got %q from Serve, want %q", got, tt.err)
				}
				isError(t, err, tr.sum.Err)
				isError(t, tr.sum.Cause, nil)
			})
		})
	}
}

// The first failure counts. A panic after it still continues.
func TestPanicAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t)
		defer func() {
			if got := recover(); got != "second" {
				t.Errorf("got a panic with %v, want %q", got, "second")
			}
			isError(t, tr.sum.Err, errGenerator)
		}()
		_ = tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{}, errGenerator)
			panic("second")
		})
	})
}

// The cause is what has ended the stream, and not what came after that.
func TestFirstCauseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithFlushWindow(time.Minute))
		tr.send = func(frames string) error {
			if frames == "data: b\n\n" { // the generator has returned
				go func() { _ = g.Shutdown(context.WithoutCancel(t.Context())) }()
				<-time.After(time.Second / 2)
			}
			return nil
		}
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil)
		}), nil)
		equal(t, tr.log, []string{open, `0s "data: a\n\n"`, `0s "data: b\n\n"`, "500ms End"})
		isError(t, tr.sum.Cause, nil)
	})
}

var errCut = errors.New("the host's own limit")

// If the host cuts the response off, the cause is not that the client has gone.
func TestCutAt(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Duration
		want error
	}{
		{"before", 4 * time.Second, errCut},
		{"at that very time", 5 * time.Second, errCut},
		{"after", 6 * time.Second, core.ErrClientGone},
	} {
		t.Run(tt.name+", the request's context", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(t.Context())
				tr := newTrial(parent, t)
				tr.CutAt(time.Now().Add(tt.at), errCut)
				time.AfterFunc(5*time.Second, cancel)
				isError(t, tr.serve(play(forever)), nil)
				isError(t, tr.sum.Cause, tt.want)
				equal(t, tr.log, []string{open, "5s Abort"})
			})
		})
		for _, err := range []error{errBroken, os.ErrDeadlineExceeded} {
			t.Run(tt.name+", a write: "+err.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := newTrial(t.Context(), t)
					tr.CutAt(time.Now().Add(tt.at), errCut)
					tr.send = func(frames string) error {
						if frames == "data: a\n\n" {
							return err
						}
						return nil
					}
					want := tt.want
					if want != errCut && err != errBroken {
						want = core.ErrSlowClient
					}
					isError(t, tr.serve(play(forever, at{5 * time.Second, "a"})), nil)
					isError(t, tr.sum.Cause, want)
				})
			})
		}
	}
}

// A view, or what it subscribes to, can refuse the request before the response begins, but
// not later.
func TestRefuse(t *testing.T) {
	refused := func(t *testing.T, s *host.Session) {
		t.Helper()
		var r *core.RefusedError
		if err := s.Refused(); !errors.As(err, &r) || r.Status != 503 || r.RetryAfter < time.Second || !errors.Is(err, core.ErrShutdown) {
			t.Errorf("got the refusal %+v, want one with 503 and a Retry-After", err)
		}
	}
	t.Run("before", func(t *testing.T) {
		s, err := host.NewSession(t.Context(), core.Request{})
		isError(t, err, nil)
		defer s.Close(nil)
		isError(t, s.Refused(), nil)
		core.Refuse(s.Context(), core.ErrShutdown)
		refused(t, s)
		isError(t, context.Cause(s.Context()), core.ErrShutdown)
	})
	t.Run("with another status", func(t *testing.T) {
		s, err := host.NewSession(t.Context(), core.Request{})
		isError(t, err, nil)
		defer s.Close(nil)
		want := &core.RefusedError{Status: 409, Err: errors.New("it runs already")}
		core.Refuse(s.Context(), fmt.Errorf("start: %w", want))
		isError(t, s.Refused(), want)
	})
	t.Run("with a status", func(t *testing.T) {
		reason := errors.New("no")
		refusal := func(status int) error { return &core.RefusedError{Status: status, Err: reason} }
		for _, tt := range []struct {
			err  error
			want int
		}{
			{refusal(0), 503}, {refusal(100), 503}, {refusal(200), 503}, {refusal(600), 503},
			{refusal(204), 204}, {refusal(303), 303}, {refusal(409), 409}, {refusal(599), 599},
			{&core.StreamError{Err: refusal(404)}, 503}, {reason, 503}, {&core.RefusedError{Status: 404}, 404},
			{fmt.Errorf("db.internal: %w", refusal(409)), 409}, {fmt.Errorf("db.internal: %w", core.ErrShutdown), 503},
		} {
			s, err := host.NewSession(t.Context(), core.Request{})
			isError(t, err, nil)
			core.Refuse(s.Context(), tt.err)
			got, ok := errors.AsType[*core.RefusedError](s.Refused())
			if !ok || got.Status != tt.want || got.Error() == "" {
				t.Errorf("%v: got %+v, want the status %d", tt.err, got, tt.want)
			}
			if _, told := tt.err.(*core.RefusedError); got.Answer() == "" || told != (got.Answer() == tt.err.Error()) {
				t.Errorf("%v: the client is told %q", tt.err, got.Answer())
			}
			s.Close(nil)
		}
	})
	t.Run("by a context that is made of it", func(t *testing.T) {
		s, err := host.NewSession(t.Context(), core.Request{})
		isError(t, err, nil)
		defer s.Close(nil)
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		core.Refuse(ctx, core.ErrShutdown)
		refused(t, s)
	})
	t.Run("by a shutdown while the view is at work", func(t *testing.T) {
		var g core.Group
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g))
		isError(t, err, nil)
		defer s.Close(nil)
		done := make(chan struct{})
		go func() { defer close(done); _ = g.Shutdown(t.Context()) }()
		<-s.Context().Done()
		refused(t, s)
		s.Close(nil)
		<-done
	})
	t.Run("another end", func(t *testing.T) {
		s, err := host.NewSession(t.Context(), core.Request{})
		isError(t, err, nil)
		defer s.Close(nil)
		s.ClientGone()
		isError(t, s.Refused(), nil)
	})
	t.Run("after", func(t *testing.T) {
		tr := newTrial(t.Context(), t)
		isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
			core.Refuse(ctx, core.ErrShutdown)
			if !yield(core.Event{Data: "a"}, nil) {
				t.Error("a running stream was refused")
			}
		}), nil)
		isError(t, tr.sum.Cause, nil)
	})
	core.Refuse(t.Context(), core.ErrShutdown) // does not belong to a session
}

// A stream cannot close its session with anything that it can get.
func TestCloseOfARunningSession(t *testing.T) {
	var g core.Group
	tr := newTrial(t.Context(), t, core.WithGroup(&g))
	isError(t, tr.serve(func(ctx context.Context, _ func(core.Event, error) bool) {
		tr.Close(nil)
		isError(t, ctx.Err(), nil)
		if got, want := g.Len(), 1; got != want {
			t.Errorf("got %d sessions in the group, want %d", got, want)
		}
	}), nil)
	if got, want := g.Len(), 0; got != want {
		t.Errorf("got %d sessions in the group afterwards, want %d", got, want)
	}
}

// The error event's function belongs to the application, so it is called without the lock,
// after everything that was accepted has been sent.
func TestErrorEventOutsideOfTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr *trial
		yields := make(chan func(core.Event, error) bool, 1)
		tr = newTrial(t.Context(), t, core.WithFlushWindow(time.Hour), core.WithErrorEvent(func(error) core.Event {
			equal(t, tr.log, []string{open, `0s "data: a\n\n"`, `0s "data: b\n\n"`})
			if (<-yields)(core.Event{Data: "c"}, nil) { // takes the lock
				t.Error("yield returned true after the end")
			}
			return core.Event{Data: "sorry"}
		}))
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yields <- yield
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil)
			yield(core.Event{}, errGenerator)
		}), errGenerator)
		equal(t, tr.log[3:], []string{`0s "data: sorry\n\n"`, "0s End"})
	})
}

// If the flush window is longer than the heartbeat interval, waiting events are sent in
// place of the heartbeat, so that a client that has vanished is noticed.
func TestWindowLongerThanHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithFlushWindow(time.Hour), core.WithHeartbeat(time.Second))
		isError(t, tr.serve(play(3500*time.Millisecond, at{0, "a"}, at{500 * time.Millisecond, "b"})), nil)
		equal(t, tr.log, []string{
			open, `0s "data: a\n\n"`, `1s "data: b\n\n"`, "2s " + heartbeat, "3s " + heartbeat, "3.5s End",
		})
	})
}

// Something else ends the session while its stream fails. The context and the observer have
// the same cause, and only the failure breaks the response.
func TestFailureAndAnotherEnd(t *testing.T) {
	const tries = 20_000
	failures := 0
	for range tries {
		var end core.Summary
		var cause error
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithHeartbeat(0), core.WithObserver(core.Observer{
			Closed: func(ctx context.Context, sum core.Summary) { end, cause = sum, context.Cause(ctx) },
		}))
		if err != nil {
			t.Fatal(err)
		}
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			<-begun
			s.ClientGone()
		}()
		err = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) {
			close(begun)
			yield(core.Event{}, errGenerator)
		})
		<-ended
		switch {
		case errors.Is(err, errGenerator) && end.Err == errGenerator && end.Cause == nil && cause == errGenerator:
			failures++
		case err == nil && end.Cause == core.ErrClientGone && cause == end.Cause: // the failure came late
		default:
			t.Fatalf("got the error %v, the cause %v, and the context's cause %v from a Serve that returned %v", end.Err, end.Cause, cause, err)
		}
	}
	t.Logf("the failure came first in %d of %d", failures, tries)
}

// A stream is only called whole if it is: its client may leave at the moment at which its
// generator returns.
func TestRaceClientGone(t *testing.T) {
	const rounds = 20_000
	for range rounds {
		tr := newTrial(t.Context(), t, core.WithFlushWindow(time.Minute))
		var left sync.WaitGroup
		_ = tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil) // waits
			ready := make(chan struct{})
			left.Go(func() { close(ready); tr.ClientGone() })
			<-ready
		})
		left.Wait()
		whole := len(tr.log) == 4 && strings.HasSuffix(tr.log[3], "End")
		if cause := tr.sum.Cause; whole != (cause == nil) {
			t.Fatalf("got the cause %v for %q", cause, tr.log)
		}
	}
}
