package adaptertest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// idle returns a view that waits for the end of its context and sends the cause to causes.
// Then it yields an event, which must not be sent: it could tell the client that the stream
// is whole.
func idle(causes chan<- error) View {
	return func(ctx context.Context, _ Exchange) core.Stream {
		return core.Then(func(func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
		}, core.Event{Data: "too late"})
	}
}

func wantCause(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

func checkLeaving(t testing.TB, h mounted) {
	ssetest.NoLeaks(t, h.Ignore...)
	causes, running := make(chan error, 1), make(chan struct{}, 1)
	s := h.serve(t, map[string]View{"/": func(ctx context.Context, x Exchange) core.Stream {
		if core.LastEventID(ctx) == "read" {
			_, _ = io.Copy(io.Discard, x.Body)
		}
		wait := idle(causes)(ctx, x)
		return func(yield func(core.Event, error) bool) {
			running <- struct{}{}
			wait(yield)
		}
	}})
	small, large := strings.Repeat("x", 1<<10), strings.Repeat("x", 512<<10)
	for _, test := range []struct{ name, method, body, id string }{
		{"GET", "GET", "", ""},
		{"POST with a body that the view reads", "POST", small, "read"},
		{"POST with a small body that the view does not read", "POST", small, ""},
		{"POST with a large body that the view reads", "POST", large, "read"},
		{"POST with a large body that the view does not read", "POST", large, ""},
	} {
		r := s.request("/")
		r.Method, r.Body = test.method, test.body
		if test.id != "" {
			r.Header = http.Header{"Last-Event-Id": {test.id}}
		}
		st := openStream(t, r)
		hosttest.ReceiveWithin(t, h.timeout, running, test.name+": the generator's start")
		st.Close()
		cause := hosttest.ReceiveWithin(t, h.timeout, causes, test.name+": the end of the context after the client had left")
		wantCause(t, cause, core.ErrClientGone)
		end := s.end()
		wantCause(t, end.Cause, core.ErrClientGone)
		if end.Err != nil {
			t.Errorf("%s: the observer was told of an error: %v", test.name, end.Err)
		}
	}
	if log := s.log.String(); log != "" {
		t.Errorf("a client that leaves is not an error, but the host logged: %s", log)
	}
}

func checkLeavingBusy(t testing.TB, h mounted) {
	ssetest.NoLeaks(t, h.Ignore...)
	causes := make(chan error, 1)
	s := h.serve(t, map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for yield(core.Event{Data: "again"}, nil) {
			}
			causes <- context.Cause(ctx)
			// A generator that ignores yield's result must do no harm.
			yield(core.Event{Data: "too late"}, nil)
			yield(core.Event{}, errors.New("too late"))
		}
	}})
	for range 5 {
		st := s.open("/")
		st.Collect(100)
		st.Close()
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the end of the context"), core.ErrClientGone)
		wantCause(t, s.end().Cause, core.ErrClientGone)
	}
}

func checkSlowClient(t testing.TB, h mounted) {
	patience := time.Second / 2
	h.again(t, func(t testing.TB) {
		patience *= 2
		if !sparesOthers(t, h, patience) {
			t.Error("another session waits for a client that does not read")
		}
	})
}

// again tries a check up to three times, because on a busy machine a session may seem slow
// for another reason than the one that is checked. The failures of the last one count. The suite's
// own tests expect failures, so they try once.
func (h mounted) again(t testing.TB, check func(testing.TB)) {
	t.Helper()
	if h.timeout < defaultTimeout {
		check(t)
		return
	}
	hosttest.Again(t, check)
}

// sparesOthers opens a stream that its client does not read, and reports whether events
// of another session arrived while the server was stuck with it.
func sparesOthers(t testing.TB, h mounted, patience time.Duration) bool {
	t.Helper()
	goAhead := make(chan struct{})
	causes := make(chan error, 1)
	var taken atomic.Int64
	s := h.serveSite(t, &Site{
		Views: map[string]View{
			"/works": works,
			"/other": steps(goAhead),
			"/flood": func(ctx context.Context, _ Exchange) core.Stream {
				return func(yield func(core.Event, error) bool) {
					e := core.Event{Data: strings.Repeat("x", 4<<10)}
					for yield(e, nil) {
						taken.Add(1)
					}
					causes <- context.Cause(ctx)
				}
			},
		},
		Options:    []core.Option{core.WithWriteTimeout(patience)},
		sendBuffer: 64 << 10,
	})
	other := s.open("/other")
	rest := s.stall("/flood")

	before := int64(0)
	since := time.Now()
	hosttest.EventuallyWithin(t, h.timeout, "the server is stuck with a client that does not read", func() bool {
		if now := taken.Load(); now != before || now == 0 {
			before, since = now, time.Now()
		}
		return time.Since(since) > 50*time.Millisecond
	})
	s.follow(other, goAhead, 1, 10)
	spared := len(causes) == 0

	cause := hosttest.ReceiveWithin(t, h.timeout, causes, "the end of the session of a client that does not read")
	wantCause(t, cause, core.ErrSlowClient)
	wantCause(t, s.end().Cause, core.ErrSlowClient)
	if err := rest(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client that did not read sees the end %v, want a broken response", err)
	}
	s.follow(other, goAhead, 11, 20)
	other.Close()
	s.end()
	s.works()
	return spared
}

// stall is a client that sends a request for path and does not read. rest then reads to
// the end of the response, and returns how it broke.
func (s *server) stall(path string) (rest func() error) {
	s.t.Helper()
	if s.host.protocol != HTTP1 {
		st := s.request(path).Open(s.t) // whose body nobody reads
		return func() error { _, err := st.Rest(); return err }
	}
	conn, err := net.Dial("tcp", s.addr) //nolint:noctx // on loopback
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10) //nolint:forcetypeassert // it is one
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return func() error {
		_ = conn.SetDeadline(time.Now().Add(s.host.timeout))
		return chunks(conn)
	}
}

// chunks reads a response in chunks to its end, and returns how it broke.
func chunks(conn net.Conn) error {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err //nolint:wrapcheck // the caller shows it
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err //nolint:wrapcheck // the caller shows it
}

// failures are the ways in which a generator fails after some events.
var failures = []struct {
	name, text string // text is part of the error
	fail       func(yield func(core.Event, error) bool)
	is         func(error) bool
}{
	{
		"error", "boom: a failure",
		func(yield func(core.Event, error) bool) { yield(core.Event{Data: "together with an error"}, errBoom) },
		func(err error) bool { return errors.Is(err, errBoom) },
	},
	{
		"refusal", "boom: a refusal", // by another server: the response has begun, so it is not answered
		func(yield func(core.Event, error) bool) {
			yield(core.Event{}, &core.RefusedError{Status: 503, Err: errRefusal})
		},
		func(err error) bool { return errors.Is(err, errRefusal) },
	},
	{
		"panic", "boom: a panic",
		func(func(core.Event, error) bool) { panic("boom: a panic") },
		func(err error) bool {
			var p *core.PanicError
			return errors.As(err, &p) && p.Value == "boom: a panic"
		},
	},
	{
		"encoding", "event ID",
		func(yield func(core.Event, error) bool) {
			if yield(core.Event{ID: "boom\ndata: injected", Data: "never"}, nil) {
				panic("an event with a newline in its ID was taken")
			}
		},
		func(err error) bool { return err != nil && strings.Contains(err.Error(), "event ID") },
	},
}

var (
	errBoom    = errors.New("boom: a failure")
	errRefusal = errors.New("boom: a refusal")
)

// failing returns a view for each of failures, which makes three events first. If read is
// not nil, it fails when it gets a go-ahead.
func failing(read <-chan struct{}) map[string]View {
	views := map[string]View{"/works": works}
	for _, f := range failures {
		views["/"+f.name] = func(ctx context.Context, _ Exchange) core.Stream {
			return func(yield func(core.Event, error) bool) {
				for _, e := range numbered(1, 3) {
					if !yield(e, nil) {
						return
					}
				}
				if read != nil {
					select {
					case <-read:
					case <-ctx.Done():
					}
				}
				f.fail(yield)
			}
		}
	}
	return views
}

func checkFailure(t testing.TB, h mounted) {
	var read chan struct{}
	if h.protocol.overtakes() {
		read = make(chan struct{})
	}
	s := h.serve(t, failing(read))
	for _, f := range failures {
		st := s.open("/" + f.name)
		var got []core.Event
		if read != nil {
			got = st.Collect(3)
			s.pass(read)
		}
		rest, err := st.Rest()
		ssetest.Equal(t, append(got, rest...), numbered(1, 3))
		if err == nil {
			t.Errorf("%s: the response ended cleanly, want a broken one", f.name)
		}
		if end := s.end(); !f.is(end.Err) || end.Cause != nil {
			t.Errorf("%s: the observer was told %+v", f.name, end)
		}
		s.says(f.text)
		s.works()
	}
}

func checkErrorEvent(t testing.TB, h mounted) {
	told := make(chan error, 1)
	s := h.serve(t, failing(nil), core.WithErrorEvent(func(err error) core.Event {
		told <- err
		return core.Event{Type: "error", Data: "sorry"}
	}))
	for _, f := range failures {
		_, got, _ := strings.Cut(s.request("/"+f.name).Open(t).Body(), "\n\n") // the opening
		if want := "id: 1\ndata: \n\nid: 2\ndata: \n\nid: 3\ndata: \n\nevent: error\ndata: sorry\n\n"; got != want {
			t.Errorf("%s: got %q after the opening, want %q", f.name, got, want)
		}
		if err := hosttest.ReceiveWithin(t, h.timeout, told, "the call for an error event"); !f.is(err) {
			t.Errorf("%s: the error event's function got %v", f.name, err)
		}
		if end := s.end(); !f.is(end.Err) {
			t.Errorf("%s: the observer was told %+v", f.name, end)
		}
		s.says(f.text)
		s.works()
	}
}

func checkMaxDuration(t testing.TB, h mounted) {
	h.again(t, func(t testing.TB) {
		t.Helper()
		causes := make(chan error, 1)
		s := h.serve(t, map[string]View{"/": idle(causes)}, core.WithMaxDuration(100*time.Millisecond))
		ssetest.Equal(t, s.open("/").All(), nil)
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrMaxDuration)
		wantCause(t, s.end().Cause, core.ErrMaxDuration)
	})
}
