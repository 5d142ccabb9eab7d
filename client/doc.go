// Package client reads event streams as a browser's EventSource does: it
// reconnects, resumes where it was, and stops when it should.
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
// [Stream] returns a [core.Stream], so [core.DecodeJSON] reads its data as values, and a
// view may return it to relay it. Such a relay does not pass everything on:
//
//   - The end: if the other server answers with 204 or 404, the response to the browser
//     has already begun, so it is broken off, and the browser reconnects.
//   - A retry field passes if it came with an event, as that of [core.WithRetry] does:
//     set Retry to 0 if the view's clients should not get it. A retry field without an
//     event passes only with [WithComments].
//   - An ID without an event passes only with [WithPositions]. A reset of the ID does not
//     pass at all, because the browser keeps its ID if an event has none.
//
// The relay in the examples sets its own IDs, so it passes every position on, a reset too.
//
// A connection that ends or breaks is not the end of the stream: the client waits,
// longer after each failure in a row, and connects again with the last event ID. When it
// stops, the last element is the reason: the context's end, an answer with 204
// ([ErrStopped]), an answer that is not a stream ([ResponseError]), an event that is too
// large, a request that cannot be sent, or a failure that [WithRetryPolicy] does not
// retry. By default these are the failures that another try would not change: see
// [Retryable].
//
// With [WithOnce] it reads one response and sends the request only once.
//
// Unlike an EventSource it sends any method, header and body, and tries again
// after the answers of a server that is overloaded or starting up.
package client
