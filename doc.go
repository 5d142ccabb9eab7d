// Package yieldsse is the top of a module for Server-Sent Events: a view returns
// a generator, and each event that it yields reaches the client at once.
//
// There is no code here. The packages below are one for each host, with the same
// two names, and the one that they share:
//
//   - [github.com/yieldsse/yieldsse/ginsse] for gin
//   - [github.com/yieldsse/yieldsse/echosse] for echo
//   - [github.com/yieldsse/yieldsse/fibersse] for fiber
//   - [github.com/yieldsse/yieldsse/nethttpsse] for net/http and all that builds
//     on it
//   - [github.com/yieldsse/yieldsse/core]: events, streams, options, groups
//   - [github.com/yieldsse/yieldsse/ssetest]: tests of streams
package yieldsse
