package fibersse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A transport is a way to connect to a server.
type transport struct {
	name string
	wrap func(net.Listener) net.Listener
	dial func(addr string) (net.Conn, error)
}

// open serves app and connects to it. Both end with the test.
func (tr transport) open(t *testing.T, app *fiber.App) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, app, tr.wrap(ln))
	conn, err := tr.dial(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// transports are plain ones, TLS, and connections that listeners have wrapped.
var transports = []transport{
	{
		"plain",
		func(ln net.Listener) net.Listener { return ln },
		func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
	},
	{
		"TLS",
		func(ln net.Listener) net.Listener { return tls.NewListener(ln, hosttest.ServerTLS()) },
		func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own
		},
	},
	{
		"wrapped",
		func(ln net.Listener) net.Listener {
			return wrapper{ln, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }}
		},
		func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
	},
	{
		"TCP, wrapped",
		func(ln net.Listener) net.Listener {
			return wrapper{ln, func(c net.Conn) net.Conn { return struct{ *net.TCPConn }{c.(*net.TCPConn)} }}
		},
		func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
	},
}

// A wrapper wraps the connections that it accepts.
type wrapper struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w wrapper) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // a server looks at it
	}
	return w.wrap(c), nil
}

// ask sends a raw request and returns everything that comes, and the error at the end.
func ask(t *testing.T, dial func(string) (net.Conn, error), addr, request string) (string, error) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	return string(got), err
}

func goexit(yield func(core.Event, error) bool) {
	yield(core.Event{Data: "before"}, nil)
	runtime.Goexit()
}

// After runtime.Goexit in a generator the server has lost no worker, and no connection
// stays open.
func TestGoexit(t *testing.T) {
	const concurrency = 4
	logTo(t, io.Discard)
	opened := core.WithObserver(core.Observer{Opened: func(context.Context) { runtime.Goexit() }})
	for _, transport := range transports {
		for _, test := range []struct {
			name, version string
			stream        core.Stream
			opts          []core.Option
			logged        bool
		}{
			{"in the handler", "1.1", goexit, nil, false},
			{"HTTP/1.0", "1.0", goexit, nil, false},
			{"detached", "1.1", goexit, []core.Option{core.WithDetach()}, true},
			{"in an observer", "1.1", hosttest.Events("before"), []core.Option{opened}, false},
			{"in an observer, detached", "1.1", hosttest.Events("before"), []core.Option{opened, core.WithDetach()}, true},
		} {
			t.Run(transport.name+"/"+test.name, func(t *testing.T) {
				ssetest.NoLeaks(t, longLived...)
				errs := make(chan error, 2*concurrency)
				app := newApp(fiber.Config{Concurrency: concurrency, ErrorHandler: func(_ *fiber.Ctx, err error) error {
					errs <- err
					return nil
				}})
				app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("plain") })
				app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return test.stream, nil }, test.opts...))
				ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
				if err != nil {
					t.Fatal(err)
				}
				serveOn(t, app, transport.wrap(ln))
				for range 2 * concurrency {
					got, err := ask(t, transport.dial, ln.Addr().String(), "GET / HTTP/"+test.version+"\r\nHost: x\r\n\r\n")
					if !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, ": open") {
						t.Errorf("got %q, want the beginning of a stream", got)
					}
					if whole := strings.HasSuffix(got, "0\r\n\r\n"); whole || test.version == "1.0" && err == nil {
						t.Errorf("got %q, %v, want a broken end", got, err)
					}
					if test.logged && transport.name == "plain" {
						continue
					}
					const want = "runtime.Goexit"
					if err := hosttest.Receive(t, errs, "the error"); !strings.Contains(err.Error(), want) {
						t.Errorf("got error %v, want one about %s", err, want)
					}
				}
				got, err := ask(t, transport.dial, ln.Addr().String(), "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if !strings.HasSuffix(got, "plain") {
					t.Errorf("got %q, %v, want an answer", got, err)
				}
			})
		}
	}
}

// The recover middleware gets the panic's own value, and fiber's log has its stack.
func TestPanicIsTheSame(t *testing.T) {
	book := new(hosttest.Logbook)
	logTo(t, book)
	value := new(int)
	values := make(chan any, 1)
	app := newApp()
	app.Use(recover.New(recover.Config{EnableStackTrace: true, StackTraceHandler: func(_ *fiber.Ctx, v any) { values <- v }}))
	app.Get("/x", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
		return func(func(core.Event, error) bool) { explodeWith(value) }, nil
	}))
	if got := hosttest.Get(t, "http://"+serve(t, app)+"/x"); !got.Broken {
		t.Errorf("got %+v, want a broken response", got)
	}
	if got := hosttest.Receive(t, values, "the panic"); got != any(value) {
		t.Errorf("got %v, want the generator's own value", got)
	}
	for _, want := range []string{`fibersse: stream of "GET /x": core: the generator panicked: `, "fibersse_test.explodeWith"} {
		if got := book.String(); !strings.Contains(got, want) {
			t.Errorf("got the log %q, want %q in it", got, want)
		}
	}
}

func explodeWith(v any) { panic(v) }

// With HTTP/1.0 the end of the connection is the end of the response, so only a
// reset shows that the response is not whole.
func TestHTTP10Broken(t *testing.T) {
	logTo(t, io.Discard)
	views := map[string]core.Stream{
		"error": hosttest.Fail(errors.New("no more")),
		"panic": func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "before"}, nil)
			panic("lost")
		},
		"bad": func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "before"}, nil)
			yield(core.Event{ID: "a\nb"}, nil)
		},
		"goexit": goexit,
	}
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			app := newApp()
			app.Use(recover.New())
			for name, stream := range views {
				app.Get("/"+name, fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return stream, nil }))
			}
			app.Get("/whole", fibersse.Handler(view))
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
			if err != nil {
				t.Fatal(err)
			}
			serveOn(t, app, transport.wrap(ln))
			for name := range views {
				got, err := ask(t, transport.dial, ln.Addr().String(), "GET /"+name+" HTTP/1.0\r\n\r\n")
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%s: got %q, %v, want a reset", name, got, err)
				}
			}
			got, err := ask(t, transport.dial, ln.Addr().String(), "GET /whole HTTP/1.0\r\n\r\n")
			if !strings.HasSuffix(got, twoEvents) || err != nil {
				t.Errorf("got %q, %v, want %q and a clean end", got, err, twoEvents)
			}
		})
	}
}

// A client gets a whole response to its end even if the server has not read everything
// that it has sent. A connection that is closed with unread input is reset.
func TestWholeToAClientThatTalks(t *testing.T) {
	ssetest.NoLeaks(t, longLived...)
	for _, transport := range transports {
		for _, version := range []string{"1.1", "1.0"} {
			for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
				for _, size := range []int{1, 100_000, 3_000_000} { // within what is read; more than is read; more than is dropped at the end
					t.Run(fmt.Sprintf("%s, HTTP/%s, %d options, %d bytes", transport.name, version, len(opts), size), func(t *testing.T) {
						t.Parallel()
						goAhead := make(chan struct{})
						app := newApp()
						app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
							return func(yield func(core.Event, error) bool) {
								<-goAhead
								yield(core.Event{Data: strings.Repeat("x", 50_000)}, nil)
								yield(core.Event{Data: "last"}, nil)
							}, nil
						}, opts...))
						conn := transport.open(t, app)
						if _, err := io.WriteString(conn, "GET / HTTP/"+version+"\r\nHost: x\r\n\r\n"); err != nil {
							t.Fatal(err)
						}
						in := bufio.NewReader(conn)
						until(t, in, ": open")
						said := make(chan struct{})
						var once sync.Once
						go func() {
							defer close(said)
							for range size/100 + 1 { // a write may have to wait, and fails when the connection is gone
								_, err := io.WriteString(conn, strings.Repeat("j", min(size, 100)))
								once.Do(func() { close(goAhead) })
								if err != nil {
									return
								}
							}
						}()
						until(t, in, "data: last")
						rest, err := io.ReadAll(in)
						if err != nil || version == "1.1" && !strings.HasSuffix(string(rest), "\r\n0\r\n\r\n") {
							t.Errorf("got %q, %v, want a clean end", rest, err)
						}
						_ = conn.Close()
						hosttest.Receive(t, said, "the end of the client's input")
					})
				}
			}
		}
	}
}

// With KeepHijackedConns fasthttp does not close the connections of streams. They do not stay
// open, nor does that of a request whose stream is refused.
func TestKeepHijackedConns(t *testing.T) {
	logTo(t, io.Discard)
	tooLong := fmt.Sprintf("POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", host.MaxBody+1) +
		strings.Repeat("x", host.MaxBody+1)
	for _, keep := range []bool{false, true} {
		for _, transport := range transports[:2] {
			for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
				t.Run(fmt.Sprintf("keep %v, %s, %d options", keep, transport.name, len(opts)), func(t *testing.T) {
					ssetest.NoLeaks(t, longLived...)
					app := newApp(fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 10})
					app.Server().KeepHijackedConns = keep
					app.All("/whole", fibersse.Handler(view, opts...))
					app.Get("/broken", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
						return hosttest.Fail(errors.New("no more")), nil
					}, opts...))
					ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
					if err != nil {
						t.Fatal(err)
					}
					var open atomic.Int64
					serveOn(t, app, transport.wrap(wrapper{ln, func(c net.Conn) net.Conn {
						open.Add(1)
						return &counted{TCPConn: c.(*net.TCPConn), open: &open}
					}}))
					for _, test := range []struct{ name, request, begin, end string }{
						{"whole", "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\r\n0\r\n\r\n"},
						{"broken", "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "data: before\n\n\r\n"},
						{"whole, HTTP/1.0", "GET /whole HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "data: two\n\n"},
						{"refused", tooLong, "HTTP/1.1 413 ", ""},
					} {
						got, err := ask(t, transport.dial, ln.Addr().String(), test.request)
						if err != nil || !strings.HasPrefix(got, test.begin) || !strings.HasSuffix(got, test.end) {
							t.Errorf("%s: got %q, %v, want %q at the beginning, %q at the end, and the end of the connection",
								test.name, got, err, test.begin, test.end)
						}
						hosttest.Eventually(t, test.name+": the server has closed it", func() bool { return open.Load() == 0 })
					}
				})
			}
		}
	}
}

// A counted connection is one of the open ones until it is closed.
type counted struct {
	*net.TCPConn

	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.TCPConn.Close()
}

func TestKilledOnHTTP10(t *testing.T) {
	hosttest.Killed(t, func(ln net.Listener) error {
		app := newApp()
		app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return hosttest.Endless, nil }))
		return app.Listener(ln)
	})
}

// A client that closes its half of the connection has left. Its response must not look
// whole.
func TestHalfClose(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		for _, detach := range []bool{false, true} {
			t.Run(fmt.Sprintf("HTTP %s, detached %t", version, detach), func(t *testing.T) {
				ends := make(chan error, 1)
				opts := []core.Option{core.WithHeartbeat(time.Hour)}
				if detach {
					opts = append(opts, core.WithDetach())
				}
				app := newApp()
				app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
					ctx := c.UserContext()
					return func(func(core.Event, error) bool) {
						<-ctx.Done()
						ends <- context.Cause(ctx)
					}, nil
				}, opts...))
				c, in := say(t, serve(t, app), "GET / HTTP/"+version+"\r\nHost: x\r\n\r\n")
				_ = c.SetDeadline(time.Now().Add(patience))
				until(t, in, ": open")
				_ = c.(*net.TCPConn).CloseWrite()
				rest, err := io.ReadAll(in)
				if strings.HasSuffix(string(rest), "0\r\n\r\n") || version == "1.0" && err == nil {
					t.Errorf("got %q, %v, want a broken end", rest, err)
				}
				if got := hosttest.Receive(t, ends, "the end"); !errors.Is(got, core.ErrClientGone) {
					t.Errorf("got cause %v, want %v", got, core.ErrClientGone)
				}
			})
		}
	}
}

// Shutdown waits for the generators of detached sessions, including those that are about
// to begin.
func TestDetachedShutdownAtTheBeginning(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	tries := hosttest.Rounds(3000)
	ssetest.NoLeaks(t, longLived...)
	type try struct {
		group core.Group
		down  atomic.Bool // Shutdown has returned
		late  atomic.Bool // a generator ran then
	}
	var now atomic.Pointer[try]
	returned := make(chan struct{}, 1)
	app := newApp()
	app.Get("/", func(c *fiber.Ctx) error {
		defer func() { returned <- struct{}{} }()
		try := now.Load()
		return fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			ctx := c.UserContext()
			return func(func(core.Event, error) bool) {
				<-ctx.Done()
				runtime.Gosched()
				if try.down.Load() {
					try.late.Store(true)
				}
			}, nil
		}, core.WithDetach(), core.WithGroup(&try.group))(c)
	})
	addr := serve(t, app)
	late, refused := 0, 0
	for range tries {
		try := new(try)
		now.Store(try)
		conn, in := say(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = conn.SetDeadline(time.Now().Add(patience))
		hosttest.Receive(t, returned, "the handler's return")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := try.group.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		try.down.Store(true)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("got %v, want an answer", err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("got %d and the end %v, want a clean one", resp.StatusCode, err)
		}
		switch resp.StatusCode {
		case http.StatusOK:
		case http.StatusServiceUnavailable:
			refused++
			if resp.Header.Get("Retry-After") == "" {
				t.Error("refused without a Retry-After")
			}
		default:
			t.Errorf("got status %d", resp.StatusCode)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
		if try.late.Load() {
			late++
		}
	}
	t.Logf("%d of %d sessions were refused before they began", refused, tries)
	if late > 0 {
		t.Errorf("in %d of %d tries a generator still ran when Shutdown had returned", late, tries)
	}
}

// A view that has answered must not return a stream.
func TestAnswerAndStream(t *testing.T) {
	for name, answer := range map[string]func(c *fiber.Ctx) error{
		"a body":     func(c *fiber.Ctx) error { return c.SendString("no") },
		"a stream":   func(c *fiber.Ctx) error { return c.SendStream(strings.NewReader("no")) },
		"a status":   func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusForbidden) },
		"a redirect": func(c *fiber.Ctx) error { return c.Redirect("/elsewhere") },
		"no answer":  func(*fiber.Ctx) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			app := newApp()
			app.Use(func(c *fiber.Ctx) error {
				if name == "no answer" { // what a middleware sets is not the view's
					c.Status(fiber.StatusTeapot)
				}
				return c.Next()
			})
			app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) { return hosttest.Events("one"), answer(c) }))
			got := hosttest.Get(t, "http://"+serve(t, app))
			switch {
			case name == "no answer":
				if got.Status != fiber.StatusOK || !strings.Contains(got.Body, "data: one") {
					t.Errorf("got %+v, want the stream", got)
				}
			case got.Status != fiber.StatusInternalServerError, !strings.Contains(got.Body, "also returned a stream"):
				t.Errorf("got %+v, want 500 and the mistake", got)
			}
		})
	}
}

// If fasthttp does not have the client's connection, a stream is refused, and the answer
// says what to do. Other answers work as usual.
func TestNoConnection(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(view))
	app.Get("/detached", fibersse.Handler(view, core.WithDetach()))
	app.Get("/json", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) { return nil, c.JSON(fiber.Map{"answer": 42}) }))
	hosts := map[string]http.Handler{
		"adaptor.FiberApp":     adaptor.FiberApp(app),
		"adaptor.FiberHandler": adaptor.FiberHandler(fibersse.Handler(view)),
		"no connection at all": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var ctx fasthttp.RequestCtx
			ctx.Init2(nil, nil, true)
			ctx.Request.SetRequestURI(r.URL.Path)
			app.Handler()(&ctx)
			w.WriteHeader(ctx.Response.StatusCode())
			_, _ = w.Write(ctx.Response.Body())
		}),
		"HTTP/2": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var ctx fasthttp.RequestCtx
			conn, other := net.Pipe() // many requests share it
			defer conn.Close()
			defer other.Close()
			ctx.Init2(conn, nil, true)
			ctx.Request.Header.SetProtocol("HTTP/2")
			ctx.Request.SetRequestURI(r.URL.Path)
			app.Handler()(&ctx)
			w.WriteHeader(ctx.Response.StatusCode())
			_, _ = w.Write(ctx.Response.Body())
		}),
	}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/", "/detached"} {
				w := httptest.NewRecorder()
				host.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				if got := w.Body.String(); w.Code != 500 || !strings.Contains(got, "fibersse: ") || !strings.Contains(got, "nethttpsse") {
					t.Errorf("%s: got %d %q, want 500 and what to do", path, w.Code, got)
				}
			}
			if name == "adaptor.FiberHandler" {
				return
			}
			w := httptest.NewRecorder()
			host.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/json", nil))
			if got, want := w.Body.String(), `{"answer":42}`; w.Code != 200 || got != want {
				t.Errorf("got %d %q, want 200 %q", w.Code, got, want)
			}
		})
	}
}

// A path that the client has made up is quoted, on one line of the log.
func TestLogIsQuoted(t *testing.T) {
	book := new(hosttest.Logbook)
	logTo(t, book)
	app := newApp(fiber.Config{UnescapePath: true})
	app.Use(recover.New())
	panics := func(func(core.Event, error) bool) { panic("boom\n2026/01/01 root logged in") }
	app.Get("/stays/*", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return panics, nil }))
	app.Get("/detached/*", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return panics, nil }, core.WithDetach()))
	addr := serve(t, app)
	for _, path := range []string{"/stays/", "/detached/"} {
		_ = hosttest.Get(t, "http://"+addr+path+"a%0a2026/01/01%20root%20logged%20in")
		want := fmt.Sprintf(`stream of "GET %sa\n2026/01/01 root logged in": `, path)
		hosttest.Eventually(t, "the log says "+want, func() bool { return strings.Contains(book.String(), want) })
	}
	if got := book.String(); strings.Contains(got, "\n2026/01/01 root") {
		t.Errorf("got the log %q, want no line that the client has made up", got)
	}
}

// A stream that fails with the refusal of another server is not answered as if it had
// been refused itself.
func TestFailureWithARefusal(t *testing.T) {
	type outcome struct {
		status int
		body   string
		err    error
	}
	outcomes := make(chan outcome, 1)
	app := newApp(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
		outcomes <- outcome{c.Response().StatusCode(), string(c.Response().Body()), err}
		return nil
	}})
	refused := &core.RefusedError{Status: fiber.StatusServiceUnavailable, Err: errors.New("another server is busy")}
	app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return hosttest.Fail(refused), nil }))
	if got := hosttest.Get(t, "http://"+serve(t, app)); !got.Broken {
		t.Errorf("got %+v, want a broken response", got)
	}
	got := hosttest.Receive(t, outcomes, "the call of the app's error handler")
	if got.status != fiber.StatusOK || strings.Contains(got.body, refused.Error()) {
		t.Errorf("got status %d and body %q in the error handler, want 200 and no refusal", got.status, got.body)
	}
	if failed := new(core.StreamError); !errors.As(got.err, &failed) {
		t.Errorf("the error handler got a %T, want a *core.StreamError: %v", got.err, got.err)
	}
}

// A refusal that a view returns without a status is one with 503.
func TestRefusalWithoutStatus(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
		return nil, &core.RefusedError{Message: "no more today"}
	}))
	if got := hosttest.Get(t, "http://"+serve(t, app)); got.Status != fiber.StatusServiceUnavailable || got.Body != "no more today" {
		t.Errorf("got %d %q, want 503 and the message", got.Status, got.Body)
	}
}

// A view may refuse its request even if it returns a stream.
func TestViewRefuses(t *testing.T) {
	for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(fmt.Sprintf("%s, %d options", method, len(opts)), func(t *testing.T) {
				app := newApp(fiber.Config{StreamRequestBody: true})
				app.All("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
					core.Refuse(c.UserContext(), &core.RefusedError{Message: "no more today"})
					return func(func(core.Event, error) bool) { t.Error("the stream has begun") }, nil
				}, opts...))
				var body io.Reader
				if method == "POST" {
					body = strings.NewReader("body")
				}
				req, err := http.NewRequestWithContext(t.Context(), method, "http://"+serve(t, app), body)
				if err != nil {
					t.Fatal(err)
				}
				got := hosttest.Do(t, req)
				if got.Status != 503 || got.Header.Get("Retry-After") == "" || method != "HEAD" && got.Body != "no more today" {
					t.Errorf("got %+v, want 503, a Retry-After, and the reason", got)
				}
				if got := got.Header.Get("Content-Type"); strings.Contains(got, "event-stream") {
					t.Errorf("got content type %q", got)
				}
			})
		}
	}
}
