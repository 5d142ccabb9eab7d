// Package nethttpsse streams events from net/http handlers, on HTTP/1.1 and
// HTTP/2.
//
// A view is an ordinary handler that returns a stream:
//
//	http.Handle("GET /stream", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
//		return ticks(r.Context(), r.FormValue("user_id"))
//	}))
//
// The response starts at once, each event reaches the client before the next
// one is made, and the request's context ends when the client leaves or the
// server shuts down. [http.Server.Shutdown] needs no other code, except for streams
// that were detached from their handlers (see [core.WithDetach]).
//
// The part of the request's body that the view has not read is read before the
// response begins: see [host.DrainBody]. A view that reads the body itself may wait
// for it as long as the server allows, even while the server shuts down.
package nethttpsse
