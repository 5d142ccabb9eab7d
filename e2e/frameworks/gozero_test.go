package frameworks_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeromicro/go-zero/core/conf"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/proc"
	"github.com/zeromicro/go-zero/rest"
	"github.com/zeromicro/go-zero/rest/httpx"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func onGoZero(server *rest.Server, messages messages) {
	server.AddRoute(rest.Route{
		Method: http.MethodGet,
		Path:   "/rooms/:room",
		Handler: nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			var in struct {
				Room string `path:"room"`
			}
			if err := httpx.Parse(r, &in); err != nil {
				httpx.ErrorCtx(r.Context(), w, err)
				return nil
			}
			return messages(r.Context(), in.Room)
		}).ServeHTTP,
	}, rest.WithTimeout(-1))
}

// goZeroTimeout is the WriteTimeout of go-zero's server, unless a route turns it off.
const goZeroTimeout = 3300 * time.Millisecond

func TestGoZero(t *testing.T) {
	chat := newChat()
	url, stop := serveGoZero(t, "", func(server *rest.Server) {
		onGoZero(server, chat.messages)
		view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return chat.messages(r.Context(), strings.TrimPrefix(r.URL.Path, "/plain/rooms/"))
		}
		server.AddRoute(rest.Route{Method: http.MethodGet, Path: "/plain/rooms/:room", Handler: nethttpsse.Handler(view).ServeHTTP})
		server.AddRoute(rest.Route{Method: http.MethodGet, Path: "/sse/rooms/flow", Handler: nethttpsse.Handler(
			func(_ http.ResponseWriter, r *http.Request) core.Stream { return chat.messages(r.Context(), "flow") },
		).ServeHTTP}, rest.WithSSE(), rest.WithTimeout(-1))
	})
	v := visitor{chat: chat, url: url, client: client(t, false), header: http.Header{"Accept": {"*/*"}}}

	// It has timeouts, and streams outlive them.
	s := v.open(t, "flow")
	<-time.After(goZeroTimeout + goZeroTimeout/4)
	for range 3 {
		v.step(t)
	}
	if got := len(s.All()); got != 3 {
		t.Errorf("messages after the timeout: got %d, want 3", got)
	}

	// A route that keeps its timeout has streams for those who ask for nothing else.
	plain := v
	plain.url += "/plain"
	for _, accept := range []string{"*/*", "text/event-stream, */*"} {
		plain.header = http.Header{"Accept": {accept}}
		refusal := plain.open(t, "flow")
		if got, want := refusal.Body(), "nethttpsse: a *handler.timeoutWriter holds the headers back"; refusal.Status != http.StatusInternalServerError ||
			!strings.Contains(got, want) {
			t.Errorf("without WithTimeout, Accept: %s: got %d %q, want 500 %q", accept, refusal.Status, got, want)
		}
	}
	plain.header = nil
	plain.flows(t)

	// WithSSE does no harm.
	sse := v
	sse.url += "/sse"
	sse.flows(t)

	v.check(t, stop)
}

// With Verbose, another writer keeps a copy of the response for the log.
func TestGoZeroVerbose(t *testing.T) {
	chat := newChat()
	url, stop := serveGoZero(t, "Verbose: true\n", func(server *rest.Server) { onGoZero(server, chat.messages) })
	visitor{chat: chat, url: url, client: client(t, false)}.check(t, stop)
}

// An open stream counts as a connection of MaxConns, unless it is detached.
func TestGoZeroMaxConns(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []core.Option
		want int
	}{
		{"in the handler", nil, http.StatusServiceUnavailable},
		{"detached", []core.Option{core.WithDetach()}, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chat := newChat()
			url, stop := serveGoZero(t, "MaxConns: 1\n", func(server *rest.Server) {
				view := func(_ http.ResponseWriter, r *http.Request) core.Stream { return chat.messages(r.Context(), "idle") }
				server.AddRoute(rest.Route{Method: http.MethodGet, Path: "/rooms/idle", Handler: nethttpsse.Handler(view, tt.opts...).ServeHTTP})
			})
			v := visitor{chat: chat, url: url, client: client(t, false)}
			first := v.open(t, "idle")
			hosttest.Receive(t, chat.began, "the stream")
			if tt.opts == nil {
				if got := v.open(t, "idle").Status; got != tt.want {
					t.Errorf("status of a second stream: got %d, want %d", got, tt.want)
				}
			} else {
				hosttest.Eventually(t, "a second stream", func() bool { return v.open(t, "idle").Status == tt.want })
			}
			first.Close()
			v.ended(t, core.ErrClientGone)
			stop()
		})
	}
}

// Shedding takes open streams for requests that overload the server, and refuses requests
// of other routes, unless the streams are detached.
func TestGoZeroShedding(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("go-zero measures the CPU only on Linux")
	}
	const streams = 20
	serve := func(opts ...core.Option) (quick visitor, returned chan struct{}) {
		chat, returned := newChat(), make(chan struct{}, streams)
		chat.began, chat.causes = make(chan struct{}, streams), make(chan error, streams)
		url, _ := serveGoZero(t, "CpuThreshold: 1\n", func(server *rest.Server) { // of 1000, so the CPU counts as overloaded
			view := func(_ http.ResponseWriter, r *http.Request) core.Stream { return chat.messages(r.Context(), "idle") }
			server.AddRoutes([]rest.Route{
				{Method: http.MethodGet, Path: "/rooms/idle", Handler: nethttpsse.Handler(view, opts...).ServeHTTP},
				{Method: http.MethodGet, Path: "/quick", Handler: func(http.ResponseWriter, *http.Request) {}},
			})
		}, func(srv *http.Server) {
			routes := srv.Handler
			srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				routes.ServeHTTP(w, r)
				if r.URL.Path == "/rooms/idle" {
					returned <- struct{}{}
				}
			})
		})
		v := visitor{chat: chat, url: url, client: client(t, false)}
		for range streams {
			t.Cleanup(v.open(t, "idle").Close)
			hosttest.Receive(t, chat.began, "a stream")
		}
		return v, returned
	}
	inHandler, _ := serve()
	detached, returned := serve(core.WithDetach())
	for range streams {
		hosttest.Receive(t, returned, "the return of a stream's handler")
	}
	status := func(v visitor) int { return hosttest.Get(t, v.url+"/quick").Status }
	hosttest.Eventually(t, "a refusal because of the streams", func() bool {
		if got, want := status(detached), http.StatusOK; got != want {
			t.Fatalf("with detached streams: got %d, want %d", got, want)
		}
		return status(inHandler) == http.StatusServiceUnavailable
	})
}

// A listener for go-zero's shutdown waits for detached streams, which its server does not.
func TestGoZeroShutdownListener(t *testing.T) {
	for name, listens := range map[string]bool{"with a listener": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			group := new(core.Group)
			began, ending, end := make(chan struct{}), make(chan error, 1), make(chan struct{})
			release := sync.OnceFunc(func() { close(end) })
			view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
				ctx := r.Context()
				return func(func(core.Event, error) bool) {
					close(began)
					<-ctx.Done()
					ending <- context.Cause(ctx)
					<-end
				}
			}
			returned := make(chan struct{})
			url, stop := serveGoZero(t, "", func(server *rest.Server) {
				handler := nethttpsse.Handler(view, core.WithGroup(group), core.WithDetach())
				server.AddRoute(rest.Route{Method: http.MethodGet, Path: "/rooms/idle", Handler: handler.ServeHTTP})
			}, func(srv *http.Server) {
				routes := srv.Handler
				srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(returned)
					routes.ServeHTTP(w, r)
				})
			})
			t.Cleanup(release)
			if listens {
				proc.AddShutdownListener(func() {
					ctx, cancel := context.WithTimeout(context.Background(), hosttest.Patience)
					defer cancel()
					if err := group.Shutdown(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			s := visitor{url: url, client: client(t, false)}.open(t, "idle")
			hosttest.Receive(t, began, "the stream")
			hosttest.Receive(t, returned, "the handler's return")

			stopped := make(chan struct{})
			go func() { defer close(stopped); stop() }()
			if got := hosttest.Receive(t, ending, "the end of the stream's context"); !errors.Is(got, core.ErrShutdown) {
				t.Errorf("got cause %v, want %v", got, core.ErrShutdown)
			}
			if listens {
				select {
				case <-stopped:
					t.Error("the shutdown has not waited for the stream")
				case <-time.After(100 * time.Millisecond): // time for it to return too early
				}
			} else {
				hosttest.Receive(t, stopped, "the end of the shutdown, before that of the stream")
			}
			release()
			if rest := s.All(); len(rest) > 0 {
				t.Errorf("at the shutdown: got %+v", rest)
			}
			hosttest.Receive(t, stopped, "the end of the shutdown")
		})
	}
}

// serveGoZero serves routes on loopback until stop is called or the test ends. The
// functions with are called with the server before it starts.
func serveGoZero(t *testing.T, config string, routes func(*rest.Server), with ...func(*http.Server)) (url string, stop func()) {
	t.Helper()
	var c rest.RestConf
	if err := conf.LoadFromYamlBytes([]byte("Name: chat\nHost: 127.0.0.1\nPort: 0\nDevServer:\n  Enabled: false\n"+config), &c); err != nil {
		t.Fatal(err)
	}
	server, err := rest.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	logx.Disable() // NewServer has enabled it
	routes(server)
	addr, served := make(chan net.Addr, 1), make(chan struct{})
	go func() {
		defer close(served)
		server.StartWithOpts(func(srv *http.Server) {
			if srv.WriteTimeout != goZeroTimeout {
				t.Errorf("the server's WriteTimeout: got %v, want %v", srv.WriteTimeout, goZeroTimeout)
			}
			for _, set := range with {
				set(srv)
			}
			srv.ErrorLog = quiet
			srv.BaseContext = func(ln net.Listener) context.Context {
				addr <- ln.Addr()
				return context.Background()
			}
		})
	}()
	stop = sync.OnceFunc(func() {
		proc.Shutdown() // as a signal does
		select {
		case <-served:
		case <-time.After(hosttest.Patience):
			t.Errorf("go-zero's server still runs %v after its shutdown", hosttest.Patience)
		}
	})
	t.Cleanup(stop)
	return "http://" + hosttest.Receive(t, addr, "the server's address").String(), stop
}
