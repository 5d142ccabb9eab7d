package nethttpsse_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A liar has methods that set deadlines, and do nothing.
type liar struct{ flusher }

func (liar) SetReadDeadline(time.Time) error  { return nil }
func (liar) SetWriteDeadline(time.Time) error { return nil }

// An openLiar is a liar with an Unwrap method.
type openLiar struct{ liar }

func (l openLiar) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// elsewhere runs a handler in another goroutine and panics again if it does, like
// middlewares with a time limit, but with another value.
func elsewhere(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			h.ServeHTTP(w, r)
		}()
		if v := <-done; v != nil {
			panic(fmt.Sprint(v))
		}
	})
}

// recovers is a recovery middleware that answers a panic, except net/http's own.
func recovers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			if v != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// Whatever wraps the server's writer, a stream that fails is broken.
func TestFailureUnderMiddleware(t *testing.T) {
	fail := errors.New("no more")
	streams := map[string]core.Stream{
		"error": hosttest.Fail(fail),
		"panic": func(yield func(core.Event, error) bool) { yield(core.Event{Data: "before"}, nil); panic(fail) },
	}
	tests := []struct {
		name   string
		proto  string
		with   func(http.ResponseWriter) http.ResponseWriter
		around func(http.Handler) http.Handler
	}{
		{"nothing", "HTTP/1.1", nil, nil},
		{"nothing", "HTTP/1.0", nil, nil},
		{"a liar with Unwrap", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return openLiar{liar{flusher{w}}} }, nil},
		{"a liar with Unwrap", "HTTP/1.0", func(w http.ResponseWriter) http.ResponseWriter { return openLiar{liar{flusher{w}}} }, nil},
		{"a writer with Unwrap, elsewhere", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return logger{w} }, elsewhere},
		{"a writer with Unwrap, elsewhere", "HTTP/1.0", func(w http.ResponseWriter) http.ResponseWriter { return logger{w} }, elsewhere},
		{"no deadlines", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }, nil},
		{"no deadlines", "HTTP/1.0", func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }, nil},
		{"no deadlines, elsewhere", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }, elsewhere},
		{"a liar", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return liar{flusher{w}} }, nil},
		{"a liar", "HTTP/1.0", func(w http.ResponseWriter) http.ResponseWriter { return liar{flusher{w}} }, nil},
		{"a liar, elsewhere", "HTTP/1.1", func(w http.ResponseWriter) http.ResponseWriter { return liar{flusher{w}} }, elsewhere},
	}
	for _, tt := range tests {
		for kind, stream := range streams {
			t.Run(fmt.Sprint(tt.name, " ", tt.proto, " ", kind), func(t *testing.T) {
				handler := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return stream })
				wrapped := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.with != nil {
						w = tt.with(w)
					}
					handler.ServeHTTP(w, r)
				}))
				if tt.around != nil {
					wrapped = tt.around(wrapped)
				}
				url := hosttest.Serve(t, recovers(wrapped), func(srv *http.Server) { srv.ErrorLog = log.New(io.Discard, "", 0) })
				got := ask(t, url, "GET / "+tt.proto+"\r\nHost: x\r\nConnection: close\r\n\r\n")
				if want := ": open\n\ndata: before\n\n"; got.Body != want || !got.Broken {
					t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, want)
				}
			})
		}
	}
}

// ask sends a raw request and reads the answer to its end.
func ask(t *testing.T, url, request string) hosttest.Answer {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && !res.ProtoAtLeast(1, 1) { // a reset may overtake an answer
		_, err = io.ReadAll(in)
	}
	return hosttest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body), Broken: err != nil}
}

// A connection that its listener has wrapped is reset like any other, and closed with
// the wrapper's Close, because the listener may count these calls.
func TestFailureOverWrappedListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 1)
	srv := &http.Server{ //nolint:gosec // its client is ours
		Handler:  nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return hosttest.Fail(io.EOF) }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(wrappingListener{ln, closed}) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	got := ask(t, "http://"+ln.Addr().String(), "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if !got.Broken {
		t.Errorf("got %q and a clean end, want a broken one", got.Body)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the listener's own Close was not called")
	}
}

// Close takes the connections away from streams that are not whole.
func TestServerCloseOnHTTP10(t *testing.T) {
	for name, wrap := range map[string]func(net.Listener) net.Listener{
		"plain":   func(ln net.Listener) net.Listener { return ln },
		"wrapped": func(ln net.Listener) net.Listener { return wrappingListener{ln, make(chan struct{}, 1)} },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(nil)
			srv.Config.Handler = nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				return func(yield func(core.Event, error) bool) {
					yield(core.Event{Data: "before"}, nil)
					go srv.Config.Close() //nolint:errcheck // the listener's error is of no interest
					<-r.Context().Done()
				}
			})
			srv.Listener = wrap(srv.Listener)
			srv.Start()
			t.Cleanup(srv.Close)
			got := ask(t, srv.URL, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
			if want := ": open\n\ndata: before\n\n"; got.Body != want || !got.Broken {
				t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, want)
			}
		})
	}
}

func TestKilledOnHTTP10(t *testing.T) {
	hosttest.Killed(t, func(ln net.Listener) error {
		return http.Serve(ln, nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return hosttest.Endless })) //nolint:gosec // its client is ours
	})
}

type wrappingListener struct {
	net.Listener

	closed chan<- struct{}
}

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return wrappedConn{c, l.closed}, err
}

type wrappedConn struct {
	net.Conn

	closed chan<- struct{}
}

func (c wrappedConn) Close() error {
	select {
	case c.closed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

// A recorder under a server belongs to a middleware that keeps the response. An endless
// stream would never be sent, and one that has failed would look whole.
func TestRecorderUnderServer(t *testing.T) {
	stream := nethttpsse.Handler(view)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		stream.ServeHTTP(rec, r)
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	got := ask(t, s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if want := "a *httptest.ResponseRecorder keeps the response"; got.Status != 500 || !strings.Contains(got.Body, want) {
		t.Errorf("got %d %q, want 500 and %q", got.Status, got.Body, want)
	}
}

// lateHeader sets a header when the response begins.
type lateHeader struct {
	http.ResponseWriter
	name, value string
}

func (w lateHeader) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w lateHeader) WriteHeader(status int) {
	w.Header().Set(w.name, w.value)
	w.ResponseWriter.WriteHeader(status)
}

// A stream that fails looks broken on HTTP/1.1, whatever a middleware or the view does to the deadlines
// and to how the response ends.
func TestFailureBehindMiddlewares(t *testing.T) {
	failing := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "one"}, nil) {
				yield(core.Event{}, errors.New("out of paper"))
			}
		}
	})
	for name, middleware := range map[string]http.HandlerFunc{
		"none": failing.ServeHTTP,
		"lifts the deadline": func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
			defer func() { _ = c.SetWriteDeadline(time.Time{}) }()
			failing.ServeHTTP(w, r)
		},
		"a Transfer-Encoding": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Transfer-Encoding", "identity")
			failing.ServeHTTP(w, r)
		},
		"a late Transfer-Encoding": func(w http.ResponseWriter, r *http.Request) {
			failing.ServeHTTP(lateHeader{w, "Transfer-Encoding", "identity"}, r)
		},
	} {
		for transport, serve := range map[string]func(*testing.T, http.Handler) *site{"plain": newSite, "TLS": newSiteTLS} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				s := serve(t, middleware)
				_, resp := s.dial("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
				body, err := io.ReadAll(resp.Body)
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %q and the end %v, want a broken response", body, err)
				}
				if got := string(body); got != "" && got != ": open\n\n" && got != ": open\n\ndata: one\n\n" {
					t.Errorf("got %q, want nothing but the event", got)
				}
			})
		}
	}
}
