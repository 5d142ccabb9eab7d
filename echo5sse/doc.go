// Package echo5sse streams events from handlers of echo v5.
//
// A view is an ordinary echo handler that returns a stream before its error:
//
//	e.GET("/stream", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
//		return ticks(c.Request().Context(), c.QueryParam("user_id")), nil
//	}))
//
// The response starts at once, each event is sent without waiting for the next one, and
// c.Request().Context() ends when the client leaves or the server shuts down.
// [echo.StartConfig] needs no other code.
//
// The package echosse does the same for echo v4.
package echo5sse
