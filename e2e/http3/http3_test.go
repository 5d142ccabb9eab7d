package http3_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// idle returns a handler whose stream has one event, and then waits for its end. The
// cause goes to causes.
func idle(causes chan<- error, opts ...core.Option) http.Handler {
	return nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "before"}, nil) {
				<-ctx.Done()
			}
			causes <- context.Cause(ctx)
		}
	}, opts...)
}

// open opens the stream at "/" over HTTP/3, and takes its first event.
func open(t testing.TB, addr net.Addr, transport http.RoundTripper) *ssetest.Stream {
	t.Helper()
	st := ssetest.Request{URL: "https://" + addr.String() + "/", Client: &http.Client{Transport: transport}, Timeout: hosttest.Patience}.Open(t)
	ssetest.Equal(t, st.Collect(1), []core.Event{{Data: "before"}})
	return st
}

// run serves handler over HTTP/3, without a server of net/http, until the test ends.
func run(t testing.TB, h3 *http3.Server) net.Addr {
	t.Helper()
	h3.TLSConfig = hosttest.ServerTLS()
	udp, serve := listen(t, h3)
	served := make(chan struct{})
	go func() { defer close(served); serve() }()
	t.Cleanup(func() {
		_ = h3.Close()
		_ = udp.Close()
		<-served
	})
	return udp.LocalAddr()
}

// dialed returns a transport to addr, which is closed when the test ends.
func dialed(t testing.TB, addr net.Addr) *http3.Transport {
	t.Helper()
	tr := transportTo(addr)
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// The way to serve that the documentation shows: a response over TCP tells of HTTP/3, and
// one shutdown ends all streams.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	causes, served := make(chan error, 2), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { served <- serve(ctx, ln, udp, hosttest.ServerTLS(), idle(causes)) }()

	tcp := &http.Transport{TLSClientConfig: hosttest.ClientTLS(), ForceAttemptHTTP2: true}
	defer tcp.CloseIdleConnections()
	// First over QUIC: until its server has begun, nothing announces it.
	streams := []*ssetest.Stream{open(t, udp.LocalAddr(), dialed(t, udp.LocalAddr())), open(t, ln.Addr(), tcp)}
	_, port, _ := net.SplitHostPort(udp.LocalAddr().String())
	if got, want := streams[1].Header.Get("Alt-Svc"), `h3=":`+port+`"`; !strings.HasPrefix(got, want) {
		t.Errorf("got Alt-Svc %q, want %q", got, want)
	}
	stop()
	for range streams {
		if cause := hosttest.Receive(t, causes, "the end of a stream"); !errors.Is(cause, core.ErrShutdown) {
			t.Errorf("got cause %v, want %v", cause, core.ErrShutdown)
		}
	}
	for i, st := range streams {
		if rest, err := st.Rest(); len(rest) > 0 || err != nil {
			t.Errorf("stream %d: got %+v and %v, want a clean end", i, rest, err)
		}
	}
	if err := hosttest.Receive(t, served, "the end of the server"); err != nil {
		t.Error(err)
	}
}

// Without a server of net/http, nothing tells the streams of http3.Server's Shutdown. It
// breaks them off when its time is over. A group ends them before.
func TestShutdown(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	causes := make(chan error, 2)
	group := new(core.Group)
	h3 := &http3.Server{Handler: idle(causes, core.WithGroup(group))}
	addr := run(t, h3)
	tr := dialed(t, addr)
	st := open(t, addr, tr)
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if rest, err := st.Rest(); len(rest) > 0 || err != nil {
		t.Errorf("got %+v and %v, want a clean end", rest, err)
	}
	if err := h3.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if cause := hosttest.Receive(t, causes, "the end of the stream"); !errors.Is(cause, core.ErrShutdown) {
		t.Errorf("got cause %v, want %v", cause, core.ErrShutdown)
	}

	h3 = &http3.Server{Handler: idle(causes)}
	addr = run(t, h3)
	st = open(t, addr, dialed(t, addr))
	if err := h3.Shutdown(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got %v, want %v", err, context.Canceled)
	}
	if rest, err := st.Rest(); len(rest) > 0 || err == nil {
		t.Errorf("after Shutdown alone: got %+v and the end %v, want a break", rest, err)
	}
	if cause := hosttest.Receive(t, causes, "the end of the stream"); !errors.Is(cause, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", cause, core.ErrClientGone)
	}
}

// A stream that fails is reset below all middlewares, with the code of a server's failure.
func TestReset(t *testing.T) {
	ends := map[string]func(yield func(core.Event, error) bool){
		"error":  func(yield func(core.Event, error) bool) { yield(core.Event{}, errors.New("no more")) },
		"panic":  func(func(core.Event, error) bool) { panic(http.ErrAbortHandler) },
		"Goexit": func(func(core.Event, error) bool) { runtime.Goexit() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			h3 := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { _ = recover() }()
				nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
					ctx := r.Context()
					return func(yield func(core.Event, error) bool) {
						yield(core.Event{Data: "before"}, nil)
						select {
						case <-read:
							end(yield)
						case <-ctx.Done():
						}
					}
				}).ServeHTTP(w, r)
			})}
			addr := run(t, h3)
			st := open(t, addr, dialed(t, addr))
			close(read)
			rest, err := st.Rest()
			var reset *http3.Error
			if !errors.As(err, &reset) || !reset.Remote || reset.ErrorCode != http3.ErrCodeInternalError || len(rest) > 0 {
				t.Errorf("got %+v and the end %v, want a reset with %v", rest, err, http3.ErrCodeInternalError)
			}
		})
	}
}

// So is one whose handler ends with runtime.Goexit outside of the generator: quic-go would neither end
// the response nor break it.
func TestGoexit(t *testing.T) {
	exit := func(context.Context) { runtime.Goexit() }
	failed := func(yield func(core.Event, error) bool) { yield(core.Event{}, errors.New("no more")) }
	report := core.WithErrorEvent(func(error) core.Event { return core.Event{Type: "failed"} })
	for name, test := range map[string]struct {
		stream core.Stream
		opts   []core.Option
	}{
		"Opened":                      {hosttest.Events("one"), []core.Option{core.WithObserver(core.Observer{Opened: exit})}},
		"Opened, with an error event": {hosttest.Events("one"), []core.Option{core.WithObserver(core.Observer{Opened: exit}), report}},
		"Wrote, with an error event": {hosttest.Events("one"), []core.Option{
			core.WithObserver(core.Observer{Wrote: func(context.Context, core.Write) { runtime.Goexit() }}), report,
		}},
		"Closed": {hosttest.Events("one"), []core.Option{
			core.WithObserver(core.Observer{Closed: func(context.Context, core.Summary) { runtime.Goexit() }}),
		}},
		"the error event": {failed, []core.Option{core.WithErrorEvent(func(error) core.Event {
			runtime.Goexit()
			return core.Event{}
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			view := func(http.ResponseWriter, *http.Request) core.Stream { return test.stream }
			h3 := &http3.Server{Handler: nethttpsse.Handler(view, test.opts...)}
			addr := run(t, h3)
			ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := dialed(t, addr).RoundTrip(r)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			if reset := new(http3.Error); !errors.As(err, &reset) || !reset.Remote {
				t.Errorf("the response ended with %v, want a reset", err)
			}
		})
	}
}

// A client whose packets no longer arrive has left when QUIC's idle timeout is over. No
// other limit is needed.
func TestVanishedClient(t *testing.T) {
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // a tunnel has none
	causes := make(chan error, 1)
	h3 := &http3.Server{
		Handler:    idle(causes, core.WithHeartbeat(10*time.Millisecond), core.WithWriteTimeout(0)),
		QUICConfig: &quic.Config{MaxIdleTimeout: 2 * time.Second},
	}
	addr := run(t, h3)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tunnel := &tunnel{PacketConn: udp}
	line := &quic.Transport{Conn: tunnel}
	defer func() { _ = line.Close(); _ = udp.Close() }()
	tr := dialed(t, addr)
	tr.Dial = func(ctx context.Context, _ string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
		return line.DialEarly(ctx, addr, config, quicConfig)
	}
	open(t, addr, tr)
	tunnel.entered.Store(true)
	if cause := hosttest.Receive(t, causes, "the end of the stream"); !errors.Is(cause, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", cause, core.ErrClientGone)
	}
}

// A tunnel is a client's socket that loses what it sends once the client has entered it.
type tunnel struct {
	net.PacketConn

	entered atomic.Bool
}

func (c *tunnel) WriteTo(p []byte, addr net.Addr) (int, error) {
	if c.entered.Load() {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, addr)
}

// The client reads over HTTP/3 with quic-go's transport, and resumes.
func TestClient(t *testing.T) {
	h3 := &http3.Server{Handler: nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		id := core.LastEventID(r.Context()) + "x"
		return func(yield func(core.Event, error) bool) { yield(core.Event{ID: id}, nil) }
	}, core.WithRetry(time.Millisecond))}
	addr := run(t, h3)
	ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "x"
	for e, err := range client.Stream(req, client.WithHTTPClient(&http.Client{Transport: dialed(t, addr)})) {
		if err != nil || e.ID != want {
			t.Fatalf("got %+v, %v, want ID %q", e, err, want)
		}
		if want += "x"; len(want) > 3 {
			return
		}
	}
}

// The documentation shows the function that TestServe tries.
func TestDocs(t *testing.T) {
	const file = "serve_test.go"
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/http3.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			code := source[fset.Position(f.Pos()).Offset:fset.Position(f.End()).Offset]
			if !bytes.Contains(page, code) {
				t.Errorf("docs/http3.md does not have this function:\n%s", code)
			}
		}
	}
}
