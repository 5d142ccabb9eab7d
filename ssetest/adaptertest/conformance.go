package adaptertest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// defaultTimeout bounds each wait, except in the suite's own tests.
const defaultTimeout = time.Minute

// A Mount is a host to test with its adapter.
type Mount struct {
	// Name is in the names of the mount's tests, if there are several mounts.
	Name string

	// Serve starts a real server of the host that serves site on site.Listener, in a
	// goroutine, and returns the host's own shutdown, which the suite calls at the end
	// of each test.
	Serve func(t testing.TB, site *Site) (shutdown func(context.Context) error)

	// Protocols are the host's protocols. None means HTTP/1.1.
	Protocols []Protocol

	// WholeBodies means that the host reads a request's body to its end before it
	// runs a handler, so that a view never gets a body that stops.
	WholeBodies bool

	// BodyBegins means that the host waits for the first byte of a request's body, if
	// its length is known, before it runs a handler.
	BodyBegins bool

	// Ignore names goroutines that outlive the host's server, for [ssetest.NoLeaks].
	Ignore []string

	// HoldsAnswers means that the host holds back the answer to an earlier request
	// while a stream runs in its handler, if the client has not waited for the answer.
	HoldsAnswers bool

	timeout time.Duration // for each wait; short in the suite's own tests
}

// Detached returns the same mount with [core.WithDetach].
func (m Mount) Detached() Mount {
	serve := m.Serve
	m.Name = strings.TrimSpace(m.Name + " detached")
	m.Serve = func(t testing.TB, site *Site) (shutdown func(context.Context) error) {
		site.Options = append(site.Options, core.WithDetach())
		return serve(t, site)
	}
	return m
}

// A Protocol is a version of HTTP, and how it is spoken.
type Protocol string

// The protocols that the suites know.
const (
	HTTP1    Protocol = "HTTP1"    // HTTP/1.1 and, where the suite says so, HTTP/1.0
	HTTP1TLS Protocol = "HTTP1TLS" // HTTP/1.1 over TLS
	HTTP2    Protocol = "HTTP2"    // over TLS
	H2C      Protocol = "H2C"      // HTTP/2 without TLS
	HTTP3    Protocol = "HTTP3"    // HTTP/3, with [Site.Transport]
)

// A Site is what a Mount serves: with the adapter, each of Views with Options, and each
// of [Answers]. The host's recovery middleware is installed.
type Site struct {
	// Views are by path, for the methods GET, HEAD and POST. If a View is nil, the
	// adapter's Handler gets a nil view.
	Views   map[string]View
	Options []core.Option

	// Listener is the listener to serve on. It does TLS itself, if there is any.
	Listener net.Listener

	// Transport carries the requests of the suite's clients. Serve sets it for HTTP3,
	// which net/http does not speak: Serve listens where it likes, and Transport sends
	// each request there, although its URL has the address of Listener. Close ends the
	// connections, also while they are in use. It may be called more than once.
	Transport interface {
		http.RoundTripper
		io.Closer
	}

	// Log gets the text of all errors that reach the host's error path and recovery.
	Log io.Writer

	// Timeout is the server's ReadTimeout, WriteTimeout and IdleTimeout.
	Timeout time.Duration

	protocol     Protocol
	sendBuffer   int                             // of the connections, in bytes, if not zero
	around       func(http.Handler) http.Handler // a middleware of Server's, if not nil
	writeTimeout time.Duration                   // Server's, if not zero
	hurried      bool                            // bodies have much less time than [host.BodyTimeout]
}

// A View is a view that does not depend on a host. ctx is the context that the host's
// accessor gives to a view.
type View func(ctx context.Context, x Exchange) core.Stream

// An Exchange is the part of its request and response that a View uses.
type Exchange struct {
	Body      io.Reader                // the request's
	SetHeader func(name, value string) // sets one of the response's
}

// Answers are the names of ordinary answers. Each is mounted twice for GET: as one of the
// host's own handlers at "/plain/" and its name, and at "/" and its name as a view of the
// adapter that gives the answer and returns no stream.
//
//   - "forbidden": an error of status 403 in the host's own way
//   - "json": a JSON object, with its own Cache-Control
//   - "redirect": to "/json", with status 303
//   - "no-content": status 204
//   - "nothing": no answer at all
var Answers = []string{"forbidden", "json", "redirect", "no-content", "nothing"}

// Server returns a server for a host based on net/http.
func (s *Site) Server(handler http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: defaultTimeout,
		ReadTimeout:       s.Timeout,
		WriteTimeout:      max(s.Timeout, s.writeTimeout),
		IdleTimeout:       s.Timeout,
		ErrorLog:          log.New(s.Log, "", 0),
		Protocols:         new(http.Protocols),
	}
	if s.around != nil {
		srv.Handler = s.around(handler)
	}
	s.protocol.set(srv.Protocols)
	return srv
}

func (p Protocol) set(protocols *http.Protocols) {
	switch p {
	case "", HTTP1, HTTP1TLS:
		protocols.SetHTTP1(true)
	case HTTP2:
		protocols.SetHTTP2(true)
	case H2C:
		protocols.SetUnencryptedHTTP2(true)
	case HTTP3: // not one of net/http's
	}
}

// overtakes reports whether a break may reach a client before what was sent earlier.
func (p Protocol) overtakes() bool { return p == HTTP3 }

// Conformance tests that an adapter keeps this project's promises, in each of its mounts
// and over each protocol. The tests wait most of the time, and those of all mounts wait at
// once. A test that calls it must not run in parallel with others.
func Conformance(t *testing.T, mounts ...Mount) {
	var ignored []string
	for _, mount := range mounts {
		ignored = append(ignored, mount.Ignore...)
	}
	ssetest.NoLeaks(t, ignored...)
	for _, mount := range mounts {
		if mount.timeout == 0 {
			mount.timeout = defaultTimeout
		}
		if mount.Protocols == nil {
			mount.Protocols = []Protocol{HTTP1}
		}
		for _, p := range mount.Protocols {
			t.Run(strings.TrimSpace(mount.Name+" "+string(p)), mounted{mount, p}.conform)
		}
	}
}

// conform runs the checks that need the process for themselves. The others begin when
// those of all mounts are done.
func (h mounted) conform(t *testing.T) {
	for _, c := range checks {
		if c.alone {
			t.Run(c.name, func(t *testing.T) { c.run(t, h) })
		}
	}
	t.Parallel()
	for _, c := range checks {
		if !c.alone {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, h)
			})
		}
	}
}

// A check tests one behaviour. It takes a testing.TB so that the suite's own tests can
// make it fail.
type check struct {
	name  string
	alone bool // it depends on all goroutines or on the clock
	run   func(t testing.TB, h mounted)
}

var checks = []check{
	{"a body that is not read or does not come is refused", false, checkUnreadBodies}, // the longest ones first
	{"the server's timeouts do not cut a stream", false, checkTimeouts},

	{"the headers are exact", false, checkHeaders},
	{"the view's own Cache-Control and Content-Type stay", false, checkOwnHeaders},
	{"the headers and a comment come before the first event exists", false, checkOpening},
	{"a response to POST sends only the headers before the first event exists", false, checkOpeningPost},
	{"HEAD gets the headers and runs no generator", false, checkHead},
	{"a view can read the body of a POST", false, checkBody},
	{"a shutdown does not wait for bodies", false, checkShutdownWithBodies},
	{"a body that the view has closed delays nothing", false, checkClosedBody},
	{"the host's own answers are not changed", false, checkAnswers},
	{"a handler cannot be made with a nil view", false, checkNilView},
	{"nil options and negative durations do no harm", false, checkBadOptions},
	{"a view gets a Last-Event-ID only if it is valid", false, checkLastEventID},
	{"a view gets the ID from the query with WithQueryID", false, checkQueryID},
	{"a view and its generator can ask for the request", false, checkRequest},
	{"the encoder's bytes arrive", false, checkWire},
	{"a retry is in the first event's block", false, checkRetry},
	{"a stream is compressed for a client that accepts it", false, checkCompression},
	{"each compressed event comes before the next one is made", false, checkEachCompressedEvent},
	{"a compressed stream that fails is broken", false, checkCompressedFailure},

	{"each event comes before the next one is made", false, checkEachEvent},
	{"each event comes before the next one is made on HTTP 1.0", false, checkEachEventHTTP10},
	{"a burst comes whole and its last event is not held back", false, checkBurst},
	{"a heartbeat comes while the generator waits", false, checkHeartbeat},
	{"no heartbeat comes while traffic flows", false, checkNoHeartbeat},
	{"heartbeats and a generator at full speed do not mix", false, checkHeartbeatAtFullSpeed},

	{"a client that leaves an idle stream ends it", true, checkLeaving},
	{"a client that leaves a busy stream ends it", true, checkLeavingBusy},
	{"a client that does not read ends its own session only", false, checkSlowClient},
	{"a generator that fails breaks the response", false, checkFailure},
	{"a failure on HTTP 1.0 ends with a reset", false, checkEndsHTTP10},
	{"a client of HTTP 1.0 that does not read sees a reset", false, checkSlowHTTP10},
	{"a client that closes its half of the connection sees a broken response", false, checkHalfClose},
	{"an error event tells of a failure and ends cleanly", false, checkErrorEvent},
	{"the maximum duration ends a stream cleanly", false, checkMaxDuration},
	{"a credential that expires ends its stream cleanly", false, checkExpiry},
	{"a stream that may not continue ends cleanly", false, checkRecheck},
	{"the host's shutdown ends streams cleanly", true, checkShutdown},
	{"a group refuses sessions beyond its limit", false, checkGroupLimit},
	{"a group limits, lists and ends the sessions of a key", false, checkGroupKey},
	{"a group ends the oldest session of a key", false, checkEviction},
	{"a group's drain ends streams one by one", false, checkDrain},
	{"a stream that ends before its response begins is refused", false, checkRefusals},
	{"a group's shutdown spreads the clients", false, checkGroupShutdown},
	{"sessions that come and go at random leave nothing behind", true, checkCrowd},
}
