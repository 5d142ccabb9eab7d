// Package nethttpsse streams events from net/http handlers, on HTTP/1.1, HTTP/2 and,
// with quic-go's http3.Server, HTTP/3.
//
// A view is an ordinary handler that returns a stream:
//
//	http.Handle("GET /stream", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
//		return ticks(r.Context(), r.FormValue("user_id"))
//	}))
//
// The response starts at once, each event is sent without waiting for the next one, and the
// request's context ends when the client leaves or the server shuts down.
// [http.Server.Shutdown] needs no other code, except for streams that were detached from
// their handlers (see [core.WithDetach]) and for HTTP/3.
//
// The Shutdown of http3.Server tells nobody that it has begun. So give its requests the
// [http.Server] that serves the same handler, or any other, with ConnContext. Then the
// Shutdown of that server ends their streams: call it before that of http3.Server.
//
//	h3.ConnContext = func(ctx context.Context, _ *quic.Conn) context.Context {
//		return context.WithValue(ctx, http.ServerContextKey, srv)
//	}
//
// A [core.Group] does it as well.
//
// The part of the request's body that the view has not read is read before the
// response begins: see [host.DrainBody]. A view that reads the body itself may wait
// for it as long as the server allows, even while the server shuts down.
package nethttpsse
