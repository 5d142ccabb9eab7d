// Package fiber3sse streams events from handlers of fiber v3.
//
// A view is an ordinary fiber handler that returns a stream before its error:
//
//	app.Get("/stream", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
//		return ticks(c.Context(), strings.Clone(c.Query("user_id"))), nil
//	}))
//
// The handler itself writes to the connection, and does not use SendStreamWriter, as
// fiber's own middleware sse does. So the response starts at once, each event is sent
// without waiting for the next one, c stays valid, the recover middleware gets a panic, and
// the logger logs how long the stream really lasted. c.Context() ends when the client
// leaves, even while the stream is idle, or when the app shuts down. No other code is
// needed for [fiber.App.Shutdown]. The end of GracefulContext in [fiber.ListenConfig] ends
// streams as well, but Listen returns before they have ended: wait for the app's hook
// OnPostShutdown before the program exits.
//
// c itself is a [context.Context] too, which never ends. Pass c.Context() down, not c.
//
// The package fibersse does the same for fiber v2, and its documentation says how a
// generator runs, and what happens to a request's body, with HTTP/1.0, and with
// pipelining. That is the same here.
//
// # Middlewares
//
// Those that change the response after the handler come too late: headers that they set
// then are not sent, and compress and etag do nothing. A cookie under encryptcookie is
// still encrypted if the middleware is among the app's handlers, and otherwise the
// request is refused. A session of the session middleware is saved when the stream
// begins, so its cookie is sent, and a long stream does not undo what other requests
// change in the session. The generator cannot use it: give it values. The cache
// middleware does not keep a stream. A stream is refused under a second session
// middleware, whose session could not be saved in time, under idempotency, which would
// answer the next request with a response that is not the stream, and under timeout.New,
// which answers the request while the stream still runs: use [core.WithMaxDuration]
// instead.
//
// # Detached streams
//
// With [core.WithDetach] the handler returns before the stream begins, on Linux and
// without TLS. Then c belongs to another request, and so do the strings that came from
// it: copy them with strings.Clone, as above, or set Immutable in fiber's configuration.
// So does c.RequestCtx(): a stream stays in its handler if a middleware has derived
// c.Context() from it. The failure of a detached stream, or its panic, goes to fiber's
// log.
package fiber3sse
