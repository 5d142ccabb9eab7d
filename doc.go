// Package yieldsse is the root of a module for Server-Sent Events: a handler
// returns a generator, and each event that it yields goes to the client at once.
//
// The package itself is empty. To send a stream, import core and the package of
// your framework:
//
//   - [github.com/yieldsse/yieldsse/core]: events, streams, options, groups, and the
//     parser
//   - [github.com/yieldsse/yieldsse/ginsse]: views and handlers for gin
//   - [github.com/yieldsse/yieldsse/echosse]: for echo v4
//   - [github.com/yieldsse/yieldsse/echo5sse]: for echo v5; a separate module
//   - [github.com/yieldsse/yieldsse/fibersse]: for fiber v2
//   - [github.com/yieldsse/yieldsse/fiber3sse]: for fiber v3; a separate module
//   - [github.com/yieldsse/yieldsse/nethttpsse]: for net/http, and for frameworks that
//     build on it
//
// To write an adapter for another framework:
//
//   - [github.com/yieldsse/yieldsse/core/host]: sessions, which carry a stream to one
//     client on any host
//   - [github.com/yieldsse/yieldsse/ssetest/adaptertest]: the test suites that every
//     adapter passes
//
// To send events to many clients:
//
//   - [github.com/yieldsse/yieldsse/hub]: topics, with replay for clients that come
//     back
//   - [github.com/yieldsse/yieldsse/run]: streams that outlive their requests, such as the
//     answers of language models
//   - [github.com/yieldsse/yieldsse/presence]: who is there, in all processes, and kicks
//   - [github.com/yieldsse/yieldsse/inspect]: a page that shows live sessions, topics and runs
//   - [github.com/yieldsse/yieldsse/hub/redislog]: a hub on many machines, with Redis;
//     a separate module
//   - [github.com/yieldsse/yieldsse/hub/natslog]: the same with NATS; a separate module
//   - [github.com/yieldsse/yieldsse/hub/hubtest]: the test suite for authors of logs
//   - [github.com/yieldsse/yieldsse/run/runtest]: the test suite for authors of stores of runs
//
// To read streams and to test them:
//
//   - [github.com/yieldsse/yieldsse/client]: an EventSource for Go
//   - [github.com/yieldsse/yieldsse/cmd/yieldsse]: a command that shows a stream, finds
//     out what is wrong with it, and measures it
//   - [github.com/yieldsse/yieldsse/ssetest]: a kit for testing your streams
//
// To describe streams:
//
//   - [github.com/yieldsse/yieldsse/openapisse]: for OpenAPI 3.2; a separate module
//   - [github.com/yieldsse/yieldsse/otelsse]: for OpenTelemetry; a separate module
//
// The README and the pages in docs describe all of this by subject.
package yieldsse
