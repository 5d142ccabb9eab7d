package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

var (
	errGenerator   = errors.New("the database is gone")
	errMaintenance = errors.New("maintenance")
)

// The session is ended at 5 s, while an event waits to be flushed. The generator waits for
// that, and yields twice more.
func TestEndFromOutside(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(s *host.Session, g *core.Group, cancel context.CancelCauseFunc)
		want  []string
		cause error
	}{
		{
			"the request's context is cancelled",
			func(_ *host.Session, _ *core.Group, cancel context.CancelCauseFunc) { cancel(nil) },
			[]string{`5s "data: b\n\n"`, "5s Abort"}, core.ErrClientGone, // it is not known whether the client has left
		},
		{
			"its connection is closed",
			func(_ *host.Session, _ *core.Group, cancel context.CancelCauseFunc) {
				cancel(fmt.Errorf("no recent activity: %w", net.ErrClosed))
			},
			[]string{`5s "data: b\n\n"`, "5s Abort"}, core.ErrClientGone,
		},
		{
			"for a reason of the host's",
			func(_ *host.Session, _ *core.Group, cancel context.CancelCauseFunc) { cancel(errMaintenance) },
			[]string{`5s "data: b\n\n"`, "5s End"},
			errMaintenance,
		},
		{
			"the host says so",
			func(s *host.Session, _ *core.Group, _ context.CancelCauseFunc) { s.ClientGone() },
			[]string{"5s Abort"}, core.ErrClientGone,
		},
		{
			"more than once, and the first counts",
			func(s *host.Session, g *core.Group, cancel context.CancelCauseFunc) {
				s.ClientGone()
				cancel(errMaintenance)
				_ = g.Shutdown(context.Background())
				s.ClientGone()
			},
			[]string{"5s Abort"}, core.ErrClientGone,
		},
		{
			"a shutdown",
			func(_ *host.Session, g *core.Group, _ context.CancelCauseFunc) { _ = g.Shutdown(context.Background()) },
			[]string{`5s "data: b\n\nretry: 1000\n"`, "5s End"},
			core.ErrShutdown,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				parent, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				tr := newTrial(parent, t, core.WithGroup(&g), core.WithHeartbeat(20*time.Second), core.WithFlushWindow(time.Minute))
				time.AfterFunc(5*time.Second, func() { tt.end(tr.Session, &g, cancel) })
				isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
					yield(core.Event{Data: "a"}, nil)
					yield(core.Event{Data: "b"}, nil)
					<-ctx.Done()
					if yield(core.Event{Data: "c"}, nil) || yield(core.Event{Data: "d"}, nil) {
						t.Error("yield returned true after the end")
					}
				}), nil)
				quiet()
				equal(t, tr.log, append([]string{open, `0s "data: a\n\n"`}, tt.want...))
				isError(t, tr.sum.Cause, tt.cause)
				isError(t, tr.sum.Err, nil)
				isError(t, context.Cause(tr.Context()), tt.cause)
				isError(t, tr.Context().Err(), context.Canceled)
				if got := g.Len(); got != 0 {
					t.Errorf("got %d sessions in the group, want 0", got)
				}
			})
		})
	}
}

func TestParentDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		tr := newTrial(parent, t)
		isError(t, tr.serve(play(forever)), nil)
		quiet()
		equal(t, tr.log, []string{open, "5s End"})
		isError(t, tr.sum.Cause, context.DeadlineExceeded)
	})
}

func TestParentWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(context.WithoutCancel(t.Context()), t)
		time.AfterFunc(5*time.Second, tr.ClientGone)
		isError(t, tr.serve(play(forever)), nil)
		quiet()
		equal(t, tr.log, []string{open, "5s Abort"})
		isError(t, tr.sum.Cause, core.ErrClientGone)
	})
}

// A session that has ended before it is served still reports its cause.
func TestEndBeforeServe(t *testing.T) {
	t.Run("shutdown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g core.Group
			tr := newTrial(t.Context(), t, core.WithGroup(&g))
			done := make(chan error)
			go func() { done <- g.Shutdown(t.Context()) }()
			synctest.Wait()
			isError(t, tr.serve(play(forever, at{0, "a"})), nil)
			isError(t, <-done, nil)
			equal(t, tr.log, []string{open, `0s "retry: 1000\n"`, "0s End"})
			isError(t, tr.sum.Cause, core.ErrShutdown)
		})
	})
	t.Run("the client has gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTrial(t.Context(), t)
			tr.ClientGone()
			isError(t, tr.serve(play(forever, at{0, "a"})), nil)
			quiet()
			isError(t, tr.sum.Cause, core.ErrClientGone)
			for _, line := range tr.log {
				if strings.Contains(line, "data") || strings.Contains(line, "End") {
					t.Errorf("got %s for a client that has gone", line)
				}
			}
		})
	})
}

// A session waits in silence for a generator that ignores its context.
func TestSlowToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		tr := newTrial(t.Context(), t, core.WithGroup(&g))
		time.AfterFunc(time.Second, func() { _ = g.Shutdown(context.WithoutCancel(t.Context())) })
		isError(t, tr.serve(func(context.Context, func(core.Event, error) bool) { <-time.After(time.Minute) }), nil)
		equal(t, tr.log, []string{open, `1m0s "retry: 1000\n"`, "1m0s End"})
	})
}

// Events that wait for the end of the window are not sent to a client that has gone.
func TestWindowEndsAfterTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithFlushWindow(10*time.Second))
		time.AfterFunc(time.Second, tr.ClientGone)
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil)
			<-time.After(time.Minute)
		}), nil)
		equal(t, tr.log, []string{open, `0s "data: a\n\n"`, "1m0s Abort"})
		isError(t, tr.sum.Cause, core.ErrClientGone)
	})
}

// A write that is stuck when the session ends is broken after 1 s, even if its timeout is
// longer.
func TestStuckAtTheEnd(t *testing.T) {
	stuckEnd := func(h *fakeHost) { h.end = h.stuck }
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		stuck   func(h *fakeHost)
		gen     generator
		want    []string
	}{
		{
			"an event", 30 * time.Second, func(h *fakeHost) { h.stuckAt("a") },
			play(forever, at{5 * time.Second, "a"}),
			[]string{open, `5s "data: a\n\n"`, "8s Abort"},
		},
		{
			"an event without a write timeout", 0, func(h *fakeHost) { h.stuckAt("a") },
			play(forever, at{5 * time.Second, "a"}),
			[]string{open, `5s "data: a\n\n"`, "8s Abort"},
		},
		{
			"the last frame", 30 * time.Second, func(h *fakeHost) { h.stuckAt("1000") },
			play(forever),
			[]string{open, `7s "retry: 1000\n"`, "8s Abort"},
		},
		{
			"the last frame, late", 30 * time.Second, func(h *fakeHost) { h.stuckAt("1000") },
			func(context.Context, func(core.Event, error) bool) { <-time.After(12500 * time.Millisecond) },
			[]string{open, `12.5s "retry: 1000\n"`, "13.5s Abort"},
		},
		{
			"the end", 30 * time.Second, stuckEnd, play(forever),
			[]string{open, `7s "retry: 1000\n"`, "7s End", "8s Abort"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithWriteTimeout(tt.timeout),
					core.WithHeartbeat(0), core.WithFlushWindow(0))
				tt.stuck(tr.fakeHost)
				time.AfterFunc(7*time.Second, func() { _ = g.Shutdown(context.WithoutCancel(t.Context())) })
				isError(t, tr.serve(tt.gen), nil)
				quiet()
				equal(t, tr.log, tt.want)
				isError(t, tr.sum.Cause, core.ErrShutdown)
			})
		})
	}
}

// The failures of a generator, and how they are reported.
func TestGeneratorFails(t *testing.T) {
	panicking := func(v any) generator {
		return func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil)
			panic(v)
		}
	}
	yielding := func(e core.Event, err error) generator {
		return func(_ context.Context, yield func(core.Event, error) bool) {
			yield(core.Event{Data: "a"}, nil)
			yield(core.Event{Data: "b"}, nil)
			if yield(e, err) || yield(core.Event{Data: "c"}, nil) {
				t.Error("yield returned true after a failure")
			}
		}
	}
	show := core.WithErrorEvent(func(err error) core.Event { return core.Event{Type: "error", Data: err.Error()} })
	before := []string{open, `0s "data: a\n\n"`}
	broken := append(slices.Clone(before), `0s "data: b\n\n"`, "0s Abort")
	withEvent := func(text string) []string {
		return append(slices.Clone(before), `0s "data: b\n\n"`, fmt.Sprintf(`0s "event: error\ndata: %s\n\n"`, text), "0s End")
	}
	const noID = `core: event ID contains '\\n' at byte 1: an ID and a Type are one line, without CR, LF or NUL`
	for _, tt := range []struct {
		name     string
		opts     []core.Option
		gen      generator
		want     []string
		err      string // of the generator, as the observer sees it
		panicked any    // what Serve panics with
	}{
		{"an error", nil, yielding(core.Event{Data: "none"}, errGenerator), broken, errGenerator.Error(), nil},
		{"a nil error event", []core.Option{core.WithErrorEvent(nil)}, yielding(core.Event{}, errGenerator), broken, errGenerator.Error(), nil},
		{"an event that cannot be encoded", nil, yielding(core.Event{ID: "a\nb"}, nil), broken, strings.ReplaceAll(noID, `\\`, `\`), nil},
		{"a panic", nil, panicking("oops"), broken, "core: the generator panicked: oops", "oops"},
		{"a panic with an error", nil, panicking(errGenerator), broken, "core: the generator panicked: the database is gone", errGenerator},
		{"an error, shown", []core.Option{show}, yielding(core.Event{}, errGenerator), withEvent(errGenerator.Error()), errGenerator.Error(), nil},
		{"an event that cannot be encoded, shown", []core.Option{show}, yielding(core.Event{ID: "a\nb"}, nil), withEvent(noID), strings.ReplaceAll(noID, `\\`, `\`), nil},
		{
			"a panic, shown",
			[]core.Option{show}, panicking("oops"), withEvent("core: the generator panicked: oops"),
			"core: the generator panicked: oops", "oops",
		},
		{
			"an error event that cannot be encoded",
			[]core.Option{core.WithErrorEvent(func(error) core.Event { return core.Event{Type: "a\nb"} })},
			yielding(core.Event{}, errGenerator), broken, errGenerator.Error(), nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var (
					g   core.Group
					err error
				)
				tr := newTrial(t.Context(), t, append(tt.opts, core.WithGroup(&g))...)
				func() {
					defer func() {
						if got := recover(); got != tt.panicked {
							t.Errorf("got a panic with %v, want %v", got, tt.panicked)
						}
						if tt.panicked != nil && tr.sum.Err == nil {
							t.Error("the observer was not called before the panic continued")
						}
					}()
					err = tr.serve(tt.gen)
				}()
				tr.over.Store(true)
				quiet()
				equal(t, tr.log, tt.want)
				if got := fmt.Sprint(tr.sum.Err); got != tt.err {
					t.Errorf("got the error %q, want %q", got, tt.err)
				}
				var failed *core.StreamError
				if tt.panicked == nil && (!errors.As(err, &failed) || failed.Err != tr.sum.Err) {
					t.Errorf("got %#v from Serve, want a *StreamError of %v", err, tr.sum.Err)
				}
				var pe *core.PanicError
				if got, want := errors.As(tr.sum.Err, &pe), tt.panicked != nil; got != want {
					t.Errorf("got a *PanicError %v, want %v", got, want)
				}
				if got, want := errors.Is(tr.sum.Err, errGenerator), strings.Contains(tt.err, errGenerator.Error()); got != want {
					t.Errorf("got the generator's error %v, want %v", got, want)
				}
				isError(t, tr.sum.Cause, nil)
				if tr.sum.Events != 2 {
					t.Errorf("got %d events, want 2", tr.sum.Events)
				}
				if g.Len() != 0 {
					t.Error("the session has not left its group")
				}
				if tr.Context().Err() == nil {
					t.Error("the context has not ended")
				}
			})
		})
	}
}

// If the error event's function panics, Serve panics too, and the session has ended.
func TestErrorEventPanics(t *testing.T) {
	for _, tt := range []struct {
		name string
		gen  generator
	}{
		{"after an error", func(_ context.Context, yield func(core.Event, error) bool) { yield(core.Event{}, errGenerator) }},
		{"after a panic", func(context.Context, func(core.Event, error) bool) { panic("first") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithErrorEvent(func(error) core.Event { panic("second") }))
				func() {
					defer func() {
						if got := recover(); got != "second" {
							t.Errorf("got a panic with %v, want %q", got, "second")
						}
					}()
					_ = tr.serve(tt.gen)
				}()
				tr.over.Store(true)
				quiet()
				equal(t, tr.log, []string{open, "0s Abort"})
				if tr.sum.Err == nil || g.Len() != 0 {
					t.Errorf("got the error %v and %d sessions in the group, want one and none", tr.sum.Err, g.Len())
				}
			})
		})
	}
}

func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		tr := newTrial(t.Context(), t, core.WithGroup(&g))
		done, returned := make(chan struct{}), false
		go func() {
			defer close(done)
			_ = tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
				yield(core.Event{Data: "a"}, nil)
				runtime.Goexit()
			})
			returned = true
		}()
		<-done
		tr.over.Store(true)
		quiet()
		equal(t, tr.log, []string{open, `0s "data: a\n\n"`, "0s Abort"})
		var pe *core.PanicError
		if !errors.As(tr.sum.Err, &pe) || pe.Value != nil || pe.Unwrap() != nil {
			t.Errorf("got the error %v, want a *PanicError without a value", tr.sum.Err)
		}
		if returned || g.Len() != 0 {
			t.Errorf("got a return %v and %d sessions in the group, want neither", returned, g.Len())
		}
	})
}

// An error that a generator yields after its context has ended is not a failure. The
// observer gets it if it is a new error.
func TestErrorAfterTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  func(ctx context.Context) error
		want error
	}{
		{"none", func(context.Context) error { return nil }, nil},
		{"the context's error", func(ctx context.Context) error { return fmt.Errorf("query: %w", ctx.Err()) }, nil},
		{"the cause", func(ctx context.Context) error { return fmt.Errorf("query: %w", context.Cause(ctx)) }, nil},
		{"another", func(context.Context) error { return errGenerator }, errGenerator},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g core.Group
				tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithErrorEvent(func(error) core.Event {
					t.Error("the error event's function was called")
					return core.Event{}
				}))
				time.AfterFunc(time.Second, func() { _ = g.Shutdown(context.WithoutCancel(t.Context())) })
				isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
					<-ctx.Done()
					if yield(core.Event{}, tt.err(ctx)) {
						t.Error("yield returned true after the end")
					}
				}), nil)
				equal(t, tr.log, []string{open, `1s "retry: 1000\n"`, "1s End"})
				isError(t, tr.sum.Cause, core.ErrShutdown)
				if tr.sum.Err != tt.want {
					t.Errorf("got the error %v, want %v", tr.sum.Err, tt.want)
				}
			})
		})
	}
}

// A failed write ends the session, and nothing follows it.
func TestSendFails(t *testing.T) {
	slow := fmt.Errorf("write tcp: %w", os.ErrDeadlineExceeded)
	for _, tt := range []struct {
		name  string
		fails string
		err   error
		want  []string
		cause error
	}{
		{"the first frame", "open", errBroken, []string{open, "0s Abort"}, core.ErrClientGone},
		{"an event", "b", errBroken, []string{open, `0s "data: a\n\n"`, `1s "data: b\n\n"`, "1s Abort"}, core.ErrClientGone},
		{"an event, too late", "b", slow, []string{open, `0s "data: a\n\n"`, `1s "data: b\n\n"`, "1s Abort"}, core.ErrSlowClient},
		{
			"a heartbeat", "heartbeat", errBroken,
			[]string{open, `0s "data: a\n\n"`, `1s "data: b\n\n"`, "16s " + heartbeat, "16s Abort"}, core.ErrClientGone,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, core.WithErrorEvent(func(error) core.Event { return core.Event{} }))
				tr.send = func(frames string) error {
					if strings.Contains(frames, ": "+tt.fails+"\n") {
						return tt.err
					}
					return nil
				}
				ran := false
				isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
					ran = true
					play(forever, at{0, "a"}, at{time.Second, "b"})(ctx, yield)
					if yield(core.Event{Data: "c"}, nil) {
						t.Error("yield returned true after a failed write")
					}
				}), nil)
				quiet()
				if want := tt.fails != "open"; ran != want {
					t.Errorf("got a run of the generator's %v, want %v", ran, want)
				}
				equal(t, tr.log, tt.want)
				isError(t, tr.sum.Cause, tt.cause)
				isError(t, tr.sum.Err, nil)
			})
		})
	}
}

// A write that fails after the session has ended is also the last one.
func TestSendFailsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		tr := newTrial(t.Context(), t, core.WithGroup(&g), core.WithFlushWindow(0), core.WithHeartbeat(0))
		tr.send = func(frames string) error {
			if frames == "data: a\n\n" {
				<-time.After(500 * time.Millisecond) // in the meantime the group is shut down
				return errBroken
			}
			return nil
		}
		time.AfterFunc(time.Second, func() { _ = g.Shutdown(context.WithoutCancel(t.Context())) })
		isError(t, tr.serve(play(forever, at{700 * time.Millisecond, "a"})), nil)
		quiet()
		equal(t, tr.log, []string{open, `700ms "data: a\n\n"`, "1.2s Abort"})
	})
}

// If the host's writer panics in a goroutine that does not run the stream, the process does
// not end.
func TestSendPanics(t *testing.T) {
	for _, tt := range []struct {
		name, at string
		want     []string
	}{
		{"in a heartbeat", "heartbeat", []string{open, `0s "data: a\n\n"`, `10ms "data: b\n\n"`, "15.01s " + heartbeat, "15.01s Abort"}},
		{"at a burst's end", "b", []string{open, `0s "data: a\n\n"`, `10ms "data: b\n\n"`, "10ms Abort"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, core.WithFlushWindow(10*time.Millisecond))
				tr.send = func(frames string) error {
					if strings.Contains(frames, ": "+tt.at+"\n") {
						panic("the writer is closed")
					}
					return nil
				}
				isError(t, tr.serve(play(forever, at{0, "a"}, at{0, "b"})), nil)
				quiet()
				equal(t, tr.log, tt.want)
				if got, want := fmt.Sprint(tr.sum.Cause), "host: the writer panicked: the writer is closed"; got != want {
					t.Errorf("got the cause %q, want %q", got, want)
				}
			})
		})
	}
}

// In the handler's goroutine such a panic reaches the host.
func TestSendPanicsInYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g core.Group
		tr := newTrial(t.Context(), t, core.WithGroup(&g))
		tr.send = func(frames string) error {
			if frames == "data: a\n\n" {
				panic("the writer is closed")
			}
			return nil
		}
		func() {
			defer func() {
				if got := recover(); got != "the writer is closed" {
					t.Errorf("got a panic with %v, want the writer's", got)
				}
			}()
			_ = tr.serve(play(forever, at{0, "a"}))
		}()
		tr.over.Store(true)
		quiet()
		if got := tr.log[len(tr.log)-1]; got != "0s Abort" || g.Len() != 0 {
			t.Errorf("got %s at last and %d sessions in the group, want an Abort and none", got, g.Len())
		}
	})
}

// The same at the very end of the response, where the generator has returned already. The
// observer is not told that all is well.
func TestSendPanicsAtTheEnd(t *testing.T) {
	for name, leave := range map[string]func(){
		"panic":  func() { panic("the writer is closed") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, core.WithFlushWindow(time.Minute))
				tr.send = func(frames string) error {
					if strings.Contains(frames, "data: b") {
						leave()
					}
					return nil
				}
				done := make(chan any)
				go func() {
					defer func() { done <- recover() }()
					_ = tr.serve(play(0, at{0, "a"}, at{0, "b"}))
				}()
				if got := <-done; got != nil != (name == "panic") {
					t.Errorf("got a panic with %v", got)
				}
				tr.over.Store(true)
				quiet()
				if got := tr.log[len(tr.log)-1]; got != "0s Abort" || tr.sum.Cause == nil || tr.sum.Err != nil {
					t.Errorf("got %s at last and %+v, want an Abort and a cause", got, tr.sum)
				}
			})
		})
	}
}

func TestObserver(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		parent := context.WithValue(t.Context(), key{}, "request 7")
		h := newHost(t)
		var end core.Summary
		s, err := host.NewSession(parent, core.Request{}, core.WithObserver(core.Observer{
			Opened: func(ctx context.Context) { h.note(fmt.Sprint("Opened ", ctx.Value(key{}), " ", ctx.Err())) },
			Closed: func(ctx context.Context, sum core.Summary) {
				h.note(fmt.Sprint("Closed ", ctx.Value(key{}), " ", ctx.Err()))
				end = sum
			},
		}))
		isError(t, err, nil)
		equal(t, h.log, nil)
		isError(t, s.Serve(h, func(yield func(core.Event, error) bool) {
			h.note("the generator")
			play(20*time.Second, at{0, "a"}, at{0, "b"}, at{time.Second, "c"})(s.Context(), yield)
		}), nil)
		equal(t, h.log, []string{
			open, "0s Opened request 7 <nil>", "0s the generator",
			`0s "data: a\n\n"`, `1ms "data: b\n\n"`, `1s "data: c\n\n"`, "16s " + heartbeat,
			"20s End", "20s Closed request 7 context canceled",
		})
		bytes := int64(len(": open\n\n") + 3*len("data: a\n\n") + len(": heartbeat\n\n"))
		if want := (core.Summary{Events: 3, Bytes: bytes, Duration: 20 * time.Second}); end != want {
			t.Errorf("got %+v, want %+v", end, want)
		}
	})
}

// Closed is called once for each Opened, even if the first write fails.
func TestObserverOfFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.send = func(string) error { return errBroken }
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithObserver(core.Observer{
			Opened: func(context.Context) { h.note("Opened") },
			Closed: func(context.Context, core.Summary) { h.note("Closed") },
		}))
		isError(t, err, nil)
		isError(t, s.Serve(h, nil), nil)
		equal(t, h.log, []string{open, "0s Opened", "0s Abort", "0s Closed"})
	})
}

// Close ends a session whose view has answered the request itself.
func TestClose(t *testing.T) {
	var g, h core.Group
	s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(&g), core.WithGroup(&h),
		core.WithObserver(core.Observer{Closed: func(context.Context, core.Summary) { t.Error("Closed without Opened") }}))
	isError(t, err, nil)
	if g.Len() != 1 || h.Len() != 1 {
		t.Errorf("got %d and %d sessions before, want 1 and 1", g.Len(), h.Len())
	}
	s.Close(nil)
	isError(t, s.Context().Err(), context.Canceled)
	if g.Len() != 0 || h.Len() != 0 {
		t.Errorf("got %d and %d sessions after, want none", g.Len(), h.Len())
	}
	s.ClientGone() // has no effect any more
}
