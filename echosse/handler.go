package echosse

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A View is an ordinary echo handler that returns the stream to send. It returns
// nil when it has answered by itself, with c.JSON or c.Redirect, say; an error
// before the stream is echo's to answer.
//
// c.Request().Context() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to go on. The
// generator should take what it needs of c as values.
type View func(c echo.Context) (core.Stream, error)

// Handler runs view and streams what it returns. The stream goes past the
// writers of middlewares, so it is not compressed and no body dump keeps it.
//
// If the stream fails, the error goes to c.Logger() and to [core.WithObserver]:
// the response is committed, so that echo's error handler has nothing to answer.
// A request that is refused is an [echo.HTTPError].
func Handler(view View, opts ...core.Option) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, res := c.Request(), c.Response()
		w := res.Writer
		streaming := false
		defer func() { c.SetRequest(r); res.Writer = w }()
		err := nethttpsse.Serve(writer{res}, r, func(r *http.Request) (core.Stream, error) {
			if view == nil {
				return nil, core.ErrNilView
			}
			c.SetRequest(r)
			stream, err := view(c)
			if stream != nil && err == nil && res.Committed {
				return nil, errors.New("echosse: the view has answered, and returned a stream as well")
			}
			if stream != nil && err == nil {
				res.Writer, streaming = nethttpsse.Unwrap(w), true
			}
			return stream, err
		}, opts...)

		if refused, ok := err.(*core.RefusedError); ok { //nolint:errorlint // a stream's failure may wrap one
			return echo.NewHTTPError(refused.Status, refused.Error()).SetInternal(err)
		}
		if err != nil && streaming {
			c.Logger().Error(err)
			return nil
		}
		return err
	}
}

// A writer tells of the errors of a flush, which echo's own keeps to itself.
type writer struct{ *echo.Response }

func (w writer) FlushError() error { return http.NewResponseController(w.Writer).Flush() }
