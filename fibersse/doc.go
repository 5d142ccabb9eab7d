// Package fibersse streams events from fiber handlers.
//
// A view is an ordinary fiber handler that returns a stream before its error:
//
//	app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
//		return ticks(c.UserContext(), utils.CopyString(c.Query("user_id"))), nil
//	}))
//
// The handler itself writes to the connection, and does not use SetBodyStreamWriter. So the
// response starts at once, each event is sent without waiting for the next one, c stays
// valid, the recover middleware gets a panic, the logger logs how long the stream really
// lasted, and c.UserContext() ends when the client leaves, even while the stream is idle,
// or when the app shuts down. [fiber.App.Shutdown] needs no other code.
//
// The generator runs in another goroutine, while the handler waits for it and listens
// to the client. If the generator panics, the handler panics with the same value, and
// fiber's log has the generator's stack. After runtime.Goexit the app's error handler
// gets an error.
//
// # Limits
//
// Without the recover middleware a panic ends the process, as in any fiber handler.
//
// A stream needs the client's connection. With fiber's adaptor.FiberApp and
// FiberHandler, the adapters to AWS Lambda, and HTTP/2 there is none that a stream could
// use, so it is refused with 500: use nethttpsse there.
//
// With StreamRequestBody, the part of a body that the view has not read is read before
// the stream begins: see [host.DrainBody]. fasthttp waits for a body's first bytes, or
// for all of it without that setting, before it runs a handler, and only fiber's
// ReadTimeout ends that wait.
//
// With HTTP/1.0 a stream that fails ends with a reset of the connection, because a
// proper close tells the client that the response is whole. A socket that is not TCP
// cannot be reset.
//
// Middlewares that change the response after the handler come too late: headers that
// they set then are not sent, and compress and etag do nothing. A cookie under
// encryptcookie is still encrypted if the middleware is among the app's handlers, and
// otherwise the request is refused. Under the cache middleware each request gets its own
// stream: the handler returns a [fiber.Error] of status 200, which is not sent, so that
// nothing is cached. A stream is refused under idempotency, which would answer the next
// request with an empty response, and under timeout.New, which uses c while the stream
// runs (timeout.NewWithContext works, and ends the stream at its deadline).
//
// With Prefork each child has its own sessions and groups. [fiber.App.Test] gets the
// whole stream when it has ended. The connection is closed after the stream. A client
// must have read the answers to its earlier requests before it asks for a stream: with
// HTTP/1.1 pipelining, which browsers do not use, fasthttp holds such an answer back
// until the handler returns, unless the stream is detached.
//
// With [core.WithDetach] the handler returns before the stream begins, on Linux and
// without TLS. Then c belongs to another request, and so do the strings that came from
// it: copy them with utils.CopyString, as above, or set Immutable in fiber's
// configuration. So does c.Context(): a stream stays in its handler if a middleware has
// derived c.UserContext() from it. The failure of a detached stream, or its panic, goes
// to fiber's log.
package fibersse
