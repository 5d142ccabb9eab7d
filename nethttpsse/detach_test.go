package nethttpsse_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

const patience = time.Minute

// A site is a server that reports when its handlers have returned.
type site struct {
	t        *testing.T
	addr     string
	returned chan string // the paths of requests
	server   *http.Server
	log      *hosttest.Logbook
	tls      bool
}

func newSite(t *testing.T, handler http.Handler) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, handler)
}

// newSiteTLS is newSite under TLS, without HTTP/2.
func newSiteTLS(t *testing.T, handler http.Handler) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, tls.NewListener(ln, hosttest.ServerTLS()), handler)
	s.tls = true
	return s
}

// serveOn serves handler until the test ends. The functions with are called with the server
// before it starts.
func serveOn(t *testing.T, ln net.Listener, handler http.Handler, with ...func(*http.Server)) *site {
	t.Helper()
	s := &site{t: t, addr: ln.Addr().String(), returned: make(chan string, 1000), log: new(hosttest.Logbook)}
	s.server = &http.Server{
		ReadHeaderTimeout: patience,

		ErrorLog: log.New(s.log, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { s.returned <- r.URL.Path }()
			handler.ServeHTTP(w, r)
		}),
	}
	for _, set := range with {
		set(s.server)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return s
}

func (s *site) open(path string) *ssetest.Stream {
	s.t.Helper()
	return ssetest.Open(s.t, "http://"+s.addr+path)
}

// dial sends a raw request over a new connection.
func (s *site) dial(request string) (net.Conn, *http.Response) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr) //nolint:noctx // on loopback
	if err != nil {
		s.t.Fatal(err)
	}
	if s.tls {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // on loopback, to our own
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn, resp
}

// held is a view whose stream takes its events from a channel, and reports how it ended.
func held(goAhead <-chan string, ends chan<- error) nethttpsse.View {
	return func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			for data := range core.Receive(ctx, goAhead) {
				if !yield(core.Event{Data: data}, nil) {
					break
				}
			}
			ends <- context.Cause(ctx)
		}
	}
}

// stays reports whether a running stream is still in its handler.
func (s *site) stays() bool {
	for range 20 { // by then it would have returned
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
	return len(s.returned) == 0
}

func TestDetach(t *testing.T) {
	goAhead, ends := make(chan string), make(chan error, 10)
	stream := nethttpsse.Handler(held(goAhead, ends), core.WithDetach())
	wrap := func(with func(http.ResponseWriter) http.ResponseWriter) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream.ServeHTTP(with(w), r) })
	}
	header := func(name, value string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			stream.ServeHTTP(w, r)
		})
	}
	withContext := func(with func(context.Context) (context.Context, context.CancelFunc)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := with(r.Context())
			defer cancel()
			stream.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	tests := []struct {
		name    string
		handler http.Handler
		request string
		stays   bool
	}{
		{"a plain request", stream, "GET / HTTP/1.1\r\nHost: test\r\n\r\n", false},
		{"a body that was not read", stream, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody", false},
		{"a body in chunks", stream, "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false},
		{"input behind the request", stream, "GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n", false},
		{"a writer with Unwrap", wrap(func(w http.ResponseWriter) http.ResponseWriter { return logger{w} }), "", false},
		{"a context that ends with the handler", withContext(context.WithCancel), "", false},
		{
			"a deadline", withContext(func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Hour)
			}), "", true,
		},
		{"HTTP/1.0", stream, "GET / HTTP/1.0\r\nHost: test\r\n\r\n", true},
		{"a Content-Encoding", header("Content-Encoding", "gzip"), "", true},
		{"a Transfer-Encoding", header("Transfer-Encoding", "identity"), "", false}, // which is removed
		{"a Trailer", header("Trailer", "X-Sum"), "", true},
		{"a writer without Unwrap", wrap(func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			s := newSite(t, test.handler)
			if test.request == "" {
				test.request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
			}
			conn, resp := s.dial(test.request)
			if !test.stays {
				hosttest.Receive(t, s.returned, "the handler's return")
				if !resp.Close {
					t.Errorf("got headers %v, want a Connection: close", resp.Header)
				}
			} else if !s.stays() {
				t.Error("the handler has returned, want the stream to stay in it")
			}
			body := bufio.NewReader(resp.Body)
			frames := []string{": open\n\n", "data: one\n\n", "data: two\n\n"}
			if strings.HasPrefix(test.request, "POST") {
				frames = frames[1:]
			}
			for _, want := range frames {
				if data, ok := strings.CutPrefix(want, "data: "); ok {
					goAhead <- strings.TrimSpace(data)
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			_ = conn.Close()
			if err := hosttest.Receive(t, ends, "the end of the stream after the client had left"); !errors.Is(err, core.ErrClientGone) {
				t.Errorf("got cause %v, want %v", err, core.ErrClientGone)
			}
			if got := s.log.String(); got != "" {
				t.Errorf("the server logged: %s", got)
			}
		})
	}
}

// A detached session would bypass a middleware that compresses, so the stream is whole
// only if the session stays in its handler.
func TestDetachCompressed(t *testing.T) {
	stream := nethttpsse.Handler(view, core.WithDetach())
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer func() { _ = zip.Close() }()
		stream.ServeHTTP(gzipper{logger{w}, zip}, r)
	}))
	_, resp := s.dial("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
	zip, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(zip); err != nil || string(got) != twoEvents {
		t.Errorf("got %q, %v, want %q", got, err, twoEvents)
	}
}

// Bytes that a middleware writes after the handler must not get between the frames.
func TestDetachedStreamIsNotWrittenTo(t *testing.T) {
	goAhead, ends := make(chan string), make(chan error, 1)
	stream := nethttpsse.Handler(held(goAhead, ends), core.WithDetach())
	wrote := make(chan error, 1)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream.ServeHTTP(w, r)
		_, err := io.WriteString(w, "data: not of the stream\n\n")
		w.WriteHeader(http.StatusTeapot)
		wrote <- err
	}))
	st := s.open("/")
	if err := hosttest.Receive(t, wrote, "the middleware's write"); !errors.Is(err, http.ErrHijacked) {
		t.Errorf("a write after the handler got %v, want %v", err, http.ErrHijacked)
	}
	goAhead <- "one"
	close(goAhead)
	if got := st.All(); !slices.Equal(got, []core.Event{{Data: "one"}}) {
		t.Errorf("got %+v, want one event", got)
	}
}

// The observer still has the values of the request's context at the end.
func TestDetachedContext(t *testing.T) {
	type key struct{}
	goAhead, ends, values := make(chan string), make(chan error, 1), make(chan any, 2)
	note := func(ctx context.Context) { values <- ctx.Value(key{}) }
	stream := nethttpsse.Handler(held(goAhead, ends), core.WithDetach(), core.WithObserver(core.Observer{
		Opened: note, Closed: func(ctx context.Context, _ core.Summary) { note(ctx) },
	}))
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 42)))
	}))
	st := s.open("/")
	hosttest.Receive(t, s.returned, "the handler's return")
	close(goAhead)
	st.All()
	if err := hosttest.Receive(t, ends, "the end of the stream"); err != nil {
		t.Errorf("got cause %v, want none: the return of the handler does not end the stream", err)
	}
	for _, at := range []string{"Opened", "Closed"} {
		if got := hosttest.Receive(t, values, at); got != 42 {
			t.Errorf("got value %v in %s, want 42", got, at)
		}
	}
}

func explode() { panic("boom") }

func TestDetachedFailure(t *testing.T) {
	boom := errors.New("boom")
	fail := func(with func(yield func(core.Event, error) bool)) core.Stream {
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "one"}, nil)
			with(yield)
		}
	}
	tests := []struct {
		name   string
		stream core.Stream
		opts   []core.Option
		log    []string // nothing is logged if it is empty
		clean  bool
	}{
		{
			"an error", fail(func(yield func(core.Event, error) bool) { yield(core.Event{}, boom) }), nil,
			[]string{"stream of \"GET /x\": boom"}, false,
		},
		{
			"a panic", fail(func(func(core.Event, error) bool) { explode() }), nil,
			[]string{"stream of \"GET /x\": core: the generator panicked: boom", "nethttpsse_test.explode"}, false,
		},
		{"http.ErrAbortHandler", fail(func(func(core.Event, error) bool) { panic(http.ErrAbortHandler) }), nil, nil, false},
		{
			"runtime.Goexit", fail(func(func(core.Event, error) bool) { runtime.Goexit() }), nil,
			[]string{"the generator called runtime.Goexit"}, false,
		},
		{
			"a panic in the error event's function", fail(func(yield func(core.Event, error) bool) { yield(core.Event{}, boom) }),
			[]core.Option{core.WithErrorEvent(func(error) core.Event { explode(); return core.Event{} })},
			[]string{"panicked: boom", "nethttpsse_test.explode"}, false,
		},
		{
			"a panic in the observer", hosttest.Events("one"),
			[]core.Option{core.WithObserver(core.Observer{Closed: func(context.Context, core.Summary) { explode() }})},
			[]string{"panicked: boom", "nethttpsse_test.explode"}, true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			group := new(core.Group)
			s := newSite(t, nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream { return test.stream },
				append(test.opts, core.WithDetach(), core.WithGroup(group))...))
			st := s.open("/x")
			got, err := st.Rest()
			if !slices.Equal(got, []core.Event{{Data: "one"}}) || (err == nil) != test.clean {
				t.Errorf("got %+v and the end %v, want one event and a clean end: %v", got, err, test.clean)
			}
			hosttest.Eventually(t, "the session has left its group", func() bool { return group.Len() == 0 })
			for _, text := range test.log {
				hosttest.Eventually(t, "the log says "+text, func() bool { return strings.Contains(s.log.String(), text) })
			}
			if got := s.log.String(); len(test.log) == 0 && got != "" {
				t.Errorf("the server logged: %s", got)
			}
		})
	}
}

// A conn is a connection of a type that the session does not know.
type odd struct{ net.Conn }

type oddListener struct{ net.Listener }

func (l oddListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return odd{c}, err
}

func TestDetachOtherConnections(t *testing.T) {
	for _, test := range []struct {
		name   string
		listen func() (net.Listener, error)
	}{
		{"of another type", func() (net.Listener, error) {
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
			return oddListener{ln}, err
		}},
		{"a Unix socket", func() (net.Listener, error) {
			return net.Listen("unix", t.TempDir()+"/socket") //nolint:noctx // likewise
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			ln, err := test.listen()
			if err != nil {
				testenv.Skip(t, err.Error()) // for example, there are no Unix sockets
			}
			goAhead, ends := make(chan string), make(chan error, 1)
			s := serveOn(t, ln, nethttpsse.Handler(held(goAhead, ends), core.WithDetach()))
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, ln.Addr().Network(), ln.Addr().String())
			}}}
			t.Cleanup(client.CloseIdleConnections)
			st := ssetest.Request{URL: "http://test/", Client: client}.Open(t)
			hosttest.Receive(t, s.returned, "the handler's return")
			goAhead <- "one"
			if got := st.Next(); got.Data != "one" {
				t.Errorf("got %+v, want one", got)
			}
			st.Close()
			_ = hosttest.Receive(t, ends, "the end of the stream after the client had left")
		})
	}
}

// What a client sends is read up to a bound. The client still gets its stream.
func TestDetachedInput(t *testing.T) {
	ssetest.NoLeaks(t)
	goAhead, ends := make(chan string), make(chan error, 1)
	s := newSite(t, nethttpsse.Handler(held(goAhead, ends), core.WithDetach()))
	conn, resp := s.dial("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	hosttest.Receive(t, s.returned, "the handler's return")
	for range 100 {
		if _, err := conn.Write(make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("x", 256<<10) // so that much is not yet sent at the end
	goAhead <- large
	close(goAhead)
	want := ": open\n\ndata: " + large + "\n\n"
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v, want %d: unread input must not destroy output", len(got), err, len(want))
	}
	_ = hosttest.Receive(t, ends, "the end of the stream")
}

// Input beyond a bound is left in the kernel, so a client that sends without end has to
// stop.
func TestDetachedInputIsBounded(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*testing.T, http.Handler) *site{"plain": newSite, "TLS": newSiteTLS} {
		t.Run(name, func(t *testing.T) {
			const most = 64 << 20 // more than the kernel holds
			ends := make(chan error, 1)
			s := serve(t, nethttpsse.Handler(held(make(chan string), ends), core.WithDetach(), core.WithHeartbeat(0)))
			conn, _ := s.dial("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
			hosttest.Receive(t, s.returned, "the handler's return")
			said, words := 0, make([]byte, 64<<10)
			for said < most {
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				n, err := conn.Write(words)
				if said += n; err != nil {
					break
				}
			}
			if said >= most {
				t.Errorf("the server has taken %d bytes of input", said)
			}
			reset(conn)
			_ = hosttest.Receive(t, ends, "the end of the stream")
		})
	}
}

// Clients that come and go leave no goroutine and no file behind.
func TestDetachChurn(t *testing.T) {
	ssetest.NoLeaks(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would close forgotten files
	const workers, visits = 10, 20
	group := new(core.Group)
	s := newSite(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "one"}, nil)
			<-ctx.Done()
		}
	}, core.WithDetach(), core.WithGroup(group)))
	before := hosttest.Files(t)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range visits {
				if err := visit(s.addr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	hosttest.Eventually(t, "all sessions have ended", func() bool { return group.Len() == 0 })
	hosttest.Eventually(t, "all files are closed", func() bool { return hosttest.Files(t) <= before })
}

func visit(addr string) error {
	conn, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		return err
	}
	for in := bufio.NewScanner(conn); in.Scan(); {
		if in.Text() == "data: one" {
			return nil
		}
	}
	return fmt.Errorf("the stream has ended before its first event")
}

// A commenter adds a comment to each write.
type commenter struct{ flusher }

func (c commenter) Write(p []byte) (int, error) {
	_, err := c.flusher.Write(append(slices.Clone(p), ": sent\n"...))
	return len(p), err
}

// A middleware may change the body without a header that says so.
func TestDetachChangedBody(t *testing.T) {
	stream := nethttpsse.Handler(view, core.WithDetach(), core.WithFlushWindow(0))
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stream.ServeHTTP(commenter{flusher{w}}, r)
	}))
	_, resp := s.dial("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	const want = ": open\n\n: sent\ndata: one\n\n: sent\ndata: two\n\n: sent\n"
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// The session notices that a client leaves even if it has sent more than is read.
func TestDetachedTalkerResets(t *testing.T) {
	for name, serve := range map[string]func(*testing.T, http.Handler) *site{"plain": newSite, "TLS": newSiteTLS} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan error, 1)
			s := serve(t, nethttpsse.Handler(held(make(chan string), ends), core.WithDetach(), core.WithHeartbeat(0)))
			conn, _ := s.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			for range 100 {
				if _, err := conn.Write(make([]byte, 1<<10)); err != nil {
					t.Fatal(err)
				}
				runtime.Gosched() // so that the server reads
			}
			reset(conn)
			if got := hosttest.Receive(t, ends, "the end of the stream"); !errors.Is(got, core.ErrClientGone) {
				t.Errorf("got %v, want %v", got, core.ErrClientGone)
			}
		})
	}
}

// reset closes a connection with a reset.
func reset(conn net.Conn) {
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
