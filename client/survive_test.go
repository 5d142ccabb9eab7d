package client_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

const disconnections = 200

// The client reads an endless stream through many disconnections, at any byte of the
// response, and gets every event once.
func TestSurvives200Disconnections(t *testing.T) {
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) {
			ssetest.NoLeaks(t, longLived...)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
			defer cancel()
			ln := newCutting(t, disconnections)
			host(t, ln)

			seen, lost := 0, 0
			for e, err := range client.Stream(get(t, "http://"+ln.Addr().String()+"/stream").WithContext(ctx), soon(),
				client.WithDisconnected(func(error, time.Duration) { lost++ })) {
				if err != nil {
					t.Fatalf("got the error %v after %d events and %d disconnections", err, seen, lost)
				}
				seen++
				if want := event(seen); e != want {
					t.Fatalf("got %+v, want %+v, after %d disconnections", e, want, lost)
				}
				if ln.left.Load() <= 0 && lost >= disconnections {
					break
				}
			}
			if lost != disconnections || seen < disconnections {
				t.Errorf("got %d events through %d disconnections, want many through %d", seen, lost, disconnections)
			}
		})
	}
}

// A hub sets the IDs, and the client resumes with them.
func TestHubSurvives200Disconnections(t *testing.T) {
	t.Run("plain", func(t *testing.T) { hubSurvives(t, false) })
	t.Run("compressed", func(t *testing.T) { hubSurvives(t, true) })
}

func hubSurvives(t *testing.T, compressed bool) {
	t.Helper()
	const ahead = 100 // events that have been published and not read
	ssetest.NoLeaks(t, longLived...)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	var h hub.Hub
	ln := newCutting(t, disconnections)
	serveHTTP(t, ln, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return h.SubscribeFrom(r.Context(), hub.Oldest, "count")
	}, core.WithCompression()))
	room := make(chan struct{}, ahead)
	published := make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				published <- nil
				return
			}
			if _, err := h.Publish(ctx, "count", core.Event{Data: strconv.Itoa(n)}); err != nil && ctx.Err() == nil {
				published <- err
				return
			}
		}
	}()

	seen, lost := 0, 0
	req := get(t, "http://"+ln.Addr().String()).WithContext(ctx)
	if compressed {
		req.Header["Accept-Encoding"] = nil
	}
	for e, err := range client.Stream(req, soon(),
		client.WithDisconnected(func(error, time.Duration) { lost++ })) {
		if err != nil {
			t.Fatalf("got the error %v after %d events and %d disconnections", err, seen, lost)
		}
		seen++
		if want := strconv.Itoa(seen); e.Data != want {
			t.Fatalf("got %+v, want %s, after %d disconnections", e, want, lost)
		}
		<-room
		if ln.left.Load() <= 0 && lost >= disconnections {
			break
		}
	}
	cancel()
	if err := <-published; err != nil {
		t.Error(err)
	}
	if lost != disconnections || seen < disconnections {
		t.Errorf("got %d events through %d disconnections, want many through %d", seen, lost, disconnections)
	}
}

// event returns event n of the stream that the hosts serve.
func event(n int) core.Event {
	return core.Event{ID: strconv.Itoa(n), Type: "count", Data: strings.Repeat("line\n", n%4) + fmt.Sprint("number ", n)}
}

// counter continues after the client's last event ID.
func counter(ctx context.Context) core.Stream {
	last, _ := strconv.Atoi(core.LastEventID(ctx))
	return func(yield func(core.Event, error) bool) {
		for n := last + 1; yield(event(n), nil); n++ {
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// hosts serve counter at /stream until the test ends.
var hosts = map[string]func(t *testing.T, ln net.Listener){
	"nethttpsse": func(t *testing.T, ln net.Listener) {
		t.Helper()
		serveHTTP(t, ln, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return counter(r.Context())
		}))
	},
	"ginsse": func(t *testing.T, ln net.Listener) {
		t.Helper()
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.GET("/stream", ginsse.Handler(func(c *gin.Context) core.Stream {
			return counter(c.Request.Context())
		}))
		serveHTTP(t, ln, r)
	},
	"echosse": func(t *testing.T, ln net.Listener) {
		t.Helper()
		e := echo.New()
		e.GET("/stream", echosse.Handler(func(c echo.Context) (core.Stream, error) {
			return counter(c.Request().Context()), nil
		}))
		serveHTTP(t, ln, e)
	},
	"fibersse": func(t *testing.T, ln net.Listener) {
		t.Helper()
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			return counter(c.UserContext()), nil
		}))
		hosttest.Run(t, ln, app.Listener, app.ShutdownWithContext)
	},
}

func serveHTTP(t *testing.T, ln net.Listener, h http.Handler) {
	t.Helper()
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	hosttest.Run(t, ln, srv.Serve, srv.Shutdown)
}

// A cutting listener closes a number of connections, each after a random count of
// bytes: some in the headers, most in the events.
type cutting struct {
	net.Listener

	left atomic.Int64 // connections to cut

	mu   sync.Mutex
	rand *rand.Rand
}

func newCutting(t *testing.T, n int64) *cutting {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{Listener: ln, rand: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same numbers each time
	c.left.Store(n)
	return c
}

func (l *cutting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.left.Add(-1) < 0 {
		return c, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &cutConn{Conn: c, rest: l.rand.IntN(2000), reset: l.rand.IntN(2) == 0}, nil
}

type cutConn struct {
	net.Conn

	mu    sync.Mutex
	rest  int // bytes until the cut
	reset bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) <= c.rest {
		c.rest -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.rest])
	c.rest = 0
	if c.reset {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
	}
	_ = c.Conn.Close()
	return n, net.ErrClosed
}
