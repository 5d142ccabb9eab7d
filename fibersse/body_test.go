package fibersse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// What views may do with a body, and whether that reads the body to its end.
var readers = map[string]func(*testing.T, *fiber.Ctx){
	"nothing": func(*testing.T, *fiber.Ctx) {},
	"a part": func(t *testing.T, c *fiber.Ctx) {
		t.Helper()
		var b [1]byte
		if _, err := io.ReadFull(c.Context().RequestBodyStream(), b[:]); err != nil {
			t.Error(err)
		}
	},
	"the stream": func(t *testing.T, c *fiber.Ctx) {
		t.Helper()
		if got, err := io.ReadAll(c.Context().RequestBodyStream()); len(got) == 0 || err != nil {
			t.Errorf("got %d bytes and %v", len(got), err)
		}
	},
	"Body": func(t *testing.T, c *fiber.Ctx) {
		t.Helper()
		if got := c.Body(); len(got) == 0 || strings.Trim(string(got), "x") != "" {
			t.Errorf("got a body of %d bytes", len(got))
		}
	},
	"close": func(t *testing.T, c *fiber.Ctx) {
		t.Helper()
		if err := c.Request().CloseBodyStream(); err != nil {
			t.Error(err)
		}
	},
}

// framings are requests with a body of size bytes.
var framings = map[string]func(size int) (head, body string){
	"a length": func(size int) (head, body string) {
		return fmt.Sprintf("Content-Length: %d\r\n\r\n", size), strings.Repeat("x", size)
	},
	"chunks": func(size int) (head, body string) {
		const most = 10 << 10
		var b strings.Builder
		for size > 0 {
			n := min(size, most)
			size -= n
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
		}
		return "Transfer-Encoding: chunked\r\n\r\n", b.String() + "0\r\n\r\n"
	},
}

// A body that comes as a stream is read to its end before the response begins, however
// much of it the view has read.
func TestBody(t *testing.T) {
	for _, transport := range transports {
		for _, detach := range []bool{false, true} {
			for framing, request := range framings {
				for read, reader := range readers {
					for _, method := range []string{"POST", "GET"} {
						t.Run(fmt.Sprintf("%s, detached %t/%s with %s, view reads %s", transport.name, detach, method, framing, read), func(t *testing.T) {
							opts := []core.Option{core.WithHeartbeat(0)}
							if detach {
								opts = append(opts, core.WithDetach())
							}
							returned, goAhead := make(chan struct{}), make(chan struct{})
							app := newApp(fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 10})
							app.All("/", func(c *fiber.Ctx) error {
								defer close(returned)
								return c.Next()
							}, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
								reader(t, c)
								return func(yield func(core.Event, error) bool) {
									<-goAhead
									yield(core.Event{Data: "one"}, nil)
								}, nil
							}, opts...))
							conn := transport.open(t, app)
							head, body := request(50 << 10)
							if _, err := io.WriteString(conn, method+" / HTTP/1.1\r\nHost: x\r\n"+head+body); err != nil {
								t.Fatal(err)
							}
							in := bufio.NewReader(conn)
							until(t, in, "\r\n") // the end of the headers
							if stays := transport.name != "plain" || !detach || read == "close"; !stays && runtime.GOOS == "linux" {
								hosttest.Receive(t, returned, "the handler's return")
							} else {
								select {
								case <-returned:
									t.Error("the handler has returned, want the stream to stay in it")
								default:
								}
							}
							close(goAhead)
							rest, err := io.ReadAll(in)
							const want = "data: one\n\n\r\n0\r\n\r\n"
							// A connection that is closed with unread input is reset.
							if !strings.HasSuffix(string(rest), want) || err != nil && read != "close" {
								t.Errorf("got %q, %v, want %q", rest, err, want)
							}
						})
					}
				}
			}
		}
	}
}

// If a body is too long or cannot be read, the stream is refused, and the connection is
// closed when the client has the answer.
func TestBodyRefused(t *testing.T) {
	ssetest.NoLeaks(t, longLived...)
	head, long := framings["a length"](host.MaxBody + 100<<10)
	chunked, longChunks := framings["chunks"](host.MaxBody + 100<<10)
	for _, transport := range transports {
		for _, test := range []struct {
			name, request string
			halfClose     bool
			status        int
		}{
			{"too long", head + long, false, 413},
			{"too long, in chunks", chunked + longChunks, false, 413},
			{"too long, and not all sent", head + long[100:], false, 413},
			{"a malformed chunk", chunked + "x\r\n", false, 400},
			{"the client leaves", head + long[:100<<10], true, 400},
		} {
			for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
				t.Run(fmt.Sprintf("%s/%s, %d options", transport.name, test.name, len(opts)), func(t *testing.T) {
					app := newApp(fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 10})
					app.Post("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
						return func(func(core.Event, error) bool) { t.Error("the stream has begun") }, nil
					}, opts...))
					conn := transport.open(t, app)
					if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+test.request); err != nil {
						t.Fatal(err)
					}
					if test.halfClose {
						halfClose(conn)
					}
					got := refusal(t, conn)
					if got.StatusCode != test.status {
						t.Errorf("got status %d, want %d", got.StatusCode, test.status)
					}
					if ct := got.Header.Get("Content-Type"); strings.Contains(ct, "event-stream") {
						t.Errorf("got content type %q", ct)
					}
				})
			}
		}
	}
}

func halfClose(c net.Conn) {
	if c, ok := c.(*tls.Conn); ok {
		_ = c.CloseWrite()
		return
	}
	_ = c.(*net.TCPConn).CloseWrite()
}

// refusal reads an answer and then the end of the connection.
func refusal(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); len(body) == 0 || err != nil {
		t.Errorf("got %q, %v, want the reason", body, err)
	}
	if !resp.Close {
		t.Error("the answer does not say that the connection will be closed")
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v after the answer, want the end", rest, err)
	}
	return resp
}

// A body that stops keeps its session open for a few seconds at most, and does not delay
// a shutdown.
func TestBodyStops(t *testing.T) {
	for framing, request := range framings {
		for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
			for _, shutdown := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d options, shutdown %t", framing, len(opts), shutdown), func(t *testing.T) {
					app := newApp(fiber.Config{StreamRequestBody: true, BodyLimit: 1 << 10})
					group := new(core.Group)
					app.Post("/", fibersse.Handler(func(*fiber.Ctx) (core.Stream, error) {
						return hosttest.Events("one"), nil
					}, append(opts, core.WithGroup(group))...))
					app.Get("/", func(*fiber.Ctx) error { return nil })
					res, err := app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), -1) // starts fasthttp's clock outside of the bubble
					if err != nil {
						t.Fatal(err)
					}
					_ = res.Body.Close()

					synctest.Test(t, func(t *testing.T) {
						conn, server := net.Pipe()
						defer conn.Close()
						go func() { _ = app.Server().ServeConn(server) }()
						begin := time.Now()
						head, body := request(50 << 10)
						if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+head+body[:20<<10]); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
						status, takes := http.StatusRequestTimeout, host.BodyTimeout
						if shutdown {
							status, takes = http.StatusServiceUnavailable, 0
							if err := group.Shutdown(context.Background()); err != nil {
								t.Error(err)
							}
						}
						resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
						if err != nil {
							t.Fatal(err)
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						if got := time.Since(begin); resp.StatusCode != status || got != takes {
							t.Errorf("got status %d after %v, want %d after %v", resp.StatusCode, got, status, takes)
						}
						if got := resp.Header.Get("Retry-After") != ""; got != shutdown {
							t.Errorf("got a Retry-After %t, want %t", got, shutdown)
						}
						if got := group.Len(); got != 0 {
							t.Errorf("got %d sessions, want none", got)
						}
					})
				})
			}
		}
	}
}
