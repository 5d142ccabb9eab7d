// Package server has the servers that are measured, each by a name. Those of one
// stream answer the same requests:
//
//   - GET /each?n=N sends N events as fast as it can, each flushed by itself
//   - GET /gathered?n=N does so with the default flush window, where there is one
//   - GET /idle sends one event and waits until the client leaves
//
// Each event is 200 bytes on the wire, without the chunk around it. [Hub] and
// [Channels] publish to all who are there, and answer [Events] and [Publish].
package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// The servers' names.
const (
	NetHTTP = "nethttp" // by hand: fmt.Fprintf and Flush in a net/http handler
	Fiber   = "fiber"   // by hand: fmt.Fprintf and Flush in SetBodyStreamWriter

	NetHTTPSSE = "nethttpsse"
	GinSSE     = "ginsse"
	EchoSSE    = "echosse"
	FiberSSE   = "fibersse"

	Hub      = "hub"      // a hub's subscriptions behind nethttpsse
	Channels = "channels" // by hand: a channel for each client of a net/http handler
)

// Idle is the target of a stream that waits after its first event.
const Idle = "/idle"

// Each is the target that sends n events, each flushed by itself.
func Each(n int) string { return "/each?n=" + strconv.Itoa(n) }

// Gathered is the target that sends n events with the default flush window.
func Gathered(n int) string { return "/gathered?n=" + strconv.Itoa(n) }

// Ready asks the same of a generator that has its IDs beforehand, so that it
// does not allocate.
func Ready(target string) string { return target + "&ready=true" }

// Serve runs a server on ln until it fails.
func Serve(name string, ln net.Listener) error {
	serve, ok := map[string]func(net.Listener) error{
		NetHTTP:    serveNetHTTP,
		NetHTTPSSE: serveNetHTTPSSE,
		GinSSE:     serveGinSSE,
		EchoSSE:    serveEchoSSE,
		Fiber:      serveFiber,
		FiberSSE:   serveFiberSSE,
		Hub:        serveHub,
		Channels:   serveChannels,
	}[name]
	if !ok {
		return fmt.Errorf("server: there is no %q", name)
	}
	return serve(ln)
}

// What an event is made of: 200 bytes with the ID's six digits.
const (
	firstID   = 100_000
	eventType = "add"
	format    = "id: %d\nevent: %s\ndata: %s\n\n"
)

var data = strings.Repeat("0123456789", 17)

// each is the option of /each.
var each = core.WithFlushWindow(0)

// number is n of a query.
func number(query string) int {
	values, _ := url.ParseQuery(query)
	n, _ := strconv.Atoi(values.Get("n"))
	return n
}

// burst is the stream of /each and /gathered.
func burst(query string) core.Stream {
	n := number(query)
	if strings.HasSuffix(query, "&ready=true") {
		return ready(n)
	}
	return func(yield func(core.Event, error) bool) {
		for id := firstID; id < firstID+n; id++ {
			if !yield(core.Event{ID: strconv.Itoa(id), Type: eventType, Data: data}, nil) {
				return
			}
		}
	}
}

// ready has all IDs in one string.
func ready(n int) core.Stream {
	const digits = 6
	ids := make([]byte, 0, n*digits)
	for i := range n {
		ids = strconv.AppendInt(ids, int64(firstID+i), 10)
	}
	all := string(ids)
	return func(yield func(core.Event, error) bool) {
		for i := range n {
			if !yield(core.Event{ID: all[i*digits : (i+1)*digits], Type: eventType, Data: data}, nil) {
				return
			}
		}
	}
}

// idle is the stream of /idle.
func idle(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{ID: strconv.Itoa(firstID), Type: eventType, Data: data}, nil) {
			<-ctx.Done()
		}
	}
}
