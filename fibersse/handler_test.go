package fibersse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/gofiber/fiber/v2/middleware/cors"
	"github.com/gofiber/fiber/v2/middleware/encryptcookie"
	"github.com/gofiber/fiber/v2/middleware/etag"
	"github.com/gofiber/fiber/v2/middleware/logger"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/timeout"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const twoEvents = ": open\n\ndata: one\n\ndata: two\n\n"

func view(*fiber.Ctx) (core.Stream, error) { return hosttest.Events("one", "two"), nil }

func newApp(config ...fiber.Config) *fiber.App {
	c := fiber.Config{}
	if len(config) > 0 {
		c = config[0]
	}
	c.DisableStartupMessage = true
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
	hosttest.Run(t, ln, app.Listener, app.ShutdownWithContext)
}

// say sends a raw request and returns the connection and a reader for it.
func say(t *testing.T, addr, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// until reads lines up to one that begins with prefix.
func until(t *testing.T, in *bufio.Reader, prefix string) {
	t.Helper()
	var line string
	for !strings.HasPrefix(line, prefix) {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatalf("no line %q: %v", prefix, err)
		}
	}
}

func TestMiddleware(t *testing.T) {
	logged := hosttest.NewLog()
	tests := []struct {
		name       string
		middleware fiber.Handler
	}{
		{"logger", logger.New(logger.Config{Output: logged, Format: "${status} ${path}\n"})},
		{"recover", recover.New()},
		{"cors", cors.New()},
		{"compress", compress.New()},
		{"etag", etag.New()},
		{"encryptcookie", encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey()})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := newApp()
			app.Use(tt.middleware)
			app.Get("/", fibersse.Handler(view))
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
	cookie := func(c *fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "a", Value: "secret"})
		return view(c)
	}
	encrypt := encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey()})
	far := []fiber.Handler{timeout.New(func(c *fiber.Ctx) error { return c.Next() }, time.Minute)} //nolint:staticcheck // this is why
	for range 200 {
		far = append(far, func(c *fiber.Ctx) error { return c.Next() })
	}
	tests := []struct {
		name     string
		handlers []fiber.Handler
		want     string
	}{
		{"timeout.New very far out", append(far, fibersse.Handler(view)), "use timeout.NewWithContext"},
		{"a cookie under an encryptcookie of a handler's own", []fiber.Handler{
			func(c *fiber.Ctx) error { return encrypt(c) }, fibersse.Handler(cookie),
		}, "encryptcookie comes too late"},
		{"timeout.New further out", []fiber.Handler{
			timeout.New(func(c *fiber.Ctx) error { return c.Next() }, time.Minute), fibersse.Handler(view), //nolint:staticcheck // this is why
		}, "use timeout.NewWithContext"},
		{"timeout.New", []fiber.Handler{timeout.New(fibersse.Handler(view), time.Minute)}, "use timeout.NewWithContext"}, //nolint:staticcheck // this is why
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := newApp()
			app.Get("/", tt.handlers...)
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
	decrypt := func(c *fiber.Ctx) error { return c.SendString(c.Cookies("secret")) }
	app := newApp()
	app.Use(encryptcookie.New(encryptcookie.Config{
		Key:    key,
		Except: []string{"open"},
		Next:   func(c *fiber.Ctx) bool { return c.Locals("plain") != nil || c.Query("plain") != "" },
	}))
	app.Get("/decrypt", decrypt)
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
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

	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	value, _, _ = strings.Cut(hosttest.Do(t, req).Header.Values("Set-Cookie")[1], ";")
	if got, want := hosttest.Get(t, url+"/decrypt", "Cookie", value).Body, "hidden-"; got != want {
		t.Errorf("HEAD: got %q decrypted, want %q", got, want)
	}
}

// If a cookie cannot be encrypted, the answer is that of any other response: an error, and
// no cookie. A response's cookies are encrypted once, however long its stream lasts.
func TestEncryptorFails(t *testing.T) {
	var full, failing atomic.Int64
	encryptor := func(calls *atomic.Int64, most int64) fiber.Handler {
		return encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(), Encryptor: func(value, _ string) (string, error) {
			if calls.Add(1) > most {
				return "", errors.New("out of ink")
			}
			return "encrypted-" + value, nil
		}})
	}
	stream := fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "secret", Value: "hidden"})
		return view(c)
	})
	app := newApp()
	app.Get("/fails", encryptor(&failing, 0), stream)
	app.Get("/outer-fails", encryptor(&failing, 0), encryptor(&full, math.MaxInt64), stream)
	var calls atomic.Int64
	returned := make(chan struct{})
	app.Get("/once", func(c *fiber.Ctx) error {
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
	encrypt := func() fiber.Handler { return encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey()}) }
	wrapped := encrypt()
	stream := fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "secret", Value: "hidden"})
		return view(c)
	})
	read := func(c *fiber.Ctx) error { return c.SendString(c.Cookies("secret")) }
	for _, path := range []string{"/", "/a", "/a/str", "/C"} { // not on the way to a stream
		app.Get(path, encrypt(), func(c *fiber.Ctx) error { return c.SendString("a page") })
	}
	for _, path := range []string{"/a", "/b/:id", "/e f"} {
		group := app.Group(path, encrypt())
		group.Get("/stream", stream)
		group.Get("/read", read)
	}
	app.Get("/abc", stream) // below /a for fiber v2
	app.Get("/c", encrypt(), stream)
	app.Get("/d", func(c *fiber.Ctx) error { return wrapped(c) }, stream)
	app.Use(encrypt()) // after the streams
	url := "http://" + serve(t, app)
	for _, path := range []string{"/a", "/b/1", "/e%20f"} {
		got := hosttest.Get(t, url+path+"/stream")
		value, _, _ := strings.Cut(got.Header.Get("Set-Cookie"), ";")
		if text := hosttest.Get(t, url+path+"/read", "Cookie", value).Body; got.Body != twoEvents || strings.Contains(value, "hidden") || text != "hidden" {
			t.Errorf("%s: got %d %q, and %q of the cookie %q, want a stream and %q", path, got.Status, got.Body, text, value, "hidden")
		}
	}
	for _, path := range []string{"/abc", "/c"} {
		if got := hosttest.Get(t, url+path); got.Body != twoEvents || strings.Contains(got.Header.Get("Set-Cookie"), "hidden") {
			t.Errorf("%s: got %+v, want a stream and an encrypted cookie", path, got)
		}
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
			kept := make(chan *fiber.Response, 1)
			app := newApp()
			app.Use(func(c *fiber.Ctx) error {
				if c.Get("Again") != "" {
					(<-kept).CopyTo(c.Response())
					return nil
				}
				err := c.Next()
				r := new(fiber.Response)
				c.Response().CopyTo(r)
				kept <- r
				return err
			})
			app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
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

func TestConnectionHeader(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		c.Set("Connection", "keep-alive")
		return view(c)
	}))
	_, in := say(t, serve(t, app), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	var got []string
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(strings.ToLower(line), "connection:") {
			got = append(got, line)
		}
	}
	if want := []string{"Connection: close\r\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCookieIsSent(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		c.Cookie(&fiber.Cookie{Name: "a", Value: "b"})
		return view(c)
	}))
	got := hosttest.Get(t, "http://"+serve(t, app))
	if got := got.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "a=b") {
		t.Errorf("got cookie %q, want a=b", got)
	}
}

func TestTimeoutWithContextEndsTheStream(t *testing.T) {
	causes := make(chan error, 1)
	app := newApp()
	app.Get("/", timeout.NewWithContext(fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(yield func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			yield(core.Event{}, ctx.Err())
		}, nil
	}), 10*time.Millisecond))
	got := hosttest.Get(t, "http://"+serve(t, app))
	if got.Body != ": open\n\n" || got.Broken {
		t.Errorf("got %q, broken %t, want a clean end", got.Body, got.Broken)
	}
	if got, want := <-causes, context.DeadlineExceeded; !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

// App.Test returns the whole stream when it has ended.
func TestAppTest(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(view))
	res, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if string(body) != twoEvents || err != nil {
		t.Errorf("got %q, %v, want %q", body, err, twoEvents)
	}
}

// A client of HTTP/1.0 gets no chunks. nginx is one by default.
func TestHTTP10(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(view))
	_, in := say(t, serve(t, app), "GET / HTTP/1.0\r\n\r\n")
	all, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if body != twoEvents {
		t.Errorf("got body %q, want %q", body, twoEvents)
	}
	if strings.Contains(head, "Transfer-Encoding") || !strings.Contains(head, "Connection: close") {
		t.Errorf("got head %q", head)
	}
}

func TestTLS(t *testing.T) {
	template := httptest.NewTLSServer(nil)
	defer template.Close()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	causes := make(chan error, 1)
	app := newApp()
	app.Get("/idle", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
		}, nil
	}, core.WithHeartbeat(time.Hour)))
	app.Get("/", fibersse.Handler(view))
	serveOn(t, app, tls.NewListener(ln, &tls.Config{Certificates: template.TLS.Certificates}))
	client := template.Client()
	url := "https://" + ln.Addr().String()

	res, err := client.Get(url) //nolint:noctx // bounded by the stream
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(body) != twoEvents || err != nil {
		t.Errorf("got %q, %v, want %q", body, err, twoEvents)
	}

	res, err = client.Get(url + "/idle") //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got, want := <-causes, core.ErrClientGone; !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

// Input from the client is dropped while the stream lasts, and the session still notices
// that the client leaves.
func TestClientTalks(t *testing.T) {
	causes := make(chan error, 1)
	steps := make(chan struct{})
	app := newApp()
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(yield func(core.Event, error) bool) {
			for range core.Receive(ctx, steps) {
				yield(core.Event{Data: "still here"}, nil)
			}
			causes <- context.Cause(ctx)
		}, nil
	}, core.WithHeartbeat(time.Hour)))
	c, in := say(t, serve(t, app), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	until(t, in, ": open")
	for range 20 {
		for range 100 {
			if _, err := io.WriteString(c, "talk"); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case steps <- struct{}{}:
			until(t, in, "data: still here")
		case cause := <-causes:
			t.Fatalf("input from the client has ended the stream: %v", cause)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := <-causes, core.ErrClientGone; !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

// c belongs to the stream until the stream has ended, so strings taken from c do not
// change while other requests come and go.
func TestContextStaysValid(t *testing.T) {
	steps := make(chan struct{})
	app := newApp()
	app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		user := c.Query("user") // not copied on purpose
		return func(yield func(core.Event, error) bool) {
			for range steps {
				if !yield(core.Event{Data: user + c.Path()}, nil) {
					return
				}
			}
		}, nil
	}))
	app.Get("/other", func(c *fiber.Ctx) error { return c.SendString("other") })
	addr := serve(t, app)
	_, in := say(t, addr, "GET /stream?user=anna HTTP/1.1\r\nHost: x\r\n\r\n")
	until(t, in, ": open")
	for i := range 20 {
		if got := hosttest.Get(t, fmt.Sprintf("http://%s/other?user=user%d", addr, i)); got.Body != "other" {
			t.Errorf("got %q", got.Body)
		}
		steps <- struct{}{}
		until(t, in, "data: anna/stream")
	}
	close(steps)
	until(t, in, "0")
}

func TestUserContextIsPutBack(t *testing.T) {
	type key struct{}
	same := make(chan bool, 1)
	app := newApp()
	app.Use(func(c *fiber.Ctx) error {
		before := context.WithValue(context.Background(), key{}, "value")
		c.SetUserContext(before)
		err := c.Next()
		same <- c.UserContext() == before
		return err
	})
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		value, _ := c.UserContext().Value(key{}).(string)
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

// The recover middleware gets a panic, and the process survives.
func TestPanicUnderRecover(t *testing.T) {
	errs := make(chan error, 1)
	app := newApp(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
		errs <- err
		return c.Status(500).SendString("appended?")
	}})
	app.Use(recover.New())
	app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
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

// The request of a session has the router's pattern.
func TestRoute(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Group("/rooms").Get("/:id", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) { return requestOf(c.UserContext()), nil }))
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
	app.Use(logger.New(logger.Config{Output: book, Format: "${error}\n"}))
	app.Get("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return hosttest.Forging(), nil }))
	_ = hosttest.Get(t, "http://"+serve(t, app))
	book.Forged(t)
}
