package adaptertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A plan is one random program and its client. It describes all that a trial does, so
// that a trial can be repeated and made smaller.
type plan struct {
	guards

	Seed     uint64
	Protocol Protocol
	HTTP10   bool
	Detach   bool
	Compress bool
	Source   string // where its events come from, see below

	Heartbeat, FlushWindow, WriteTimeout, MaxAge, Retry time.Duration

	ErrorEvent string // what WithErrorEvent's function does, see below
	GapEvent   string // the same for WithGapEvent
	Opened     string // the same for the observer
	Closed     string

	// Around the handler, on hosts based on net/http:
	Deadline      time.Duration // of a middleware, for the request's context
	Wrapped       bool          // in a middleware's writer without Unwrap
	ServerTimeout time.Duration // the server's WriteTimeout, which must not cut a stream off

	Steps    []step
	Stubborn bool // it continues after yield has returned false
	Refuse   string
	Client   client

	LastEventID string // for a hub
	Bound       int    // of a hub's events, if not zero
}

// Sources.
const (
	generator = "generator"
	asIs      = "hub"    // a subscription, which the view returns unchanged
	ranged    = "ranged" // a generator that ranges over it
)

// What the application's functions do. Everything else is done by steps.
const (
	none      = ""
	good      = "good"
	bad       = "bad"       // its event cannot be encoded
	empty     = "empty"     // its event is the zero one
	slow      = "slow"      // it takes long
	panics    = "panics"    // it panics
	goexits   = "goexits"   // it calls runtime.Goexit
	reentrant = "reentrant" // it calls the session and its group, so none of their locks may be held
)

// A step is one thing that a generator or the publisher of a hub does. Waits are bounded,
// and those for something that cannot happen in the plan are left out.
type step struct {
	Do    string
	Event core.Event
	Err   int           // of failings
	D     time.Duration // for waits
}

// Steps.
const (
	doYield          = "yield"
	doBad            = "bad"             // yield an event that cannot be encoded
	doError          = "error"           // yield an error
	doPanic          = "panic"           // with the error, or its text
	doGoexit         = "goexit"          // runtime.Goexit
	doWait           = "wait"            // for a time, or for the end
	doIgnore         = "ignore"          // wait for a time, whatever ends
	doAwait          = "await"           // wait for the end, which is sure to come
	doSeen           = "seen"            // wait until the client has everything
	doBeat           = "beat"            // wait until the client has another heartbeat
	doFlood          = "flood"           // yield until yield returns false
	doLeave          = "leave"           // make the client leave
	doShutdown       = "shutdown"        // of the group, by another goroutine
	doShutdownInside = "shutdown inside" // of the group, by this one, which does not wait
	doShutdownServer = "shutdown server"
	doKick           = "kick" // end a hub's subscriptions
	doShutdownHub    = "shutdown hub"
)

// A client is how the client behaves.
type client struct {
	Method   string
	Gzip     bool   // it accepts that
	Reads    string // all at once, slowly, or nothing until the session ends or has ended
	Leaves   string // how it leaves, see below; empty if it stays
	After    int    // it leaves when it has this many bytes; if negative, when a step says so
	Pre      bool   // it has sent another request before, on the same connection
	Pipeline bool   // it sends another request at once
	Junk     int    // bytes that it sends after its request
	Window   int    // of HTTP/2
	Body     string
	Chunked  bool // the body
	Cut      int  // bytes of a body that stalls
	ViewRead bool // the view reads the body
}

const (
	readsAll    = "all"
	readsSlowly = "slowly"
	readsNone   = "nothing"
	readsNever  = "nothing, even at the end" // as long as the session writes

	leavesClose = "close"
	leavesReset = "reset"
	leavesHalf  = "half" // it closes only its side
	leavesRST   = "rst"  // it resets the stream

	bodyNone  = ""
	bodyWhole = "whole" // with the headers
	bodyLate  = "late"
	bodyLong  = "long" // longer than is read

	bodyStalls = "stalls" // a part, and then nothing, or the client leaves if its plan says so
)

// stallSize is the size of a body that stalls, in bytes.
const stallSize = 20_000

// zips reports whether the response is compressed.
func (p *plan) zips() bool { return p.Compress && p.Client.Gzip }

// hurriedAtEnd reports whether the server has little time for the end of a response,
// which it writes when the handler has returned.
func (p *plan) hurriedAtEnd() bool { return 0 < p.ServerTimeout && p.ServerTimeout < time.Second }

// stalls reports whether the response waits for a body that stops.
func (p *plan) stalls() bool { return p.Client.Body == bodyStalls && !p.multiplexed() }

// chunked reports whether the request's body is in chunks.
func (p *plan) chunked() bool { return p.Client.Chunked && !p.HTTP10 }

// cut returns how many bytes a client sends of a body that stalls. If the body is not in
// chunks, fasthttp reads the first 8 KiB before it runs a handler.
func (p *plan) cut() int {
	if p.chunked() {
		return p.Client.Cut
	}
	return max(p.Client.Cut, stallSize/2)
}

// multiplexed reports whether a connection carries many requests at a time. Then no
// response waits for a request's body.
func (p *plan) multiplexed() bool { return p.http2() || p.Protocol == HTTP3 }

func (p *plan) http2() bool { return p.Protocol == HTTP2 || p.Protocol == H2C }

// wordy reports whether the client sends more than its request.
func (c client) wordy() bool { return c.Junk > 0 || c.Pipeline }

// reads reports whether the client reads until the end of the response, as fast as
// it can.
func (p *plan) reads() bool {
	return !p.deaf() && (p.Client.Leaves == "" || p.Client.Leaves == leavesHalf)
}

// deaf reports whether the client reads nothing at first.
func (p *plan) deaf() bool { return p.Client.Reads == readsNone || p.Client.Reads == readsNever }

// limited reports whether something besides the steps is sure to end the session soon.
func (p *plan) limited() bool {
	return 0 < p.MaxAge && p.MaxAge < time.Second || 0 < p.Deadline && p.Deadline < time.Second || p.guards.hurry()
}

// ends reports whether the steps before step n are sure to end the session while its
// generator waits.
func (p *plan) ends(n int) bool {
	if p.limited() {
		return true
	}
	if p.deaf() && p.WriteTimeout <= 0 && n < len(p.Steps) && p.Steps[n].Do == doFlood {
		return false
	}
	return slices.ContainsFunc(p.Steps[:n], func(s step) bool {
		switch s.Do {
		case doShutdown, doShutdownInside, doShutdownServer, doKick, doShutdownHub:
			return true
		case doBad, doError:
			return p.Source == generator
		case doLeave:
			// Hosts do not notice a client that leaves after more input.
			return p.Client.Leaves != "" && p.Client.After < 0 && !p.Client.wordy()
		}
		return false
	})
}

// narrow reports whether the client gets only a few bytes at a time.
func (p *plan) narrow() bool { return 0 < p.Client.Window && p.Client.Window < 1000 }

// floods reports whether many writes are sure to end the session: at step n its client
// has left, or does not read and there is a limit for writes.
func (p *plan) floods(n int) bool {
	limit := 0 < p.WriteTimeout && p.WriteTimeout < time.Second
	left := p.Client.Leaves != "" && p.Client.After < 0 && slices.ContainsFunc(p.Steps[:n], func(s step) bool { return s.Do == doLeave })
	if p.Source != generator && (p.Bound > 0 || p.narrow()) { // it skips what it has not sent
		return false
	}
	return p.deaf() && limit || left && !(p.Client.Leaves == leavesHalf && p.Client.wordy())
}

func (p *plan) has(kinds ...string) bool {
	return slices.ContainsFunc(p.Steps, func(s step) bool { return slices.Contains(kinds, s.Do) })
}

// size returns roughly how many bytes the plan yields.
func (p *plan) size() int {
	n := 0
	for _, s := range p.Steps {
		n += len(s.Event.Data)
	}
	return n
}

func (p *plan) String() string {
	var b strings.Builder
	text := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%q", name, value)
		}
	}
	flag := func(name string, set bool) {
		if set {
			b.WriteString(" " + name)
		}
	}
	fmt.Fprintf(&b, "%s %s", p.Protocol, p.Source)
	flag("HTTP/1.0", p.HTTP10)
	flag("detach", p.Detach)
	flag("compress", p.Compress)
	flag("stubborn", p.Stubborn)
	flag("wrapped", p.Wrapped)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"heartbeat", p.Heartbeat}, {"window", p.FlushWindow}, {"write", p.WriteTimeout}, {"age", p.MaxAge}, {"retry", p.Retry},
		{"deadline", p.Deadline}, {"server", p.ServerTimeout},
	} {
		if d.value != 0 {
			fmt.Fprintf(&b, " %s=%v", d.name, d.value)
		}
	}
	text("errorEvent", p.ErrorEvent)
	text("gapEvent", p.GapEvent)
	text("opened", p.Opened)
	text("closed", p.Closed)
	b.WriteString(p.guards.String())
	text("refuse", p.Refuse)
	text("lastEventID", p.LastEventID)
	if p.Bound > 0 {
		fmt.Fprintf(&b, " bound=%d", p.Bound)
	}
	c := p.Client
	fmt.Fprintf(&b, "\n  client: %s reads %s", c.Method, c.Reads)
	if c.Leaves != "" {
		fmt.Fprintf(&b, ", leaves by %s after %d", c.Leaves, c.After)
	}
	flag("gzip", c.Gzip)
	flag("pre", c.Pre)
	flag("pipeline", c.Pipeline)
	if c.Junk > 0 {
		fmt.Fprintf(&b, " junk=%d", c.Junk)
	}
	if c.Window > 0 {
		fmt.Fprintf(&b, " window=%d", c.Window)
	}
	text("body", c.Body)
	if c.Cut > 0 {
		fmt.Fprintf(&b, " cut=%d", c.Cut)
	}
	flag("chunked", c.Chunked)
	flag("view reads", c.ViewRead)
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "\n  %2d %s", i, s.Do)
		switch s.Do {
		case doYield, doBad:
			fmt.Fprintf(&b, " ID %.20q Type %.20q Data %.40q (%d) Retry %d Comment %.20q",
				s.Event.ID, s.Event.Type, s.Event.Data, len(s.Event.Data), s.Event.Retry, s.Event.Comment)
		case doError, doPanic:
			fmt.Fprintf(&b, " %T %v", failings[s.Err], failings[s.Err])
		case doWait, doIgnore:
			fmt.Fprintf(&b, " %v", s.D)
		}
	}
	return b.String()
}
