package check_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// resuming counts on from the last event ID, ten events a second.
func resuming(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		id, _ := strconv.Atoi(core.LastEventID(ctx))
		for range core.Every(ctx, 100*time.Millisecond) {
			id++
			e := core.Event{ID: strconv.Itoa(id), Type: "add"}
			if !yield(e.JSON(map[string]any{"number": id, "text": "\u00e9 <\n>"})) {
				return
			}
		}
	}
}

// three sends three events, and answers with 204 after them.
func three(ctx context.Context) core.Stream {
	last, _ := strconv.Atoi(core.LastEventID(ctx))
	if last >= 3 {
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		for id := last + 1; id <= 3; id++ {
			if !yield(core.Event{ID: strconv.Itoa(id), Data: "of three"}, nil) {
				return
			}
		}
	}
}

var views = map[string]func(context.Context) core.Stream{"/resuming": resuming, "/three": three}

func ginHandler() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	for path, view := range views {
		r.Any(path, ginsse.Handler(func(c *gin.Context) core.Stream {
			s := view(c.Request.Context())
			if s == nil {
				c.Status(http.StatusNoContent)
			}
			return s
		}))
	}
	return r
}

func echoHandler() http.Handler {
	e := echo.New()
	for path, view := range views {
		e.Any(path, echosse.Handler(func(c echo.Context) (core.Stream, error) {
			s := view(c.Request().Context())
			if s == nil {
				return nil, c.NoContent(http.StatusNoContent)
			}
			return s, nil
		}))
	}
	return e
}

func netHTTPHandler() http.Handler {
	mux := http.NewServeMux()
	for path, view := range views {
		mux.Handle(path, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			s := view(r.Context())
			if s == nil {
				w.WriteHeader(http.StatusNoContent)
			}
			return s
		}))
	}
	return mux
}

func serveFiber(t *testing.T) (url string) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	for path, view := range views {
		app.All(path, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			s := view(c.UserContext())
			if s == nil {
				return nil, c.SendStatus(fiber.StatusNoContent)
			}
			return s, nil
		}))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Run(t, l, app.Listener, app.ShutdownWithContext)
	return "http://" + l.Addr().String()
}

// This project's streams pass the check on each host.
func TestFrameworks(t *testing.T) {
	for name, serve := range map[string]func(*testing.T) string{
		"gin":      func(t *testing.T) string { t.Helper(); return ssetest.Serve(t, ginHandler()) },
		"echo":     func(t *testing.T) string { t.Helper(); return ssetest.Serve(t, echoHandler()) },
		"fiber":    serveFiber,
		"net/http": func(t *testing.T) string { t.Helper(); return ssetest.Serve(t, netHTTPHandler()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t)
			for _, test := range []struct{ method, path, subject, seen string }{
				{http.MethodGet, "/resuming", "resumption", "it resumes with"},
				{http.MethodPost, "/resuming", "resumption", "it resumes with"},
				{http.MethodGet, "/three", "end", "a new connection gets 204"},
			} {
				hosttest.Again(t, func(t testing.TB) {
					transport := &http.Transport{}
					req, err := http.NewRequestWithContext(t.Context(), test.method, url+test.path, nil)
					if err != nil {
						t.Fatal(err)
					}
					r, err := check.Run(t.Context(), check.Config{
						Request: req, Client: &http.Client{Transport: transport}, Watch: time.Second,
					})
					transport.CloseIdleConnections()
					if err != nil {
						t.Fatal(err)
					}
					expect(t, r, test.subject, check.OK, test.seen)
					if !r.Stream || !r.Summary.Clean() {
						t.Errorf("%s %s: got findings, want none:\n%s", test.method, test.path, list(r))
					}
				})
			}
		})
	}
}
