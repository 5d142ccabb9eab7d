// Package client reads event streams as a browser's EventSource does: it
// reconnects, goes on where it was, and stops when it should.
//
//	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.com/prices", nil)
//	if err != nil {
//		return err
//	}
//	for e, err := range client.Stream(req) {
//		if err != nil {
//			return err // says why the stream is over
//		}
//		fmt.Println(e.Type, e.Data)
//	}
//
// What it yields is a [core.Stream], so a view may return it as it is, and
// [core.DecodeJSON] reads its data as values. A view that relays a stream so does not
// relay its end: after a 204 or a 404 of the other server the browser's response,
// which has begun, is broken off, and the browser comes back. A retry field
// passes if it came with an event, as that of [core.WithRetry] does: set Retry to 0
// if it is not for the view's clients. One that came alone passes only with
// [WithComments]. An ID that moves without an event passes only with
// [WithPositions], and the other server's reset of the ID does not pass at all,
// because an event without an ID leaves the browser the one it has. The relay in
// the examples gives IDs of its own, which pass all of it.
//
// A connection that ends or breaks is not the end of the stream: the client waits,
// longer after each failure in a row, and connects again with the ID of the last
// event. The last element is the reason for which it does not: the context's end,
// the server's answer that there is no more ([ErrStopped]), an answer that is not
// a stream ([ResponseError]), an event that is too large, a request that cannot be
// sent, or the word of [WithRetryPolicy], which by default does not forgive what
// another try would not change: see [Retryable].
//
// With [WithOnce] it reads one response and sends nothing again.
//
// Unlike an EventSource it sends any method, header and body, and tries again
// after the answers of a server that is overloaded or about to start.
package client
