package echosse

import (
	"errors"
	"net/http"
	"reflect"

	"github.com/labstack/echo/v4"

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
type View func(c echo.Context) (core.Stream, error)

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
		panic("echosse: Handler: the view is nil")
	}
	return func(c echo.Context) error {
		r, res := c.Request(), c.Response()
		w, pattern := res.Writer, r.Pattern
		r.Pattern = c.Path()
		defer func() { c.SetRequest(r); r.Pattern, res.Writer = pattern, w }()
		err := nethttpsse.Serve(writer{res}, r, func(r *http.Request) (core.Stream, error) {
			c.SetRequest(r)
			stream, err := view(c)
			if stream != nil && err == nil && res.Committed {
				return nil, errors.New("echosse: the view has written a response and also returned a stream: return nil after an answer")
			}
			if stream != nil && err == nil {
				res.Writer = past(w)
			}
			return stream, err
		}, opts...)
		if err == nil {
			return nil
		}

		var (
			failed  *core.StreamError
			refused *core.RefusedError
		)
		switch {
		case errors.As(err, &failed):
			c.Logger().Error(err)
			return nil
		case errors.As(err, &refused) && refused.Status == http.StatusNoContent && !res.Committed:
			return c.NoContent(refused.Status) // echo's error handler would write a body
		case errors.As(err, &refused):
			err = echo.NewHTTPError(refused.Status, refused.Answer()).SetInternal(err)
			if res.Status == 0 { // res is from echo.WrapMiddleware, whose middleware answers before the error arrives
				c.Error(err)
			}
		}
		return err
	}
}

// past returns the writer below those of echo's own Gzip and BodyDump. The writer of
// another middleware may have set headers that say how it changes the body, or may set
// them when the response begins.
func past(w http.ResponseWriter) http.ResponseWriter {
	for {
		next, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok || w.Header().Get(echo.HeaderContentEncoding) != "" ||
			reflect.Indirect(reflect.ValueOf(w)).Type().PkgPath() != "github.com/labstack/echo/v4/middleware" {
			return w
		}
		w = next.Unwrap()
	}
}

// A writer returns the error of a flush, which echo's own hides.
type writer struct{ *echo.Response }

func (w writer) FlushError() error { return http.NewResponseController(w.Writer).Flush() }
