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
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/log"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

const patience = time.Minute

// logTo writes fiber's log to w until the test ends.
func logTo(t *testing.T, w io.Writer) {
	t.Helper()
	log.SetOutput(w)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

// held is an app whose stream ends when goAhead is closed or the client leaves, and
// reports the cause; returned gets a value when a handler has returned.
func held(goAhead <-chan string, ends chan<- error, opts ...core.Option) (app *fiber.App, returned chan struct{}) {
	returned = make(chan struct{}, 100)
	app = newApp(fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 10})
	app.Use(func(c *fiber.Ctx) error {
		defer func() { returned <- struct{}{} }()
		return c.Next()
	})
	app.All("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx, name := c.UserContext(), utils.CopyString(c.Query("name"))
		return func(yield func(core.Event, error) bool) {
			for data := range core.Receive(ctx, goAhead) {
				if !yield(core.Event{Type: name, Data: data}, nil) {
					break
				}
			}
			ends <- context.Cause(ctx)
		}, nil
	}, append(opts, core.WithDetach())...))
	return app, returned
}

func TestDetach(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	listen := func(network, addr string) func(*testing.T) (net.Listener, func() (net.Conn, error)) {
		return func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			t.Helper()
			if network == "unix" {
				addr = t.TempDir() + "/socket"
			}
			ln, err := net.Listen(network, addr) //nolint:noctx // it returns at once
			if err != nil {
				t.Fatal(err)
			}
			return ln, func() (net.Conn, error) { return net.Dial(network, ln.Addr().String()) } //nolint:noctx // likewise
		}
	}
	plain := listen("tcp", "127.0.0.1:0")
	withTLS := func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
		t.Helper()
		ln, _ := plain(t)
		return tls.NewListener(ln, hosttest.ServerTLS()), func() (net.Conn, error) {
			return tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec,noctx // on loopback, to our own
		}
	}
	const get = "GET /?name=x HTTP/1.1\r\nHost: test\r\n\r\n"
	for _, test := range []struct {
		name    string
		listen  func(*testing.T) (net.Listener, func() (net.Conn, error))
		request string
		stays   bool
	}{
		{"a plain request", plain, get, false},
		{"a body", plain, "POST /?name=x HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody", false},
		{"input behind the request", plain, get + get, false},
		{"a socket of another kind", listen("unix", ""), get, false},
		{"HTTP/1.0", plain, "GET /?name=x HTTP/1.0\r\nHost: test\r\n\r\n", true},
		{"TLS", withTLS, get, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			ssetest.NoLeaks(t, longLived...)
			goAhead, ends := make(chan string), make(chan error, 1)
			app, returned := held(goAhead, ends)
			ln, dial := test.listen(t)
			serveOn(t, app, ln)
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Fatal(err)
			}
			readUntil(t, conn, "\r\n\r\n")
			if !test.stays {
				hosttest.Receive(t, returned, "the handler's return")
			}
			for _, data := range []string{"one", "two"} {
				goAhead <- data
				readUntil(t, conn, "event: x\ndata: "+data+"\n\n")
			}
			if test.stays && len(returned) > 0 {
				t.Error("the handler has returned, want the stream to stay in it")
			}
			leave(t, conn, ends)
		})
	}
}

// leave closes the client's side of an idle stream, which must end the stream.
func leave(t *testing.T, conn net.Conn, ends <-chan error) {
	t.Helper()
	_ = conn.Close()
	if err := hosttest.Receive(t, ends, "the end of the stream after its client had left"); !errors.Is(err, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", err, core.ErrClientGone)
	}
}

// Answers to earlier requests come before the stream, even if fasthttp holds them back
// because more requests have already arrived.
func TestDetachPipelined(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	for _, before := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			ssetest.NoLeaks(t, longLived...)
			goAhead, ends := make(chan string), make(chan error, 1)
			app, _ := held(goAhead, ends)
			app.Get("/plain/:n", func(c *fiber.Ctx) error { return c.SendString("plain " + c.Params("n")) })
			var requests strings.Builder
			for n := range before {
				fmt.Fprintf(&requests, "GET /plain/%d HTTP/1.1\r\nHost: test\r\n\r\n", n)
			}
			requests.WriteString("GET /?name=x HTTP/1.1\r\nHost: test\r\n\r\n")
			conn, in := say(t, serve(t, app), requests.String())
			_ = conn.SetDeadline(time.Now().Add(patience))
			for n := range before {
				if body := answer(t, in); body != fmt.Sprint("plain ", n) {
					t.Errorf("got answer %q to request %d", body, n)
				}
			}
			go func() { goAhead <- "one"; close(goAhead) }()
			if body := answer(t, in); body != ": open\n\nevent: x\ndata: one\n\n" {
				t.Errorf("got stream %q", body)
			}
			if err := hosttest.Receive(t, ends, "the stream's end"); err != nil {
				t.Errorf("got cause %v, want none", err)
			}
		})
	}
}

// answer reads a response and returns its body.
func answer(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("got %q, then %v", body, err)
	}
	return string(body)
}

// A client that leaves before fasthttp can send the answers that it held back leaves no
// session behind.
func TestDetachPipelinedAndGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	ssetest.NoLeaks(t, longLived...)
	group := new(core.Group)
	asked, gone := make(chan context.Context, 1), make(chan struct{})
	app := newApp()
	app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("plain") })
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		asked <- c.UserContext()
		<-gone
		return func(func(core.Event, error) bool) { t.Error("the stream has begun") }, nil
	}, core.WithDetach(), core.WithGroup(group)))
	addr := serve(t, app)
	before := hosttest.Files(t)
	conn, _ := say(t, addr, "GET /plain HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
	ctx := hosttest.Receive(t, asked, "the request")
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
	close(gone)
	hosttest.Eventually(t, "the session has ended", func() bool { return group.Len() == 0 })
	if got := context.Cause(ctx); !errors.Is(got, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", got, core.ErrClientGone)
	}
	hosttest.Eventually(t, "all files are closed", func() bool { return hosttest.Files(t) <= before })
}

// A session that fasthttp has not started, because it cannot send the answers that it
// held back, does not block a shutdown, and notices that its client leaves.
func TestDetachPipelinedAndStuck(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	t.Run("shutdown", func(t *testing.T) { testPipelinedAndStuck(t, false) })
	t.Run("the client talks and leaves", func(t *testing.T) { testPipelinedAndStuck(t, true) })
	t.Run("shutdown, and an observer panics", func(t *testing.T) { // in a goroutine that nobody recovers
		testPipelinedAndStuck(t, false, core.WithObserver(core.Observer{
			Refused: func(context.Context, *core.RefusedError) { panic("boom") },
		}))
	})
	t.Run("shutdown, and an observer ends its goroutine", func(t *testing.T) {
		testPipelinedAndStuck(t, false, core.WithObserver(core.Observer{
			Refused: func(context.Context, *core.RefusedError) { runtime.Goexit() },
		}))
	})
}

func testPipelinedAndStuck(t *testing.T, leaves bool, opts ...core.Option) {
	t.Helper()
	ssetest.NoLeaks(t, longLived...)
	group, returned := new(core.Group), make(chan struct{}, 1)
	app := newApp()
	app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("plain") })
	stream := fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		conn, much := c.Context().Conn(), make([]byte, 64<<10)
		for full := 0; full < 5; { // until the kernel takes no more
			_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			if n, _ := conn.Write(much); n == 0 {
				full++
			} else {
				full = 0
			}
		}
		return func(func(core.Event, error) bool) { t.Error("the stream has begun") }, nil
	}, append(opts, core.WithDetach(), core.WithGroup(group))...)
	app.Get("/", func(c *fiber.Ctx) error {
		defer func() { returned <- struct{}{} }()
		return stream(c)
	})
	conn, _ := say(t, serve(t, app), "GET /plain HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
	hosttest.Receive(t, returned, "the handler's return")
	if got := group.Len(); got != 1 {
		t.Errorf("got %d sessions, want 1", got)
	}
	if leaves {
		_, _ = io.WriteString(conn, strings.Repeat("talk", 64<<10))
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		hosttest.Eventually(t, "the session has ended", func() bool { return group.Len() == 0 })
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}

// A context that ends with its handler does not end the stream.
func TestDetachContextThatEnds(t *testing.T) {
	ssetest.NoLeaks(t, longLived...)
	goAhead, ends := make(chan string), make(chan error, 1)
	app := newApp()
	app.Get("/", func(c *fiber.Ctx) error {
		ctx, cancel := context.WithCancel(c.UserContext())
		defer cancel()
		c.SetUserContext(ctx)
		return c.Next()
	}, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(yield func(core.Event, error) bool) {
			for data := range core.Receive(ctx, goAhead) {
				yield(core.Event{Data: data}, nil)
			}
			ends <- context.Cause(ctx)
		}, nil
	}, core.WithDetach()))
	conn, _ := say(t, serve(t, app), "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	_ = conn.SetDeadline(time.Now().Add(patience))
	readUntil(t, conn, ": open\n\n")
	select {
	case goAhead <- "one":
		readUntil(t, conn, "data: one\n\n")
	case err := <-ends:
		t.Fatalf("the stream has ended with its handler: %v", err)
	}
	leave(t, conn, ends)
}

// fasthttp's own context belongs to another request when the handler has returned, so
// a stream whose context derives from it stays in the handler.
func TestDetachContextOfTheRequest(t *testing.T) {
	ssetest.NoLeaks(t, longLived...)
	type key struct{}
	goAhead, ends := make(chan string), make(chan error, 1)
	returned := make(chan struct{}, 1)
	app := newApp()
	app.Get("/", func(c *fiber.Ctx) error {
		defer func() { returned <- struct{}{} }()
		c.Locals("user", "ann")
		c.SetUserContext(context.WithValue(c.Context(), key{}, "mine"))
		return c.Next()
	}, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(yield func(core.Event, error) bool) {
			for range core.Receive(ctx, goAhead) {
				yield(core.Event{Data: fmt.Sprint(ctx.Value("user"), " ", ctx.Value(key{}))}, nil)
			}
			ends <- context.Cause(ctx)
		}, nil
	}, core.WithDetach()))
	conn, _ := say(t, serve(t, app), "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	_ = conn.SetDeadline(time.Now().Add(patience))
	readUntil(t, conn, ": open\n\n")
	goAhead <- ""
	readUntil(t, conn, "data: ann mine\n\n")
	if len(returned) > 0 {
		t.Error("the handler has returned, want the stream to stay in it")
	}
	leave(t, conn, ends)
}

// Clients that come and go leave no goroutine and no file behind.
func TestDetachChurn(t *testing.T) {
	ssetest.NoLeaks(t, longLived...)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would close forgotten files
	const clients = 50
	group := new(core.Group)
	app := newApp()
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		ctx := c.UserContext()
		return func(func(core.Event, error) bool) { <-ctx.Done() }, nil
	}, core.WithDetach(), core.WithGroup(group)))
	addr := serve(t, app)
	before := hosttest.Files(t)
	for range clients {
		conn, _ := say(t, addr, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		_ = conn.SetDeadline(time.Now().Add(patience))
		readUntil(t, conn, ": open\n\n")
		_ = conn.Close()
	}
	hosttest.Eventually(t, "all sessions have ended", func() bool { return group.Len() == 0 })
	hosttest.Eventually(t, "all files are closed", func() bool { return hosttest.Files(t) <= before })
}

// readUntil reads up to text.
func readUntil(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	var got []byte
	for buf := make([]byte, 1<<10); !strings.Contains(string(got), text); {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
		got = append(got, buf[:n]...)
	}
}

// App.Test's connection is not a socket.
func TestDetachInAppTest(t *testing.T) {
	app := newApp()
	app.Get("/", fibersse.Handler(view, core.WithDetach()))
	res, err := app.Test(httptest.NewRequest("GET", "/", nil), -1) //nolint:noctx,usestdlibvars // for app.Test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != twoEvents || err != nil {
		t.Errorf("got %q, %v, want %q", body, err, twoEvents)
	}
}

// Shutdown ends detached streams, including those that began before others ended, and
// leaves nothing behind.
func TestDetachedShutdown(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	ssetest.NoLeaks(t, longLived...)
	ends, group := make(chan error, 3), new(core.Group)
	goAhead := make(chan string)
	app, returned := held(goAhead, ends, core.WithGroup(group))
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	url := "http://" + ln.Addr().String()
	streams := []*ssetest.Stream{ssetest.Open(t, url), ssetest.Open(t, url), ssetest.Open(t, url)}
	for range streams {
		hosttest.Receive(t, returned, "the handler's return")
	}
	streams[0].Close()
	if err := hosttest.Receive(t, ends, "the end of the stream after its client had left"); !errors.Is(err, core.ErrClientGone) {
		t.Errorf("got cause %v, want %v", err, core.ErrClientGone)
	}
	if err := app.ShutdownWithTimeout(patience); err != nil {
		t.Error(err)
	}
	for _, st := range streams[1:] {
		if err := hosttest.Receive(t, ends, "the end of the stream after the shutdown"); !errors.Is(err, core.ErrShutdown) {
			t.Errorf("got cause %v, want %v", err, core.ErrShutdown)
		}
		if _, err := st.Rest(); err != nil {
			t.Errorf("got the end %v, want a clean one", err)
		}
	}
	if err := hosttest.Receive(t, served, "the server's end"); err != nil {
		t.Error(err)
	}
	hosttest.Eventually(t, "all sessions have ended", func() bool { return group.Len() == 0 })
}

func explode() { panic("boom") }

func TestDetachedFailure(t *testing.T) {
	book := new(hosttest.Logbook)
	logTo(t, book)
	for _, test := range []struct {
		name   string
		stream core.Stream
		want   []string
	}{
		{"an error", hosttest.Fail(errors.New("no more")), []string{"fibersse: stream of \"GET /error\": no more"}},
		{"a panic", func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "before"}, nil)
			explode()
		}, []string{"fibersse: stream of \"GET /error\": core: the generator panicked: boom", "fibersse_test.explode"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ssetest.NoLeaks(t, longLived...)
			app := newApp()
			app.Get("/error", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) { return test.stream, nil }, core.WithDetach()))
			st := ssetest.Open(t, "http://"+serve(t, app)+"/error")
			got, err := st.Rest()
			if !slices.Equal(got, []core.Event{{Data: "before"}}) || err == nil {
				t.Errorf("got %+v and the end %v, want one event and a broken end", got, err)
			}
			for _, text := range test.want {
				hosttest.Eventually(t, "the log says "+text, func() bool { return strings.Contains(book.String(), text) })
			}
		})
	}
}

// fasthttp reuses the request's memory for the next one while the stream lasts.
func TestDetachedFailureOfItsOwnRequest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	ssetest.NoLeaks(t, longLived...)
	book := new(hosttest.Logbook)
	logTo(t, book)
	goAhead := make(chan struct{})
	returned := make(chan struct{}, 1)
	app := newApp()
	app.Get("/mine", func(c *fiber.Ctx) error {
		defer func() { returned <- struct{}{} }()
		return fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
			return func(yield func(core.Event, error) bool) {
				<-goAhead
				yield(core.Event{}, errors.New("no more"))
			}, nil
		}, core.WithDetach())(c)
	})
	app.All("/+", func(*fiber.Ctx) error { return nil })
	addr := serve(t, app)
	st := ssetest.Open(t, "http://"+addr+"/mine")
	hosttest.Receive(t, returned, "the handler's return")
	for range 20 {
		conn, in := say(t, addr, "PUT /else HTTP/1.1\r\nHost: test\r\n\r\n")
		until(t, in, "HTTP/1.1 200")
		_ = conn.Close()
	}
	close(goAhead)
	_, _ = st.Rest()
	const want = `fibersse: stream of "GET /mine": no more`
	hosttest.Eventually(t, "the log says something", func() bool { return strings.Contains(book.String(), "no more") })
	if !strings.Contains(book.String(), want) {
		t.Errorf("the log says %q, want %q", book.String(), want)
	}
}

// On fiber, too, a hub's subscriptions have no goroutine, and the session notices that a
// client leaves while the stream is idle.
func TestDetachedHasNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("fibersse detaches sessions on Linux only")
	}
	ssetest.NoLeaks(t, longLived...)
	const size, few = 200, 20
	h := hub.New()
	app := newApp()
	app.Get("/", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return h.Subscribe(c.UserContext(), "a"), nil
	}, core.WithDetach()))
	addr := serve(t, app)
	before := runtime.NumGoroutine()
	var conns []net.Conn
	for range size {
		conn, _ := say(t, addr, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		_ = conn.SetDeadline(time.Now().Add(patience))
		readUntil(t, conn, ": open\n\n")
		conns = append(conns, conn)
	}
	hosttest.Eventually(t, "all have subscribed", func() bool { return h.Len("a") == size })
	hosttest.Eventually(t, "the handlers have returned", func() bool { return runtime.NumGoroutine() < before+few })
	if _, err := h.Publish(t.Context(), "a", core.Event{Data: "news"}); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		readUntil(t, conn, "data: news\n\n")
		_ = conn.Close()
	}
	hosttest.Eventually(t, "all have left", func() bool { return h.Len("a") == 0 })
}
