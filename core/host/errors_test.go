package host_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A brittle error has a method that panics if it is compared with another type.
type brittle struct{ error }

func (brittle) Is(target error) bool { return target.(brittle) == brittle{} } // the mistake

// A hollow error is often a nil pointer.
type hollow struct{ cause error }

func (*hollow) Error() string   { return "hollow" }
func (h *hollow) Unwrap() error { return h.cause }

// Errors of the application's whose methods panic are failures like others: they neither end the process,
// nor keep a session or its connection open.
func TestErrorsThatPanic(t *testing.T) {
	for name, bad := range map[string]error{"Is": brittle{errors.New("brittle")}, "Unwrap of nil": (*hollow)(nil)} {
		wantPanic := func(t *testing.T, err error) {
			t.Helper()
			if p, ok := err.(*core.PanicError); !ok {
				t.Errorf("got %v, want a PanicError", err)
			} else if len(p.Stack) == 0 {
				t.Error("the PanicError has no stack")
			}
		}
		t.Run(name+"/of a generator", func(t *testing.T) {
			tr := newTrial(t.Context(), t, core.WithLogger(slog.New(slog.DiscardHandler)))
			_ = tr.serve(func(_ context.Context, yield func(core.Event, error) bool) { yield(core.Event{}, bad) })
			wantPanic(t, tr.sum.Err)
		})
		t.Run(name+"/after the end", func(t *testing.T) {
			g := detached(t, func(s *host.Session) core.Stream {
				return func(yield func(core.Event, error) bool) {
					<-s.Context().Done()
					yield(core.Event{}, bad)
				}
			}, core.WithMaxDuration(10*time.Millisecond))
			wantPanic(t, soon(t, g.sums, "the end").Err)
			if _, err := io.Copy(io.Discard, g.client); err != nil {
				t.Errorf("got %v, want the end of the connection", err)
			}
		})
		t.Run(name+"/of the request's context", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			tr := newTrial(ctx, t)
			cancel(bad)
			<-tr.Context().Done()
			wantPanic(t, context.Cause(tr.Context()))
			tr.Close(nil)
		})
		t.Run(name+"/of a group", func(t *testing.T) {
			group := &core.Group{Key: func(context.Context) string { return "ann" }}
			tr := newTrial(t.Context(), t, core.WithGroup(group))
			group.End("ann", bad)
			if refused, ok := tr.Refused().(*core.RefusedError); !ok {
				t.Errorf("got %v, want a refusal", tr.Refused())
			} else {
				wantPanic(t, refused.Err)
			}
			tr.Close(nil)
		})
	}
}

// A refusal has a status that refuses.
func TestAnswerable(t *testing.T) {
	for status, want := range map[int]int{0: 503, 200: 503, 204: 204, 303: 303, 404: 404, 599: 599, 600: 503, -1: 503} {
		var got *core.RefusedError
		if err := host.Answerable(&core.RefusedError{Status: status, Message: "no"}); !errors.As(err, &got) || got.Status != want || got.Message != "no" {
			t.Errorf("status %d: got %+v, want %d", status, got, want)
		}
	}
	if err := host.Answerable(io.EOF); err != io.EOF {
		t.Errorf("got %v, want %v", err, io.EOF)
	}
	if err := host.Answerable(nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// Each observer that is told of the end has been told of the beginning, even if one of them panics.
func TestOpenedPanics(t *testing.T) {
	h := newHost(t)
	explode := core.Observer{Opened: func(context.Context) { panic("boom") }}
	s, err := host.NewSession(t.Context(), core.Request{}, h.notes("1 "), core.WithObserver(explode), h.notes("2 "))
	isError(t, err, nil)
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("got a panic with %v, want the observer's", got)
			}
		}()
		_ = s.Serve(h, nil)
	}()
	opened, closed := 0, 0
	for _, line := range h.log {
		switch line[len(line)-6:] {
		case "Opened":
			opened++
		case "Closed":
			closed++
		}
	}
	if opened != 2 || closed != 2 {
		t.Errorf("got %q, want two of Opened and of Closed", h.log)
	}
}
