package fiber3sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/cache"
	"github.com/gofiber/fiber/v3/middleware/compress"
	"github.com/gofiber/fiber/v3/middleware/cors"
	"github.com/gofiber/fiber/v3/middleware/encryptcookie"
	"github.com/gofiber/fiber/v3/middleware/etag"
	"github.com/gofiber/fiber/v3/middleware/idempotency"
	"github.com/gofiber/fiber/v3/middleware/logger"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/timeout"
	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const twoEvents = ": open\n\ndata: one\n\ndata: two\n\n"

func view(fiber.Ctx) (core.Stream, error) { return hosttest.Events("one", "two"), nil }

func newApp(config ...fiber.Config) *fiber.App {
	c := fiber.Config{}
	if len(config) > 0 {
		c = config[0]
	}
	return fiber.New(c)
}

// serve serves app on loopback until the test ends and returns its address.
func serve(t *testing.T, app *fiber.App) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	serveOn(t, app, ln)
	return addr
}

func serveOn(t *testing.T, app *fiber.App, ln net.Listener) {
	t.Helper()
	hosttest.Run(t, ln, func(ln net.Listener) error {
		return app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true})
	}, app.ShutdownWithContext)
}

func TestMiddleware(t *testing.T) {
	logged := hosttest.NewLog()
	tests := []struct {
		name       string
		middleware fiber.Handler
	}{
		{"logger", logger.New(logger.Config{Stream: logged, Format: "${status} ${path}\n"})},
		{"recover", recover.New()},
		{"cors", cors.New()},
		{"compress", compress.New()},
		{"etag", etag.New()},
		{"encryptcookie", encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32)})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := newApp()
			app.Use(tt.middleware)
			app.Get("/", fiber3sse.Handler(view))
			got := hosttest.Get(t, "http://"+serve(t, app), "Accept-Encoding", "gzip", "Origin", "http://example.com")
			if got.Status != 200 || got.Body != twoEvents || got.Broken {
				t.Errorf("got %+v, want 200 %q", got, twoEvents)
			}
			for _, name := range []string{"Content-Encoding", "Etag", "Content-Length"} {
				if got := got.Header.Get(name); got != "" {
					t.Errorf("got %s %q", name, got)
				}
			}
		})
	}
	if got, want := <-logged, "200 /\n"; got != want {
		t.Errorf("got log %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	cookie := func(c fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "a", Value: "secret"})
		return view(c)
	}
	encrypt := encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32)})
	next := func(c fiber.Ctx) error { return c.Next() }
	minute := timeout.Config{Timeout: time.Minute}
	far := []any{timeout.New(next, minute)}
	for range 200 {
		far = append(far, next)
	}
	tests := []struct {
		name     string
		handlers []any
		want     string
	}{
		{"timeout.New very far out", append(far, fiber3sse.Handler(view)), "core.WithMaxDuration"},
		{"a cookie under an encryptcookie of a handler's own", []any{
			func(c fiber.Ctx) error { return encrypt(c) }, fiber3sse.Handler(cookie),
		}, "encryptcookie comes too late"},
		{"timeout.New further out", []any{
			timeout.New(next, minute), fiber3sse.Handler(view),
		}, "core.WithMaxDuration"},
		{"timeout.New", []any{timeout.New(fiber3sse.Handler(view), minute)}, "core.WithMaxDuration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := newApp()
			app.Get("/", tt.handlers[0], tt.handlers[1:]...)
			got := hosttest.Get(t, "http://"+serve(t, app))
			if got.Status != 500 || !strings.Contains(got.Body, tt.want) {
				t.Errorf("got %d %q, want 500 %q", got.Status, got.Body, tt.want)
			}
		})
	}
}

// encryptcookie encrypts the same cookies as in any other response.
func TestEncryptCookie(t *testing.T) {
	const key, name = "s7mtmF8yVOGuYpJfLxRGW5cpXGi5cvvSlm3WYGbCYMo=", "user"
	decrypt := func(c fiber.Ctx) error { return c.SendString(c.Cookies("secret")) }
	app := newApp()
	app.Use(encryptcookie.New(encryptcookie.Config{
		Key:    key,
		Except: []string{"open"},
		Next:   func(c fiber.Ctx) bool { return c.Locals("plain") != nil || c.Query("plain") != "" },
	}))
	app.Get("/decrypt", decrypt)
	app.Get("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "open", Value: "visible", Path: "/a"})
		c.Cookie(&fiber.Cookie{Name: "secret", Value: "hidden-" + c.Cookies("secret"), HTTPOnly: true})
		return view(c)
	}))
	url := "http://" + serve(t, app)

	got := hosttest.Get(t, url)
	cookies := got.Header.Values("Set-Cookie")
	if got.Status != 200 || got.Body != twoEvents || len(cookies) != 2 {
		t.Fatalf("got %+v, want a stream and two cookies", got)
	}
	if want := "open=visible; path=/a; SameSite=Lax"; cookies[0] != want {
		t.Errorf("got cookie %q, want %q", cookies[0], want)
	}
	value, rest, _ := strings.Cut(cookies[1], ";")
	if strings.Contains(value, "hidden") || !strings.Contains(rest, "HttpOnly") {
		t.Errorf("got cookie %q, want an encrypted one", cookies[1])
	}
	if got, want := hosttest.Get(t, url+"/decrypt", "Cookie", value).Body, "hidden-"; got != want {
		t.Errorf("got %q decrypted, want %q", got, want)
	}
	if got, want := hosttest.Get(t, url+"?plain=1").Header.Values("Set-Cookie")[1], "secret=hidden"; !strings.HasPrefix(got, want) {
		t.Errorf("got cookie %q of a route that is skipped, want %q", got, want)
	}
}

// If a cookie cannot be encrypted, the answer is that of any other response: an error, and
// no cookie. A response's cookies are encrypted once, however long its stream lasts.
func TestEncryptorFails(t *testing.T) {
	var full, failing atomic.Int64
	encryptor := func(calls *atomic.Int64, most int64) fiber.Handler {
		return encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32), Encryptor: func(_, value, _ string) (string, error) {
			if calls.Add(1) > most {
				return "", errors.New("out of ink")
			}
			return "encrypted-" + value, nil
		}})
	}
	stream := fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "secret", Value: "hidden"})
		return view(c)
	})
	app := newApp()
	app.Get("/fails", encryptor(&failing, 0), stream)
	app.Get("/outer-fails", encryptor(&failing, 0), encryptor(&full, math.MaxInt64), stream)
	var calls atomic.Int64
	returned := make(chan struct{})
	app.Get("/once", func(c fiber.Ctx) error {
		defer close(returned)
		return c.Next()
	}, encryptor(&calls, 1), stream)
	url := "http://" + serve(t, app)
	for _, path := range []string{"/fails", "/outer-fails"} {
		got := hosttest.Get(t, url+path)
		if cookies := got.Header.Values("Set-Cookie"); got.Status != 500 || got.Body != "out of ink" || len(cookies) > 0 {
			t.Errorf("%s: got %d %q and cookies %q, want 500, the error, and none", path, got.Status, got.Body, cookies)
		}
	}
	got := hosttest.Get(t, url+"/once")
	if cookie := got.Header.Get("Set-Cookie"); got.Body != twoEvents || got.Broken || !strings.HasPrefix(cookie, "secret=encrypted-hidden;") {
		t.Errorf("/once: got %+v, want a stream and the cookie", got)
	}
	hosttest.Receive(t, returned, "the return of the middlewares")
	if got := calls.Load(); got != 1 {
		t.Errorf("the stream's cookie was encrypted %d times, want once", got)
	}
}

// Each group's encryptcookie encrypts the group's own cookies, and no others.
func TestEncryptCookieOfGroups(t *testing.T) {
	app := newApp(fiber.Config{CaseSensitive: true, UnescapePath: true})
	encrypt := func() fiber.Handler {
		return encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32)})
	}
	wrapped := encrypt()
	stream := fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "secret", Value: "hidden"})
		return view(c)
	})
	read := func(c fiber.Ctx) error { return c.SendString(c.Cookies("secret")) }
	for _, path := range []string{"/", "/a", "/a/str", "/C"} { // not on the way to a stream
		app.Get(path, encrypt(), func(c fiber.Ctx) error { return c.SendString("a page") })
	}
	for _, path := range []string{"/a", "/b/:id", "/e f"} {
		group := app.Group(path, encrypt())
		group.Get("/stream", stream)
		group.Get("/read", read)
	}
	app.Get("/abc", stream)
	app.Get("/c", encrypt(), stream)
	app.Get("/d", func(c fiber.Ctx) error { return wrapped(c) }, stream)
	app.Use(encrypt()) // after the streams
	url := "http://" + serve(t, app)
	for _, path := range []string{"/a", "/b/1", "/e%20f"} {
		got := hosttest.Get(t, url+path+"/stream")
		value, _, _ := strings.Cut(got.Header.Get("Set-Cookie"), ";")
		if text := hosttest.Get(t, url+path+"/read", "Cookie", value).Body; got.Body != twoEvents || strings.Contains(value, "hidden") || text != "hidden" {
			t.Errorf("%s: got %d %q, and %q of the cookie %q, want a stream and %q", path, got.Status, got.Body, text, value, "hidden")
		}
	}
	if got, want := hosttest.Get(t, url+"/abc").Header.Get("Set-Cookie"), "secret=hidden;"; !strings.HasPrefix(got, want) {
		t.Errorf("next to a group: got the cookie %q, want %q", got, want)
	}
	if got := hosttest.Get(t, url+"/c"); got.Body != twoEvents || strings.Contains(got.Header.Get("Set-Cookie"), "hidden") {
		t.Errorf("a route's own: got %+v, want a stream and an encrypted cookie", got)
	}
	if got := hosttest.Get(t, url+"/d"); got.Status != 500 || !strings.Contains(got.Body, "encryptcookie comes too late") {
		t.Errorf("one that cannot be found: got %+v, want 500", got)
	}
}

// A middleware that keeps responses does not get a stream's. The response that it finds
// instead says so, and does not look like a whole stream.
func TestKeptByTheApplication(t *testing.T) {
	for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
		t.Run(fmt.Sprint("detached: ", opts != nil), func(t *testing.T) {
			kept := make(chan *fasthttp.Response, 1)
			app := newApp()
			app.Use(func(c fiber.Ctx) error {
				if c.Get("Again") != "" {
					(<-kept).CopyTo(c.Response())
					return nil
				}
				err := c.Next()
				r := new(fasthttp.Response)
				c.Response().CopyTo(r)
				kept <- r
				return err
			})
			app.Get("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
				c.Cookie(&fiber.Cookie{Name: "user", Value: "anna"})
				return view(c)
			}, opts...))
			url := "http://" + serve(t, app)
			if got := hosttest.Get(t, url); got.Body != twoEvents || got.Header.Get("Cache-Control") != "no-cache" || got.Header.Get("Set-Cookie") == "" {
				t.Errorf("got %+v, want the stream and its cookie", got)
			}
			got := hosttest.Get(t, url, "Again", "yes")
			if got.Header.Get("Content-Type") != fiber.MIMETextPlainCharsetUTF8 || got.Header.Get("Cache-Control") != "no-store" ||
				!strings.Contains(got.Body, "cannot be kept") || got.Header.Get("Set-Cookie") != "" {
				t.Errorf("got %+v, want a text that says why it is not a stream, and no cookie", got)
			}
		})
	}
}

// A stream runs under a timeout that skips it, as under no timeout.
func TestTimeoutSkips(t *testing.T) {
	skips := map[string]timeout.Config{
		"Next":       {Timeout: time.Minute, Next: func(fiber.Ctx) bool { return true }},
		"no Timeout": {},
	}
	for name, config := range skips {
		t.Run(name, func(t *testing.T) {
			app := newApp()
			app.Get("/", timeout.New(fiber3sse.Handler(view), config))
			if got := hosttest.Get(t, "http://"+serve(t, app)); got.Body != twoEvents || got.Broken {
				t.Errorf("got %+v, want %q", got, twoEvents)
			}
		})
	}
}

// App.Test returns the whole stream when it has ended.
func TestAppTest(t *testing.T) {
	app := newApp()
	app.Get("/", fiber3sse.Handler(view))
	res, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if string(body) != twoEvents || err != nil {
		t.Errorf("got %q, %v, want %q", body, err, twoEvents)
	}
}

func TestUserContextIsPutBack(t *testing.T) {
	type key struct{}
	same := make(chan bool, 1)
	app := newApp()
	app.Use(func(c fiber.Ctx) error {
		before := context.WithValue(context.Background(), key{}, "value")
		c.SetContext(before)
		err := c.Next()
		same <- c.Context() == before
		return err
	})
	app.Get("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		value, _ := c.Context().Value(key{}).(string)
		return hosttest.Events(value), nil
	}))
	got := hosttest.Get(t, "http://"+serve(t, app))
	if want := ": open\n\ndata: value\n\n"; got.Body != want {
		t.Errorf("got %q, want %q", got.Body, want)
	}
	if !<-same {
		t.Error("got another user context after the stream than before")
	}
}

// The end of a GracefulContext ends the streams, as app.Shutdown does. Listen returns
// before they have ended, and OnPostShutdown is called afterwards.
func TestGracefulContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	causes, stopped := make(chan error, 1), make(chan error, 1)
	app := newApp()
	app.Hooks().OnPostShutdown(func(err error) error {
		if len(causes) == 0 {
			err = errors.Join(err, errors.New("the stream has not ended yet"))
		}
		stopped <- err
		return nil
	})
	app.Get("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		ctx := c.Context()
		return func(yield func(core.Event, error) bool) {
			defer func() { causes <- context.Cause(ctx) }()
			if yield(core.Event{Data: "one"}, nil) {
				stop()
				<-ctx.Done()
			}
		}, nil
	}, core.WithMaxDuration(hosttest.Patience)))
	addrs, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- app.Listen("127.0.0.1:0", fiber.ListenConfig{
			DisableStartupMessage: true,
			GracefulContext:       ctx,
			ListenerAddrFunc:      func(addr net.Addr) { addrs <- addr.String() },
		})
	}()
	got := hosttest.Get(t, "http://"+hosttest.Receive(t, addrs, "the server's address"))
	if want := ": open\n\ndata: one\n\nretry: "; !strings.HasPrefix(got.Body, want) || got.Broken {
		t.Errorf("got %+v, want %q and a clean end", got, want)
	}
	if err := hosttest.Receive(t, served, "the return of Listen"); err != nil {
		t.Errorf("Listen: %v", err)
	}
	if err := hosttest.Receive(t, stopped, "the call of OnPostShutdown"); err != nil {
		t.Errorf("OnPostShutdown: %v", err)
	}
	if got, want := hosttest.Receive(t, causes, "the end of the stream"), core.ErrShutdown; !errors.Is(got, want) {
		t.Errorf("got the cause %v, want %v", got, want)
	}
}

// The recover middleware gets a panic, and the process survives.
func TestPanicUnderRecover(t *testing.T) {
	errs := make(chan error, 1)
	app := newApp(fiber.Config{ErrorHandler: func(c fiber.Ctx, err error) error {
		errs <- err
		return c.Status(500).SendString("appended?")
	}})
	app.Use(recover.New())
	app.Get("/", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) {
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "before"}, nil)
			panic("lost")
		}, nil
	}))
	got := hosttest.Get(t, "http://"+serve(t, app))
	if want := ": open\n\ndata: before\n\n"; got.Body != want || !got.Broken {
		t.Errorf("got %q, broken %t, want %q, broken", got.Body, got.Broken, want)
	}
	if err := <-errs; !strings.Contains(err.Error(), "lost") {
		t.Errorf("got error %v, want the panic's", err)
	}
}

// The recover middleware gets the panic's own value, and fiber's log has its stack.
func TestPanicIsTheSame(t *testing.T) {
	book := new(hosttest.Logbook)
	logTo(t, book)
	value := new(int)
	values := make(chan any, 1)
	app := newApp()
	app.Use(recover.New(recover.Config{EnableStackTrace: true, StackTraceHandler: func(_ fiber.Ctx, v any) { values <- v }}))
	app.Get("/x", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) {
		return func(func(core.Event, error) bool) { explodeWith(value) }, nil
	}))
	if got := hosttest.Get(t, "http://"+serve(t, app)+"/x"); !got.Broken {
		t.Errorf("got %+v, want a broken response", got)
	}
	if got := hosttest.Receive(t, values, "the panic"); got != any(value) {
		t.Errorf("got %v, want the generator's own value", got)
	}
	for _, want := range []string{`fiber3sse: stream of "GET /x": core: the generator panicked: `, "fiber3sse_test.explodeWith"} {
		if got := book.String(); !strings.Contains(got, want) {
			t.Errorf("got the log %q, want %q in it", got, want)
		}
	}
}

func explodeWith(v any) { panic(v) }

// A view that has answered must not return a stream.
func TestAnswerAndStream(t *testing.T) {
	for name, answer := range map[string]func(c fiber.Ctx) error{
		"a body":     func(c fiber.Ctx) error { return c.SendString("no") },
		"a stream":   func(c fiber.Ctx) error { return c.SendStream(strings.NewReader("no")) },
		"a status":   func(c fiber.Ctx) error { return c.SendStatus(fiber.StatusForbidden) },
		"a redirect": func(c fiber.Ctx) error { return c.Redirect().To("/elsewhere") },
		"no answer":  func(fiber.Ctx) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			app := newApp()
			app.Use(func(c fiber.Ctx) error {
				if name == "no answer" { // what a middleware sets is not the view's
					c.Status(fiber.StatusTeapot)
				}
				return c.Next()
			})
			app.Get("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) { return hosttest.Events("one"), answer(c) }))
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
	app.Get("/", fiber3sse.Handler(view))
	app.Get("/detached", fiber3sse.Handler(view, core.WithDetach()))
	app.Get("/json", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) { return nil, c.JSON(fiber.Map{"answer": 42}) }))
	hosts := map[string]http.Handler{
		"adaptor.FiberApp":     adaptor.FiberApp(app),
		"a Unix socket":        adaptor.FiberApp(app),
		"adaptor.FiberHandler": adaptor.FiberHandler(fiber3sse.Handler(view)),
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
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				if name == "a Unix socket" {
					r.RemoteAddr = "@"
				}
				host.ServeHTTP(w, r)
				if got := w.Body.String(); w.Code != 500 || !strings.Contains(got, "fiber3sse: ") || !strings.Contains(got, "nethttpsse") {
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
	app.Get("/stays/*", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) { return panics, nil }))
	app.Get("/detached/*", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) { return panics, nil }, core.WithDetach()))
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
	app := newApp(fiber.Config{ErrorHandler: func(c fiber.Ctx, err error) error {
		outcomes <- outcome{c.Response().StatusCode(), string(c.Response().Body()), err}
		return nil
	}})
	refused := &core.RefusedError{Status: fiber.StatusServiceUnavailable, Err: errors.New("another server is busy")}
	app.Get("/", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) { return hosttest.Fail(refused), nil }))
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
	app.Get("/", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) {
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
				app.All("/", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
					core.Refuse(c.Context(), &core.RefusedError{Message: "no more today"})
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

// A stream stays in its handler if its context derives from what fiber gives to another
// request when the handler has returned.
func TestDetachContextOfTheRequest(t *testing.T) {
	type key struct{}
	parents := map[string]func(fiber.Ctx) context.Context{
		"c":              func(c fiber.Ctx) context.Context { return c },
		"c.RequestCtx()": func(c fiber.Ctx) context.Context { return c.RequestCtx() },
		"c.Context()":    fiber.Ctx.Context,
	}
	for name, parent := range parents {
		t.Run(name, func(t *testing.T) {
			goAhead, returned := make(chan struct{}), make(chan struct{})
			app := newApp()
			app.Get("/", func(c fiber.Ctx) error {
				defer close(returned)
				c.SetContext(context.WithValue(parent(c), key{}, "mine"))
				return c.Next()
			}, fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
				ctx := c.Context()
				return func(yield func(core.Event, error) bool) {
					<-goAhead
					yield(core.Event{Data: fmt.Sprint(ctx.Value(key{}))}, nil)
				}, nil
			}, core.WithDetach()))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+serve(t, app), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if name == "c.Context()" && runtime.GOOS == "linux" {
				hosttest.Receive(t, returned, "the handler's return")
			} else {
				select {
				case <-returned:
					t.Error("the handler has returned, want the stream to stay in it")
				default:
				}
			}
			close(goAhead)
			body, err := io.ReadAll(resp.Body)
			if want := ": open\n\ndata: mine\n\n"; string(body) != want || err != nil {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		})
	}
}

// The cache middleware does not keep a stream, and idempotency, which would, is refused.
func TestKeepers(t *testing.T) {
	for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
		app := newApp()
		app.All("/cache", cache.New(), fiber3sse.Handler(view, opts...))
		app.All("/idempotency", idempotency.New(), fiber3sse.Handler(view, opts...))
		url := "http://" + serve(t, app)
		for range 2 {
			if got := hosttest.Get(t, url+"/cache"); got.Status != 200 || got.Body != twoEvents || got.Broken {
				t.Errorf("cache, %d options: got %+v, want %q", len(opts), got, twoEvents)
			}
			const key = "0190f0a3-3d3c-7b6b-8d4c-2f5b0a7f9c11"
			if got := post(t, url+"/idempotency", key); got.Status != 500 || !strings.Contains(got.Body, "idempotency would answer") {
				t.Errorf("idempotency, %d options: got %+v, want 500", len(opts), got)
			}
		}
		if got, want := post(t, url+"/idempotency", ""), strings.TrimPrefix(twoEvents, ": open\n\n"); got.Body != want {
			t.Errorf("idempotency without a key, %d options: got %+v, want %q", len(opts), got, want)
		}
	}
}

func post(t *testing.T, url, key string) hosttest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Idempotency-Key", key)
	}
	return hosttest.Do(t, req)
}

// The request of a session has the router's pattern.
func TestRoute(t *testing.T) {
	app := fiber.New()
	app.Group("/rooms").Get("/:id", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) { return requestOf(c.Context()), nil }))
	if got, want := hosttest.Get(t, "http://"+serve(t, app)+"/rooms/a%20b?x=1").Body, ": open\n\ndata: GET /rooms/a b of /rooms/:id\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func requestOf(ctx context.Context) core.Stream {
	r := core.RequestOf(ctx)
	return hosttest.Events(r.Method + " " + r.Path + " of " + r.Route)
}

// A middleware that logs the errors of requests writes one line for a stream that fails,
// whatever a client has put into its error.
func TestFailureIsOneLine(t *testing.T) {
	book := new(hosttest.Logbook)
	app := newApp()
	app.Use(logger.New(logger.Config{Stream: book, Format: "${error}\n"}))
	app.Get("/", fiber3sse.Handler(func(fiber.Ctx) (core.Stream, error) { return hosttest.Forging(), nil }))
	_ = hosttest.Get(t, "http://"+serve(t, app))
	book.Forged(t)
}
