package echo5sse

import (
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/labstack/echo/v5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A View is an ordinary echo handler that returns the stream to send. It returns
// nil if it has already answered the request, for example with c.JSON or c.Redirect.
// Echo answers if it returns an error. If it answers and also returns a stream, the stream is
// not sent, and Handler returns an error.
//
// c.Request().Context() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to resume. The
// generator should take what it needs from c as values.
type View func(c *echo.Context) (core.Stream, error)

// Handler runs view and streams what it returns. The stream bypasses echo's own Gzip
// and BodyDump, so it is neither compressed nor kept, if they are the last middlewares
// that have wrapped the response. It passes through the writers of other middlewares.
//
// If the stream fails, the error goes to c.Logger() and to [core.WithObserver], not to
// echo's error handler, because the response is committed. If a request is refused, the
// handler returns an [echo.HTTPError].
//
// It panics if view is nil.
func Handler(view View, opts ...core.Option) echo.HandlerFunc {
	if view == nil {
		panic("echo5sse: Handler: the view is nil")
	}
	return func(c *echo.Context) error {
		if err := serve(c, view, opts); err != nil {
			return answer(c, err)
		}
		return nil
	}
}

// answer returns what echo answers when a stream could not begin. An error that came later
// is logged. (Its variables, in Handler, would make the stack of each stream grow.)
func answer(c *echo.Context, err error) error {
	var (
		failed  *core.StreamError
		refused *core.RefusedError
	)
	switch {
	case errors.As(err, &failed):
		r := c.Request()
		c.Logger().ErrorContext(r.Context(), "echo5sse: a stream has failed", "method", r.Method, "path", r.URL.Path, "error", err)
		return nil
	case errors.As(err, &refused) && refused.Status == http.StatusNoContent:
		return c.NoContent(refused.Status) // echo's error handler would write a body
	case errors.As(err, &refused):
		err = echo.NewHTTPError(refused.Status, refused.Answer()).Wrap(err)
		// echo.WrapMiddleware makes responses without a status. Its middleware answers before the error arrives.
		if res, _ := echo.UnwrapResponse(c.Response()); res != nil && res.Status == 0 {
			c.Echo().HTTPErrorHandler(c, err)
		}
	}
	return err
}

func serve(c *echo.Context, view View, opts []core.Option) error {
	r, res := c.Request(), c.Response()
	defer func() { c.SetRequest(r); c.SetResponse(res) }()
	w := &writer{ResponseWriter: res}
	c.SetResponse(w)
	return nethttpsse.Serve(w, r, func(r *http.Request) (core.Stream, error) {
		c.SetRequest(r)
		stream, err := view(c)
		if err != nil || stream == nil {
			return nil, err
		}
		if w.written {
			return nil, errors.New("echo5sse: the view has written a response and also returned a stream: return nil after an answer")
		}
		w.ResponseWriter = past(res)
		return stream, nil
	}, opts...)
}

// past returns the writer below those of echo's own middlewares, such as Gzip and BodyDump,
// that are above the first [echo.Response]. The writer of another middleware may do more
// than wait for the body: for example, it may set a cookie when the response begins.
func past(w http.ResponseWriter) http.ResponseWriter {
	for {
		_, committer := w.(*echo.Response)
		next, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok || committer || !strings.HasPrefix(reflect.Indirect(reflect.ValueOf(w)).Type().PkgPath(), "github.com/labstack/echo/v5") {
			return w
		}
		w = next.Unwrap()
	}
}

// A writer is c.Response() while the view runs and the stream is sent. It
// remembers whether the view has answered, because a middleware may hold the answer back.
type writer struct {
	http.ResponseWriter

	written bool
}

func (w *writer) WriteHeader(status int) {
	w.written = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // a writer's own
}

// Flush is for views that write the response themselves.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError returns the error of a flush, which echo's own writer hides.
func (w *writer) FlushError() error {
	next := w.ResponseWriter
	if res, ok := next.(*echo.Response); ok {
		next = res.ResponseWriter
	}
	return http.NewResponseController(next).Flush() //nolint:wrapcheck // a writer's own
}

// Unwrap implements what [echo.UnwrapResponse] and [http.ResponseController] look for.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
