package echo5sse_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

const twoEvents = ": open\n\ndata: one\n\ndata: two\n\n"

func view(*echo.Context) (core.Stream, error) { return hosttest.Events("one", "two"), nil }

func failing(err error) echo5sse.View {
	return func(*echo.Context) (core.Stream, error) { return hosttest.Fail(err), nil }
}

// quiet returns echo with middlewares, without its log.
func quiet(middlewares ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Use(middlewares...)
	return e
}

func TestMiddleware(t *testing.T) {
	logged := hosttest.NewLog()
	dumped := make(chan int, 1)
	tests := []struct {
		name       string
		middleware echo.MiddlewareFunc
	}{
		{"RequestLogger", middleware.RequestLogger()},
		{"Recover", middleware.Recover()},
		{"CORS", middleware.CORS("*")},
		{"Gzip", middleware.Gzip()},
		{"Secure", middleware.Secure()},
		{"ContextTimeout", middleware.ContextTimeout(time.Minute)},
		{"BodyDump", middleware.BodyDump(func(_ *echo.Context, _, body []byte, _ error) { dumped <- len(body) })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := quiet(tt.middleware)
			e.Logger = slog.New(slog.NewTextHandler(logged, nil))
			e.GET("/", echo5sse.Handler(view))
			got := hosttest.Get(t, hosttest.Serve(t, e), "Accept-Encoding", "gzip", "Origin", "http://example.com")
			if got.Status != 200 || got.Body != twoEvents || got.Broken {
				t.Errorf("got %+v, want 200 %q", got, twoEvents)
			}
			if got := got.Header.Get("Content-Encoding"); got != "" {
				t.Errorf("got content encoding %q of a plain stream", got)
			}
		})
	}
	if got, want := <-logged, "status=200"; !strings.Contains(got, want) {
		t.Errorf("got log %q, want %s", got, want)
	}
	if got := <-dumped; got != 0 {
		t.Errorf("got %d bytes of the stream kept by BodyDump, want none", got)
	}
}

// A view's own answer passes through the middlewares as usual.
func TestAnswerIsCompressed(t *testing.T) {
	e := quiet(middleware.Gzip())
	long := strings.Repeat("long ", 1000)
	e.GET("/", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		return nil, c.String(http.StatusOK, long)
	}))
	answer := hosttest.Get(t, hosttest.Serve(t, e), "Accept-Encoding", "gzip")
	zip, err := gzip.NewReader(strings.NewReader(answer.Body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(zip); string(got) != long || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(long))
	}
}

// The answer of a net/http middleware contains the refusal.
func TestWrappedTimeoutHandlerIsRefused(t *testing.T) {
	e := quiet(echo.WrapMiddleware(func(h http.Handler) http.Handler {
		return http.TimeoutHandler(h, time.Minute, "too late")
	}))
	e.GET("/", echo5sse.Handler(view))
	got := hosttest.Get(t, hosttest.Serve(t, e))
	if want := "a *http.timeoutWriter cannot flush"; got.Status != 500 || strings.Count(got.Body, want) != 1 {
		t.Errorf("got %d %q, want 500 %q once", got.Status, got.Body, want)
	}
}

// An early compressor sets its Content-Encoding before anything is written.
type early struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (e early) Write(p []byte) (int, error) { return e.zip.Write(p) }
func (e early) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e early) Flush() {
	_ = e.zip.Flush()
	_ = http.NewResponseController(e.ResponseWriter).Flush()
}

// A cookied sets a cookie when the response begins, as session managers do.
type cookied struct{ http.ResponseWriter }

func (c cookied) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c cookied) WriteHeader(status int) {
	c.Header().Set("Set-Cookie", "session=1")
	c.ResponseWriter.WriteHeader(status)
}

// The stream bypasses only echo's own writers.
func TestOtherWritersAreNotLeftOut(t *testing.T) {
	compress := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			defer zip.Close() //nolint:errcheck // the client sees
			h.ServeHTTP(early{w, zip}, r)
		})
	}
	cookies := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(cookied{w}, r) })
	}
	for name, around := range map[string]func(h http.Handler, e *echo.Echo) http.Handler{
		"around": func(h http.Handler, _ *echo.Echo) http.Handler { return compress(cookies(h)) },
		"inside": func(h http.Handler, e *echo.Echo) http.Handler {
			e.Use(echo.WrapMiddleware(compress), echo.WrapMiddleware(cookies))
			return h
		},
		"set": func(h http.Handler, e *echo.Echo) http.Handler {
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c *echo.Context) error {
					c.Response().Header().Set("Content-Encoding", "gzip")
					zip := gzip.NewWriter(c.Response())
					defer zip.Close() //nolint:errcheck // the client sees
					c.SetResponse(cookied{early{c.Response(), zip}})
					return next(c)
				}
			}, middleware.Gzip())
			return h
		},
		"below echo's own": func(h http.Handler, e *echo.Echo) http.Handler {
			e.Use(echo.WrapMiddleware(compress), echo.WrapMiddleware(cookies), middleware.BodyDump(func(*echo.Context, []byte, []byte, error) {}))
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := quiet()
			h := around(e, e)
			e.GET("/", echo5sse.Handler(view))
			got := hosttest.Get(t, hosttest.Serve(t, h), "Accept-Encoding", "gzip")
			zip, err := gzip.NewReader(strings.NewReader(got.Body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(zip); string(body) != twoEvents || err != nil {
				t.Errorf("got %q, %v, want %q", body, err, twoEvents)
			}
			if got, want := got.Header.Get("Set-Cookie"), "session=1"; got != want {
				t.Errorf("got cookie %q, want %q", got, want)
			}
		})
	}
}

func TestContextTimeoutEndsTheStream(t *testing.T) {
	e := quiet(middleware.ContextTimeout(10 * time.Millisecond))
	causes := make(chan error, 1)
	e.GET("/", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		ctx := c.Request().Context()
		return func(yield func(core.Event, error) bool) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			yield(core.Event{}, ctx.Err())
		}, nil
	}))
	got := hosttest.Get(t, hosttest.Serve(t, e))
	if got.Body != ": open\n\n" || got.Broken {
		t.Errorf("got %q, broken %t, want a clean end", got.Body, got.Broken)
	}
	if got, want := <-causes, context.DeadlineExceeded; !errors.Is(got, want) {
		t.Errorf("got cause %v, want %v", got, want)
	}
}

// An error handler that does not look at Committed appends nothing to a stream,
// however it ended.
func TestErrorHandlerAppendsNothing(t *testing.T) {
	const text = "secret"
	failure := errors.New(text)
	refusal := &core.RefusedError{Status: http.StatusServiceUnavailable, Err: failure} // another server's
	tests := []struct {
		name   string
		err    error
		opts   []core.Option
		want   string
		broken bool
	}{
		{"broken", failure, nil, ": open\n\ndata: before\n\n", true},
		{"broken by a refusal", refusal, nil, ": open\n\ndata: before\n\n", true},
		{
			"with an error event", refusal,
			[]core.Option{core.WithErrorEvent(func(error) core.Event { return core.Event{Type: "failed"} })},
			": open\n\ndata: before\n\nevent: failed\ndata: \n\n", false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			logged := hosttest.NewLog()
			e := quiet(middleware.Gzip())
			e.Logger = slog.New(slog.NewTextHandler(logged, nil))
			e.HTTPErrorHandler = func(c *echo.Context, err error) {
				t.Errorf("the error handler got %v, want no call", err)
				_ = c.JSON(http.StatusInternalServerError, err.Error())
			}
			e.GET("/", echo5sse.Handler(failing(tt.err), tt.opts...))
			got := hosttest.Get(t, hosttest.Serve(t, e))
			if got.Body != tt.want || got.Broken != tt.broken {
				t.Errorf("got %q, broken %t, want %q, broken %t", got.Body, got.Broken, tt.want, tt.broken)
			}
			if got := hosttest.Receive(t, logged, "the error in echo's log"); !strings.Contains(got, text) {
				t.Errorf("got log %q, want the error", got)
			}
		})
	}
}

// A refusal that a view returns without a status is one with 503.
func TestRefusalWithoutStatus(t *testing.T) {
	e := quiet()
	e.GET("/", echo5sse.Handler(func(*echo.Context) (core.Stream, error) {
		return nil, &core.RefusedError{Message: "no more today"}
	}))
	got := hosttest.Get(t, hosttest.Serve(t, e))
	if got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "no more today") {
		t.Errorf("got %d %q, want 503 and the message", got.Status, got.Body)
	}
}

func TestErrorBeforeTheStream(t *testing.T) {
	e := quiet()
	e.GET("/", echo5sse.Handler(func(*echo.Context) (core.Stream, error) {
		return hosttest.Events("never"), echo.NewHTTPError(http.StatusTeapot, "short and stout")
	}))
	got := hosttest.Get(t, hosttest.Serve(t, e))
	if want := "{\"message\":\"short and stout\"}\n"; got.Status != http.StatusTeapot || got.Body != want {
		t.Errorf("got %d %q, want 418 %q", got.Status, got.Body, want)
	}
	if got := got.Header.Get("X-Accel-Buffering"); got != "" {
		t.Errorf("got X-Accel-Buffering %q without a stream", got)
	}
}

// What middlewares see when the stream has ended: their own request and writer, and
// what has been sent.
func TestContextIsPutBack(t *testing.T) {
	type seen struct {
		request, writer, committed bool
		status                     int
		size                       int64
	}
	after := make(chan seen, 1)
	e := quiet(middleware.Gzip(), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			r, w := c.Request(), c.Response()
			err := next(c)
			res, status := echo.ResolveResponseStatus(c.Response(), err)
			after <- seen{c.Request() == r, c.Response() == w, res.Committed, status, res.Size}
			return err
		}
	})
	e.GET("/", echo5sse.Handler(view))
	hosttest.Get(t, hosttest.Serve(t, e), "Accept-Encoding", "gzip")
	if got, want := <-after, (seen{true, true, true, 200, int64(len(twoEvents))}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A view that has answered has no stream to send, even if a middleware holds the answer back.
func TestAnswerAndStream(t *testing.T) {
	for name, answer := range map[string]func(c *echo.Context) error{
		"by echo": func(c *echo.Context) error { return c.String(http.StatusOK, "short") },
		"by hand": func(c *echo.Context) error {
			_, err := io.WriteString(c.Response(), "short")
			return err
		},
		"without a body": func(c *echo.Context) error { return c.NoContent(http.StatusOK) },
	} {
		t.Run(name, func(t *testing.T) {
			errs := make(chan error, 1)
			e := quiet(middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1000}), func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c *echo.Context) error {
					err := next(c)
					errs <- err
					return err
				}
			})
			e.GET("/", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) { return hosttest.Events("never"), answer(c) }))
			got := hosttest.Get(t, hosttest.Serve(t, e), "Accept-Encoding", "gzip")
			if strings.Contains(got.Body, "never") {
				t.Errorf("got %q, which has the stream", got.Body)
			}
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "also returned a stream") {
				t.Errorf("got error %v, want one that names both", err)
			}
		})
	}
}

// A router that answers HEAD requests sends the length of what the handler has written,
// which is not the length of the stream.
func TestAutomaticHead(t *testing.T) {
	e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
	e.GET("/", echo5sse.Handler(view))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, hosttest.Serve(t, e), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := hosttest.Do(t, req)
	if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/event-stream") || got.Header["Content-Length"] != nil {
		t.Errorf("got %d %v, want 200 and the headers of a stream", got.Status, got.Header)
	}
}

// A refusal is an echo.HTTPError, which the application's error handler answers.
func TestRefusalIsAnError(t *testing.T) {
	var group core.Group
	if err := group.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, around := range map[string]func(*echo.Echo){
		"nothing": func(*echo.Echo) {},
		"Gzip":    func(e *echo.Echo) { e.Use(middleware.Gzip()) },
		"WrapMiddleware": func(e *echo.Echo) {
			e.Use(middleware.Gzip(), echo.WrapMiddleware(func(h http.Handler) http.Handler { return h }), middleware.Gzip())
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := quiet()
			around(e)
			e.HTTPErrorHandler = echo.ProblemDetailsHTTPErrorHandler(false)
			e.GET("/", echo5sse.Handler(view, core.WithGroup(&group)))
			got := hosttest.Get(t, hosttest.Serve(t, e))
			wantProblem(t, got, http.StatusServiceUnavailable, "shutting down")
			if got.Header.Get("Retry-After") == "" {
				t.Errorf("got headers %v, want Retry-After", got.Header)
			}
		})
	}
}

// wantProblem checks an answer in the form of RFC 9457.
func wantProblem(t *testing.T, got hosttest.Answer, status int, detail string) {
	t.Helper()
	var problem echo.ProblemError
	err := json.Unmarshal([]byte(got.Body), &problem)
	if got.Status != status || err != nil || problem.Status != status || !strings.Contains(problem.Detail, detail) {
		t.Errorf("got %d %q, want a problem of status %d and detail %q", got.Status, got.Body, status, detail)
	}
	if got, want := got.Header.Get("Content-Type"), "application/problem+json"; got != want {
		t.Errorf("got content type %q, want %q", got, want)
	}
}

func TestProblemBeforeTheStream(t *testing.T) {
	e := quiet()
	e.HTTPErrorHandler = echo.ProblemDetailsHTTPErrorHandler(false)
	e.GET("/", echo5sse.Handler(func(*echo.Context) (core.Stream, error) {
		return nil, &echo.ProblemError{Status: http.StatusTeapot, Detail: "short and stout"}
	}))
	wantProblem(t, hosttest.Get(t, hosttest.Serve(t, e)), http.StatusTeapot, "short and stout")
}

// Echo's own writer hides the error of a flush.
func TestFlushThatFails(t *testing.T) {
	e := echo.New()
	var cause func() error
	e.GET("/", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		ctx := c.Request().Context()
		cause = func() error { return context.Cause(ctx) }
		return hosttest.Events("one"), nil
	}))
	e.ServeHTTP(hosttest.NewLostWriter(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if got := cause(); !errors.Is(got, core.ErrClientGone) {
		t.Errorf("got the cause %v, want %v", got, core.ErrClientGone)
	}
}

// The request of a session has the router's pattern.
func TestRoute(t *testing.T) {
	e := echo.New()
	e.Group("/rooms").GET("/:id", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) { return requestOf(c.Request().Context()), nil }))
	if got, want := hosttest.Get(t, hosttest.Serve(t, e)+"/rooms/a%20b?x=1").Body, ": open\n\ndata: GET /rooms/a b of /rooms/:id\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func requestOf(ctx context.Context) core.Stream {
	r := core.RequestOf(ctx)
	return hosttest.Events(r.Method + " " + r.Path + " of " + r.Route)
}

// The log has one line for a stream that fails, whatever a client has put into its error.
func TestFailureIsOneLine(t *testing.T) {
	book := new(hosttest.Logbook)
	e := echo.New()
	e.Logger = slog.New(slog.NewTextHandler(book, nil))
	e.GET("/", echo5sse.Handler(func(*echo.Context) (core.Stream, error) { return hosttest.Forging(), nil }))
	_ = hosttest.Get(t, hosttest.Serve(t, e))
	book.Forged(t)
}
