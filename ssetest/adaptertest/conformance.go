package adaptertest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// defaultTimeout is how long a wait lasts if nothing else was said.
const defaultTimeout = 10 * time.Second

// A Mount is a host that [Conformance] is to test with its adapter.
type Mount struct {
	// Serve starts a real server of the host's that serves site on
	// site.Listener, in a goroutine, and returns the host's own shutdown. The
	// suite calls it at the end of each test.
	Serve func(t testing.TB, site *Site) (shutdown func(context.Context) error)

	// Protocols are those that the host speaks. None means HTTP/1.1.
	Protocols []Protocol

	// WholeBodies says that the host reads a request's body to its end before it
	// runs a handler, so that a view never sees one that stops.
	WholeBodies bool

	// BodyBegins says that the host waits for the first byte of a request's body, if
	// its length is known, before it runs a handler.
	BodyBegins bool

	// Ignore names goroutines that outlive the host's server, for [ssetest.NoLeaks].
	Ignore []string

	// HoldsAnswers says that the host keeps the answer to an earlier request back
	// while a stream runs in its handler, if the client has not waited for it.
	HoldsAnswers bool

	timeout time.Duration // for each wait; the suite's own tests make it short
}

// A Protocol is a version of HTTP, and how it is spoken.
type Protocol string

// The protocols that Conformance knows.
const (
	HTTP1    Protocol = "HTTP1"    // HTTP/1.1 and, where the suite says so, HTTP/1.0
	HTTP1TLS Protocol = "HTTP1TLS" // HTTP/1.1 over TLS
	HTTP2    Protocol = "HTTP2"    // over TLS
	H2C      Protocol = "H2C"      // HTTP/2 without TLS
)

// A Site is what a Mount serves: each of Views with Options, by the adapter, and
// each of [Answers]. The recovery middleware of the host's is installed.
type Site struct {
	// Views are by path, and for the methods GET, HEAD and POST. Where View is nil, so
	// is the view that the adapter's handler is made of.
	Views   map[string]View
	Options []core.Option

	// Listener is what to serve on. Its TLS is not the host's concern.
	Listener net.Listener

	// Log takes what reaches the host's error path and its recovery, as text.
	Log io.Writer

	// Timeout is the server's ReadTimeout, WriteTimeout and IdleTimeout.
	Timeout time.Duration

	protocol     Protocol
	sendBuffer   int                             // of the connections, in bytes, if not zero
	around       func(http.Handler) http.Handler // a middleware of Server's, if not nil
	writeTimeout time.Duration                   // Server's, if not zero
}

// A View is a view in the words of no host. ctx is the one that the host's
// accessor gives to a view.
type View func(ctx context.Context, x Exchange) core.Stream

// An Exchange is what a View sees of its request and its response.
type Exchange struct {
	Body      io.Reader                // the request's
	SetHeader func(name, value string) // sets one of the response's
}

// Answers are what hosts answer by themselves. Each is mounted twice for GET, in
// the host's native way: as an ordinary handler at "/plain/" and its name, and at
// "/" and its name as a view of the adapter that gives the answer and no stream.
//
//   - "forbidden": an error of status 403 in the host's own way
//   - "json": a JSON object, and a Cache-Control of its own
//   - "redirect": to "/json", with status 303
//   - "no-content": status 204
//   - "nothing": no answer at all
var Answers = []string{"forbidden", "json", "redirect", "no-content", "nothing"}

// Server returns a server for a host that builds on net/http.
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
	}
}

// Conformance tests that an adapter keeps the promises of this project, over each
// protocol of the mount. A test that calls it does not run in parallel with
// others.
func Conformance(t *testing.T, mount Mount) {
	if mount.timeout == 0 {
		mount.timeout = defaultTimeout
	}
	if mount.Protocols == nil {
		mount.Protocols = []Protocol{HTTP1}
	}
	ssetest.NoLeaks(t, mount.Ignore...)
	for _, p := range mount.Protocols {
		t.Run(string(p), func(t *testing.T) {
			h := mounted{mount, p}
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
		})
	}
}

// A check is one behaviour. It takes a testing.TB so that the suite's own tests
// can see it fail.
type check struct {
	name  string
	alone bool // it looks at all goroutines, or at the clock
	run   func(t testing.TB, h mounted)
}

var checks = []check{
	{"the server's timeouts do not cut a stream", false, checkTimeouts}, // the longest one first

	{"the headers are exact", false, checkHeaders},
	{"a Cache-Control and a Content-Type of the view's own stay", false, checkOwnHeaders},
	{"the headers and a comment come before the first event exists", false, checkOpening},
	{"in answer to POST the headers come alone before the first event exists", false, checkOpeningPost},
	{"HEAD gets the headers and runs no generator", false, checkHead},
	{"a view can read the body of a POST", false, checkBody},
	{"a body that is not read or does not come is refused", false, checkUnreadBodies},
	{"a shutdown waits for no body", false, checkShutdownWithBodies},
	{"a body that the view has closed holds nothing up", false, checkClosedBody},
	{"an answer of the host's own is not touched", false, checkAnswers},
	{"a handler of a nil view cannot be made", false, checkNilView},
	{"nil options and negative durations do no harm", false, checkBadOptions},
	{"a view sees the Last-Event-ID of a clean one only", false, checkLastEventID},
	{"a view sees the ID of the query if it is asked for", false, checkQueryID},
	{"the encoder's bytes arrive", false, checkWire},
	{"a retry is in the first event's block", false, checkRetry},

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
	{"the host's shutdown ends streams cleanly", true, checkShutdown},
	{"a group refuses those beyond its limit", false, checkGroupLimit},
	{"a stream that ends before its response begins is refused", false, checkRefusals},
	{"a group's shutdown spreads the clients", false, checkGroupShutdown},
	{"sessions that come and go at random leave nothing behind", true, checkCrowd},
}
