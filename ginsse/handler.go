package ginsse

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A View is an ordinary gin handler that returns the stream to send. It returns
// nil if it has already answered the request, for example with c.JSON or
// c.AbortWithStatus. If it answers and also returns a stream, the stream is not sent, and
// the mistake is added to c.Errors.
//
// c.Request.Context() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to resume. The
// generator should take what it needs from c as values.
type View func(c *gin.Context) core.Stream

// Handler runs view and streams what it returns.
//
// If the stream fails, the error is added to c.Errors and goes to
// [core.WithObserver]. A request that is refused is aborted, with an answer in plain
// text.
//
// It panics if view is nil.
func Handler(view View, opts ...core.Option) gin.HandlerFunc {
	if view == nil {
		panic("ginsse: Handler: the view is nil")
	}
	return func(c *gin.Context) {
		r, streaming := c.Request, false
		pattern := r.Pattern
		r.Pattern = c.FullPath()
		defer func() {
			c.Request, r.Pattern = r, pattern
			if streaming {
				c.Writer = ended{c.Writer}
			}
		}()
		err := nethttpsse.Serve(newWriter(c.Writer), r, func(r *http.Request) (core.Stream, error) {
			c.Request = r
			stream := view(c)
			if stream != nil && c.Writer.Written() {
				return nil, errors.New("ginsse: the view has written a response and also returned a stream: return nil after an answer")
			}
			streaming = stream != nil && r.Method != http.MethodHead
			return stream, nil
		}, opts...)
		if err == nil {
			return
		}
		_ = c.Error(err)
		var (
			failed  *core.StreamError
			refused *core.RefusedError
		)
		if !errors.As(err, &failed) && errors.As(err, &refused) {
			streaming = false
			c.Abort()
			c.String(refused.Status, "%s\n", refused.Answer())
		}
	}
}
