// Package fibersse streams events from fiber handlers.
//
// A view is an ordinary fiber handler that returns a stream before its error:
//
//	app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
//		return ticks(c.UserContext(), utils.CopyString(c.Query("user_id"))), nil
//	}))
//
// The handler writes to the connection by itself, instead of leaving a
// SetBodyStreamWriter behind. So the response starts at once, each event reaches
// the client before the next one is made, c stays valid, a panic meets the
// recover middleware, the logger sees the stream's real length, and
// c.UserContext() ends when the client leaves, also while the stream is idle, or
// when the app shuts down: [fiber.App.Shutdown] needs no other code.
//
// The generator runs in a goroutine of its own, while the handler waits for it and
// listens to the client. A panic goes on in the handler with the same value, and
// fiber's log has its stack. After runtime.Goexit the app's error handler gets an
// error.
//
// # Limits
//
// Without the recover middleware, a panic ends the process, as in any handler of
// fiber's.
//
// A stream needs the client's connection. fiber's adaptor.FiberApp and FiberHandler,
// the adapters to AWS Lambda, and HTTP/2 have none to give, so a stream is refused
// there with 500: use nethttpsse in that place.
//
// With StreamRequestBody, what the view has left of a body is read before the stream
// begins, see [host.DrainBody]. fasthttp waits for a body's first bytes, or for all of it
// without that setting, before it runs a handler, and only fiber's ReadTimeout ends that
// wait. With HTTP/1.0 a stream that fails ends with a reset of
// the connection, because the client takes a proper close for a whole response; a
// socket that is not TCP cannot be reset.
//
// Middlewares that change the response after the handler come too late: headers
// that they set then are not sent, and compress and etag do nothing. A cookie under
// encryptcookie is encrypted all the same, if the app has the middleware among its
// handlers, and otherwise refused. Under the cache middleware each request gets a
// stream of its own: the handler returns a [fiber.Error] of status 200, which nobody
// answers any more, so that nothing is kept. A stream is refused under idempotency,
// which would answer the next request with nothing, and under
// timeout.New, which goes on using c beside the stream (timeout.NewWithContext
// works, and ends the stream at its deadline). With Prefork each child has
// sessions and groups of its own. [fiber.App.Test] gets the whole stream when it
// has ended. The connection is closed after the stream. A client must have read the
// answers to its earlier requests before it asks for a stream: with HTTP/1.1
// pipelining, which browsers do not use, fasthttp holds such an answer back until the
// handler returns. [core.WithDetach] fixes that too.
//
// [core.WithDetach] has the handler return before the stream begins, on Linux and
// without TLS. Then c belongs to another request, and so do the strings that
// came from it: copy them with utils.CopyString, as above, or set Immutable in
// fiber's configuration. So does c.Context(): a stream stays in its handler if a
// middleware has made c.UserContext() of that. A stream's failure, and a panic, go
// to fiber's log.
package fibersse
