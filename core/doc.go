// Package core has everything that a view needs, in any framework: events and their wire
// format, streams, and the options of the handlers that send them.
//
// A stream is a generator. A view returns one, and an adapter (ginsse, echosse, echo5sse,
// fibersse, fiber3sse, nethttpsse) runs it:
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
// A good generator follows three rules: it returns as soon as yield returns false, it
// waits with the context and never with [time.Sleep], and it takes what it needs as
// values, not as a framework's context.
//
// A session carries a stream to one client. Its options are here. A view and its
// generator only see its context, which is the request's context and ends when the
// stream does; [context.Cause] then tells why. Sessions themselves are in core/host, for
// authors of adapters.
package core
