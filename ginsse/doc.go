// Package ginsse streams events from gin handlers.
//
// A view is an ordinary gin handler that returns a stream:
//
//	r.GET("/stream", ginsse.Handler(func(c *gin.Context) core.Stream {
//		return ticks(c.Request.Context(), c.Query("user_id"))
//	}))
//
// The response starts at once, each event is sent without waiting for the next one, and
// c.Request.Context() ends when the client leaves or the server shuts down.
// [net/http.Server.Shutdown] needs no other code.
package ginsse
