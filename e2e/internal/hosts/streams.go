package hosts

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// routes are a server's streams:
//
//	GET  /events  sends Events over two connections, of which the first is broken off, and then answers 204
//	POST /tokens  sends the body's words, each with the space before it
//	GET  /idle    sends an event, and another one after the go-ahead
//	GET  /clock   sends 20 events, 10 ms apart, whose data is the time in ns
//	GET  /count   sends the numbers after the last event ID, each after a go-ahead
//	GET  /soon    sends an event and ends; the client comes back after 50 ms
//	GET  /late    likewise, but the client comes back after Late
//	GET  /user    sends the cookie named user, over two connections; the second stays open
func (s *Server) routes() []route {
	return []route{
		{method: "GET", path: "/events", view: s.events},
		{method: "POST", path: "/tokens", view: tokens},
		{method: "GET", path: "/idle", view: s.idle},
		{method: "GET", path: "/clock", view: func(r request) core.Stream { return Clock(r.ctx) }},
		{method: "GET", path: "/count", view: s.count},
		{method: "GET", path: "/soon", view: once(core.Event{ID: "1", Data: "soon"})},
		{method: "GET", path: "/late", view: once(core.Event{ID: "1", Data: "late", Retry: Late})},
		{method: "GET", path: "/user", view: user},
	}
}

// Events returns what /events sends. Each event's ID is its number.
func Events() []core.Event {
	return []core.Event{
		{ID: "1", Data: "first"},
		{ID: "2", Type: "add", Data: "two\nlines"},
		{ID: "3", Type: "token", Data: " one leading space"},
		{ID: "4", Type: "add", Data: "   three, a\ttab and a trailing space "},
		{ID: "5", Data: "h\u00e9llo \u4e16\u754c \U0001f600"},
		{ID: "6", Type: "add", Data: "{\"json\": [1, \"a: b\"],\n\n\"n\": null}\n"},
		{ID: "7", Type: "token", Data: ""},
		{ID: "8", Type: "last", Data: "data: id: 9"},
	}
}

// Cut is the number of events after which the first connection of /events is broken off.
const Cut = 4

var errCut = errors.New("hosts: cut")

// events sends the first event, waits for the go-ahead and some heartbeats, sends the
// events up to Cut, and is broken off at the next go-ahead: clients of HTTP/2 discard data that
// arrives with a reset. A client that comes back gets the rest and a clean end, and one that
// has all events gets 204.
func (s *Server) events(r request) core.Stream {
	all := Events()
	seen, _ := strconv.Atoi(core.LastEventID(r.ctx)) // 0 at first
	if seen < 0 || seen >= len(all) {
		return nil
	}
	return func(yield func(core.Event, error) bool) {
		if seen == 0 {
			if !yield(all[0], nil) || !s.wait(r.ctx, "/events") {
				return
			}
			quiet(r.ctx)
			seen = 1
		}
		for i, e := range all[seen:] {
			if !yield(e, nil) {
				return
			}
			if seen+i+1 == Cut {
				if s.wait(r.ctx, "/events") {
					yield(core.Event{}, errCut)
				}
				return
			}
		}
	}
}

// wait waits for the go-ahead, and reports whether it came.
func (s *Server) wait(ctx context.Context, path string) bool {
	for range core.Receive(ctx, s.goOn[path]) {
		return true
	}
	return false
}

// quiet waits for a few heartbeats.
func quiet(ctx context.Context) {
	for range core.Every(ctx, 4*Heartbeat) {
		return
	}
}

// Tokens returns the events that /tokens sends for text. Their data, joined, is text.
func Tokens(text string) []core.Event {
	var all []core.Event
	for i, word := range strings.Split(text, " ") {
		if i > 0 {
			word = " " + word
		}
		all = append(all, core.Event{ID: strconv.Itoa(i + 1), Type: "token", Data: word})
	}
	return all
}

func tokens(r request) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for _, e := range Tokens(r.body) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// idle sends one event before the go-ahead and one after it.
func (s *Server) idle(r request) core.Stream {
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{ID: "1", Data: "before"}, nil) && s.wait(r.ctx, "/idle") {
			yield(core.Event{ID: "2", Data: "behind"}, nil)
		}
	}
}

func (s *Server) count(r request) core.Stream {
	n, _ := strconv.Atoi(core.LastEventID(r.ctx)) // 0 at first
	return func(yield func(core.Event, error) bool) {
		for s.wait(r.ctx, "/count") {
			n++
			if !yield(core.Event{ID: strconv.Itoa(n), Data: strconv.Itoa(n)}, nil) {
				return
			}
		}
	}
}

// Late is the reconnection time of /late.
const Late = 2 * time.Second

// once sends one event, and ends.
func once(e core.Event) view {
	return func(request) core.Stream {
		return func(yield func(core.Event, error) bool) { yield(e, nil) }
	}
}

func user(r request) core.Stream {
	if core.LastEventID(r.ctx) == "" {
		return once(core.Event{ID: "1", Data: r.cookie})(r)
	}
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{ID: "2", Data: r.cookie}, nil) {
			<-r.ctx.Done()
		}
	}
}

// Ticks is the number of events of a Clock.
const Ticks = 20

// Clock returns the stream of /clock.
func Clock(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		n := 0
		for range core.Every(ctx, 10*time.Millisecond) {
			n++
			if !yield(core.Event{Data: strconv.FormatInt(time.Now().UnixNano(), 10)}, nil) || n == Ticks {
				return
			}
		}
	}
}
