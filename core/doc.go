// Package core is what a view needs, on any framework: events and their wire format,
// streams, and the options of the handlers that send them.
//
// A stream is a generator. A view returns one, and an adapter (ginsse, echosse,
// fibersse, nethttpsse) runs it:
//
//	func ticks(ctx context.Context) core.Stream {
//		return func(yield func(core.Event, error) bool) {
//			for now := range core.Every(ctx, time.Second) {
//				if !yield(core.Event{Type: "tick", Data: now.Format(time.TimeOnly)}, nil) {
//					return
//				}
//			}
//		}
//	}
//
// Three rules make a good generator: return as soon as yield says false, wait
// with the context and never with [time.Sleep], and take what it needs as
// values, not as a framework's context.
//
// A session carries a stream to one client. Its options are here, and a view and its
// generator meet it as the request's context, which ends when the stream does;
// [context.Cause] then says why. Sessions themselves are in core/host, for authors of
// adapters.
package core
