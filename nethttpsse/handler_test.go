package nethttpsse_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// The events after POST, and after GET, whose response begins with a comment.
const (
	afterPost = "data: one\n\ndata: two\n\n"
	twoEvents = ": open\n\n" + afterPost
)

func view(w http.ResponseWriter, _ *http.Request) core.Stream {
	return hosttest.Events("one", "two")
}

// A bare embeds a writer and hides all but its methods.
type bare struct{ http.ResponseWriter }

// A logger is a middleware's writer with an Unwrap method, as it should be.
type logger struct{ http.ResponseWriter }

func (l logger) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// A flusher flushes, but hides the deadlines.
type flusher struct{ http.ResponseWriter }

func (f flusher) Flush() { _ = http.NewResponseController(f.ResponseWriter).Flush() }

// A gzipper compresses, as the writers of compression middlewares do.
type gzipper struct {
	logger
	zip *gzip.Writer
}

func (g gzipper) Write(p []byte) (int, error) { return g.zip.Write(p) }

func (g gzipper) FlushError() error {
	if err := g.zip.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(g.ResponseWriter).Flush()
}

// An apart has headers of its own.
type apart struct {
	logger
	header http.Header
}

func (a apart) Header() http.Header { return a.header }

func TestMiddleware(t *testing.T) {
	stream := nethttpsse.Handler(view)
	wrap := func(with func(http.ResponseWriter) http.ResponseWriter) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream.ServeHTTP(with(w), r) })
	}
	tests := []struct {
		name    string
		handler http.Handler
		status  int
		want    string
	}{
		{"no middleware", stream, 200, twoEvents},
		{"a writer with Unwrap", wrap(func(w http.ResponseWriter) http.ResponseWriter { return logger{w} }), 200, twoEvents},
		{"a writer with Flush only", wrap(func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }), 200, twoEvents},
		{
			"TimeoutHandler", http.TimeoutHandler(stream, time.Minute, "too late"), 500,
			"a *http.timeoutWriter cannot flush",
		},
		{
			"a writer that hides Flush", wrap(func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }), 500,
			"a nethttpsse_test.bare cannot flush",
		},
		{
			"a writer with headers of its own",
			wrap(func(w http.ResponseWriter) http.ResponseWriter { return apart{logger{w}, http.Header{}} }), 500,
			"a nethttpsse_test.apart holds the headers back",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := hosttest.Get(t, hosttest.Serve(t, tt.handler))
			if got.Status != tt.status || !strings.Contains(got.Body, tt.want) {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Body, tt.status, tt.want)
			}
			if isStream := got.Header.Get("Content-Type") == "text/event-stream; charset=utf-8"; isStream != (tt.status == 200) {
				t.Errorf("got header %v with status %d", got.Header, got.Status)
			}
		})
	}
}

func TestCompressedStreamFlows(t *testing.T) {
	stream, step := hosttest.Stepped("one", "two")
	handler := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return stream })
	url := hosttest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close() //nolint:errcheck // the client sees
		handler.ServeHTTP(gzipper{logger{w}, zip}, r)
	}))
	res, err := http.Get(url) //nolint:noctx // its transport unzips
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got []string
	for e, err := range core.Read(stepReader{res.Body, step}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
	}
	if want := []string{"one", "two"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A stepReader takes a step before each read: an event is made only when the one before
// it has arrived, and a stream that holds an event back never continues.
type stepReader struct {
	io.Reader
	step func()
}

func (r stepReader) Read(p []byte) (int, error) {
	r.step()
	return r.Reader.Read(p)
}

func TestResponseRecorder(t *testing.T) {
	w := httptest.NewRecorder()
	nethttpsse.Handler(view).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if got := w.Body.String(); got != twoEvents || !w.Flushed {
		t.Errorf("got %q, flushed %t, want %q, flushed", got, w.Flushed, twoEvents)
	}
}

// A connection that has carried a stream serves the next request, without a deadline
// left over from the stream.
func TestConnectionIsUsedAgain(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprint("WriteTimeout ", timeout), func(t *testing.T) {
			url := hosttest.Serve(t, nethttpsse.Handler(view), func(srv *http.Server) { srv.WriteTimeout = timeout })
			dials := atomic.Int32{}
			transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}}
			defer transport.CloseIdleConnections()
			for range 3 {
				res, err := (&http.Client{Transport: transport}).Get(url) //nolint:noctx // bounded by the stream
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if string(body) != twoEvents || err != nil {
					t.Errorf("got %q, %v, want %q", body, err, twoEvents)
				}
				_ = res.Body.Close()
			}
			if got, want := dials.Load(), int32(1); got != want {
				t.Errorf("got %d connections, want %d", got, want)
			}
		})
	}
}

// leaving returns a handler whose stream is idle until its context ends, and a channel
// for the cause.
func leaving(opts ...core.Option) (http.Handler, <-chan error) {
	causes := make(chan error, 1)
	return nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
		}
	}, opts...), causes
}

// If net/http cannot notice that the client leaves, the adapter or a heartbeat does.
func TestClientLeaves(t *testing.T) {
	large := strings.Repeat("x", 600<<10)
	tests := []struct {
		name    string
		request string
		opts    []core.Option
	}{
		{"with a large body that was not read", fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large),
			[]core.Option{core.WithHeartbeat(0)}},
		{"with another request waiting", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
			[]core.Option{core.WithHeartbeat(10 * time.Millisecond)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			handler, causes := leaving(tt.opts...)
			url := hosttest.Serve(t, handler)
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			for line := ""; line != "\r\n"; { // the headers are enough
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if got, want := <-causes, core.ErrClientGone; !errors.Is(got, want) {
				t.Errorf("got cause %v, want %v", got, want)
			}
		})
	}
}

// The request's path is quoted in the server's log. A recorder cannot be broken, and has
// the events before the failure.
func TestErrorLog(t *testing.T) {
	var out bytes.Buffer
	srv := &http.Server{ErrorLog: log.New(&out, "", 0)} //nolint:gosec // never listens
	failing := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return hosttest.Fail(errors.New("no room \"a\n2026/01/01 root logged in\""))
	})
	ctx := context.WithValue(t.Context(), http.ServerContextKey, srv)
	w := httptest.NewRecorder()
	failing.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/prices%0a2026/01/01%20root%20logged%20in", nil))
	if got, want := out.String(), `nethttpsse: stream of "GET /prices\n2026/01/01 root logged in": "no room \"a\n2026/01/01 root logged in\""`+"\n"; got != want {
		t.Errorf("got log %q, want %q", got, want)
	}
	if got, want := w.Body.String(), ": open\n\ndata: before\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A stream that fails with the refusal of another server is not answered as if it had
// been refused itself.
func TestFailureWithARefusal(t *testing.T) {
	quiet := func(srv *http.Server) { srv.ErrorLog = log.New(io.Discard, "", 0) }
	url := hosttest.Serve(t, nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return hosttest.Fail(&core.RefusedError{Status: 503, Err: errors.New("inner secret")})
	}, core.WithErrorEvent(func(error) core.Event { return core.Event{Type: "failed"} })), quiet)
	got := hosttest.Get(t, url)
	if want := ": open\n\ndata: before\n\nevent: failed\ndata: \n\n"; got.Body != want || got.Broken {
		t.Errorf("got %q, broken %t, want %q", got.Body, got.Broken, want)
	}
}

// Serve's errors show whether the stream had begun.
func TestServeErrors(t *testing.T) {
	inner := errors.New("inner")
	refused := &core.RefusedError{Status: 418, Err: inner}
	for _, tt := range []struct {
		name          string
		view          func(r *http.Request) (core.Stream, error)
		opts          []core.Option
		begun, answer bool // a *core.StreamError, a *core.RefusedError
	}{
		{name: "the view has failed", view: func(*http.Request) (core.Stream, error) { return nil, inner }},
		{
			name:   "the view refuses",
			view:   func(*http.Request) (core.Stream, error) { return nil, fmt.Errorf("busy: %w", refused) },
			answer: true,
		},
		{
			name:   "an option refuses",
			view:   func(*http.Request) (core.Stream, error) { return hosttest.Fail(inner), nil },
			opts:   []core.Option{core.WithHeartbeatEvent(core.Event{ID: "1"})},
			answer: true,
		},
		{
			name:  "the stream has failed",
			view:  func(*http.Request) (core.Stream, error) { return hosttest.Fail(inner), nil },
			begun: true,
		},
		{
			name:   "the stream has failed with a refusal",
			view:   func(*http.Request) (core.Stream, error) { return hosttest.Fail(refused), nil },
			begun:  true,
			answer: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			err := nethttpsse.Serve(w, r, tt.view, tt.opts...)
			var (
				failed  *core.StreamError
				refused *core.RefusedError
			)
			if got := errors.As(err, &failed); got != tt.begun {
				t.Errorf("%v is a *core.StreamError: got %t, want %t", err, got, tt.begun)
			}
			if got := errors.As(err, &refused); got != tt.answer {
				t.Errorf("%v is a *core.RefusedError: got %t, want %t", err, got, tt.answer)
			}
			if len(tt.opts) == 0 && !errors.Is(err, inner) {
				t.Errorf("got %v, want an error that wraps %v", err, inner)
			}
		})
	}
}

func TestServeNilView(t *testing.T) {
	defer func() {
		if got, want := recover(), "nethttpsse: Serve: the view is nil"; got != want {
			t.Errorf("got panic %v, want %q", got, want)
		}
	}()
	_ = nethttpsse.Serve(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), nil)
}

// If the server's base context is cancelled, no event is lost. But the response is
// broken, because it looks as if the client had left.
func TestBaseContextCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := hosttest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "one"}, nil)
			yield(core.Event{Data: "two"}, nil)
			cancel()
			<-r.Context().Done()
		}
	}, core.WithFlushWindow(time.Minute)), func(srv *http.Server) {
		srv.BaseContext = func(net.Listener) context.Context { return ctx }
	})
	if got := hosttest.Get(t, url); got.Body != twoEvents || !got.Broken {
		t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, twoEvents)
	}
}

// The request of a session has the router's pattern, without its method.
func TestRoute(t *testing.T) {
	for pattern, want := range map[string]string{
		"/rooms/{id}":                "/rooms/{id}",
		"GET /rooms/{id}":            "/rooms/{id}",
		"GET \t 127.0.0.1/{rest...}": "127.0.0.1/{rest...}",
		"127.0.0.1/":                 "127.0.0.1/",
	} {
		mux := http.NewServeMux()
		mux.Handle(pattern, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			request := core.RequestOf(r.Context())
			return hosttest.Events(request.Method + " " + request.Path + " of " + request.Route)
		}))
		want = ": open\n\ndata: GET /rooms/a b of " + want + "\n\n"
		if got := hosttest.Get(t, hosttest.Serve(t, mux)+"/rooms/a%20b?x=1").Body; got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
}

// A view that has answered must not return a stream.
func TestAnswerAndStream(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"a body":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, "no") },
		"a status":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
		"a flush":   func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"an advice": func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) },
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				logged := new(hosttest.Logbook)
				h := nethttpsse.Handler(func(w http.ResponseWriter, _ *http.Request) core.Stream {
					answer(w)
					return hosttest.Events("the stream")
				})
				srv := httptest.NewUnstartedServer(h)
				srv.Config.ErrorLog = log.New(logged, "", 0)
				srv.EnableHTTP2 = protocol == "HTTP/2"
				srv.StartTLS()
				t.Cleanup(srv.Close)
				res, err := srv.Client().Get(srv.URL) //nolint:noctx // on loopback
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil || !strings.HasPrefix(res.Proto, protocol) {
					t.Errorf("got %s and error %v", res.Proto, err)
				}
				streamed, told := strings.Contains(string(body), "the stream"), strings.Contains(logged.String(), "also returned a stream")
				if early := name == "an advice"; streamed != early || told == early {
					t.Errorf("got %d %q and the log %q", res.StatusCode, body, logged)
				}
			})
		}
	}
}
