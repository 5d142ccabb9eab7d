// Package echosse streams events from echo handlers.
//
// A view is an ordinary echo handler that returns a stream before its error:
//
//	e.GET("/stream", echosse.Handler(func(c echo.Context) (core.Stream, error) {
//		return ticks(c.Request().Context(), c.QueryParam("user_id")), nil
//	}))
//
// The response starts at once, each event is sent without waiting for the next one, and
// c.Request().Context() ends when the client leaves or the server shuts down.
// [echo.Echo.Shutdown] needs no other code.
package echosse
