package ginsse

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A View is an ordinary gin handler that returns the stream to send. It returns
// nil when it has answered by itself, with c.JSON or c.AbortWithStatus, say.
//
// c.Request.Context() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to go on. The
// generator should take what it needs of c as values.
type View func(c *gin.Context) core.Stream

// Handler runs view and streams what it returns.
//
// If the stream fails, the error is added to c.Errors and told to
// [core.WithObserver]. A request that is refused is aborted with a plain text
// answer.
func Handler(view View, opts ...core.Option) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := c.Request
		defer func() { c.Request = r }()
		err := nethttpsse.Serve(newWriter(c.Writer), r, func(r *http.Request) (core.Stream, error) {
			if view == nil {
				return nil, core.ErrNilView
			}
			c.Request = r
			return view(c), nil
		}, opts...)
		if err == nil {
			return
		}
		_ = c.Error(err)
		var refused *core.RefusedError
		if errors.As(err, &refused) {
			c.Abort()
			c.String(refused.Status, "%s\n", refused)
		}
	}
}
