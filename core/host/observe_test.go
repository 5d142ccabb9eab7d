package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// notes is an observer that notes what it is told.
func (h *fakeHost) notes(name string) core.Option {
	return core.WithObserver(core.Observer{
		Refused: func(_ context.Context, err *core.RefusedError) { h.note(fmt.Sprintf("%sRefused %v", name, err)) },
		Opened:  func(context.Context) { h.note(name + "Opened") },
		Wrote:   func(_ context.Context, w core.Write) { h.note(fmt.Sprintf("%sWrote %+v", name, w)) },
		Closed:  func(context.Context, core.Summary) { h.note(name + "Closed") },
	})
}

// An observer is told of each write, whoever writes: the beginning, an event that is sent at
// once, a burst whose rest the timer flushes, and a heartbeat.
func TestWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.send = func(frames string) error {
			if strings.HasPrefix(frames, "data: b") {
				<-time.After(2 * time.Second)
			}
			return nil
		}
		s, err := host.NewSession(t.Context(), core.Request{}, h.notes(""))
		isError(t, err, nil)
		isError(t, s.Serve(h, func(yield func(core.Event, error) bool) {
			play(20*time.Second, at{0, "a"}, at{0, "b"}, at{0, "c"})(s.Context(), yield)
		}), nil)
		equal(t, h.log, []string{
			open, "0s Opened", "0s Wrote {Events:0 Bytes:8 Heartbeat:false Duration:0s}",
			`0s "data: a\n\n"`, "0s Wrote {Events:1 Bytes:9 Heartbeat:false Duration:0s}",
			`1ms "data: b\n\ndata: c\n\n"`, "2.001s Wrote {Events:2 Bytes:18 Heartbeat:false Duration:2s}",
			"15.001s " + heartbeat, "15.001s Wrote {Events:0 Bytes:13 Heartbeat:true Duration:0s}",
			"20s End", "20s Closed",
		})
	})
}

// All observers are told, in order, even of an end during which one of them panics.
func TestObservers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		explode := core.Observer{Closed: func(context.Context, core.Summary) { panic("boom") }}
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
		first := "Wrote {Events:0 Bytes:8 Heartbeat:false Duration:0s}"
		equal(t, h.log, []string{open, "0s 1 Opened", "0s 2 Opened", "0s 1 " + first, "0s 2 " + first, "0s End", "0s 1 Closed", "0s 2 Closed"})
	})
}

// An observer that panics or ends its goroutine makes its own stream fail, whoever has
// written, and nothing else.
func TestWrotePanics(t *testing.T) {
	for name, stop := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		once := func(when func(core.Write) bool) core.Option {
			return core.WithObserver(core.Observer{Wrote: func(_ context.Context, w core.Write) {
				if when(w) {
					stop()
				}
			}})
		}
		ofEvent := func(w core.Write) bool { return w.Events > 0 }
		for _, tt := range []struct {
			name string
			when func(core.Write) bool
		}{
			{"of the beginning", func(w core.Write) bool { return w.Events == 0 && !w.Heartbeat }},
			{"of an event", ofEvent},
			{"of a burst's end", func(w core.Write) bool { return w.Events == 2 }},
			{"of a heartbeat", func(w core.Write) bool { return w.Heartbeat }},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := newTrial(t.Context(), t, once(tt.when))
					done := make(chan struct{})
					go func() { // Goexit ends it
						defer close(done)
						_ = tr.serve(play(20*time.Second, at{0, "a"}, at{0, "b"}, at{0, "c"}))
					}()
					<-done
					tr.over.Store(true)
					var failure *core.PanicError
					if !errors.As(tr.sum.Err, &failure) || (failure.Value == nil) != (name == "Goexit") {
						t.Errorf("got %+v, want a PanicError", tr.sum)
					}
					if got := tr.log[len(tr.log)-1]; !strings.HasSuffix(got, "Abort") {
						t.Errorf("got %s at last, want an Abort", got)
					}
				})
			})
		}
		t.Run(name+" in a worker", func(t *testing.T) {
			g := detached(t, handedOver(t, &pump{next: list(io.EOF, "a", "b")}), once(ofEvent))
			if got := soon(t, g.sums, "the end"); got.Events != 1 {
				t.Errorf("got %+v, want 1 event", got)
			}
			var failure *core.PanicError
			if err := soon(t, g.failures, "the failure"); !errors.As(err, &failure) {
				t.Errorf("got %v, want a PanicError", err)
			}
			flush := detached(t, handedOverAfter(t, &pump{next: list(io.EOF)}, "a", "bb"), // which waits
				core.WithFlushWindow(time.Hour), once(func(w core.Write) bool { return w.Bytes == len(frame("bb")) }))
			if got := soon(t, flush.sums, "the end of a stream that was handed over behind events"); got.Events != 2 {
				t.Errorf("got %+v, want 2 events", got)
			}
			other := detached(t, handedOver(t, &pump{next: list(io.EOF, "a", "b")}))
			if events, err := other.events(); datas(events) != "a b" || err != nil {
				t.Errorf("another session: got %q, %v, want both events", datas(events), err)
			}
		})
	}
}

// A refusal is told of once, whoever refuses.
func TestRefused(t *testing.T) {
	full, closing := &core.Group{Limit: 1}, new(core.Group)
	s, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(full))
	isError(t, err, nil)
	defer s.Close(nil)
	isError(t, closing.Shutdown(t.Context()), nil)
	other := errors.New("other")
	for _, tt := range []struct {
		name  string
		opt   core.Option
		close func(s *host.Session) error
		want  string
	}{
		{"a full group", core.WithGroup(full), nil, "503 core: the group is full"},
		{"a group that shuts down", core.WithGroup(closing), nil, "503 core: the server is shutting down"},
		{"a bad option", core.WithHeartbeatEvent(core.Event{ID: "1"}), nil, "500 core: heartbeat event: it has an ID"},
		{"core.Refuse", nil, func(s *host.Session) error {
			core.Refuse(s.Context(), other)
			return s.Refused()
		}, "503 other"},
		{"the adapter", nil, func(*host.Session) error {
			return fmt.Errorf("adapter: %w", &core.RefusedError{Status: 413, Err: other})
		}, "413 other"},
		{"an error of the view's", nil, func(*host.Session) error { return other }, ""},
		{"another server's", nil, func(*host.Session) error {
			return &core.StreamError{Err: &core.RefusedError{Status: 503, Err: other}}
		}, ""},
		{"an answer", nil, func(*host.Session) error { return nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			s, err := host.NewSession(t.Context(), core.Request{}, tt.opt, core.WithObserver(core.Observer{
				Refused: func(ctx context.Context, err *core.RefusedError) {
					got += fmt.Sprint(err.Status, " ", err)
					isError(t, context.Cause(ctx), err)
				},
				Opened: func(context.Context) { t.Error("Opened") },
				Closed: func(context.Context, core.Summary) { t.Error("Closed") },
			}))
			if err == nil {
				s.Close(tt.close(s))
			}
			if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A write that a client accepts only in part is told of when it has accepted the rest: what
// the observer is told of sums up, and the wait is in it.
func TestWroteToStalledClient(t *testing.T) {
	const size = 8 << 20 // more than the kernel takes
	var (
		mu  sync.Mutex
		sum core.Write
	)
	large := append(append([]byte("data: "), bytes.Repeat([]byte("x"), size)...), "\n\n"...)
	frames := [][]byte{frame("a"), large, frame("b")}
	g := detached(t, handedOver(t, &pump{next: func(to *[][]byte) (bool, error) {
		if frames == nil {
			return false, io.EOF
		}
		*to = append(*to, frames...)
		frames = nil
		return true, nil
	}}), core.WithObserver(core.Observer{Wrote: func(_ context.Context, w core.Write) {
		mu.Lock()
		defer mu.Unlock()
		sum.Events += w.Events
		sum.Bytes += w.Bytes
		sum.Duration += w.Duration
	}}))
	events, err := g.events()
	end := soon(t, g.sums, "the end")
	mu.Lock()
	defer mu.Unlock()
	if err != nil || len(events) != 3 || sum.Events != 3 || int64(sum.Bytes) != end.Bytes || sum.Bytes < size || sum.Duration > end.Duration {
		t.Errorf("got %d events, %v, told of %+v, want 3 and the sums of %+v", len(events), err, sum, end)
	}
}
