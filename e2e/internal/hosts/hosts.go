// Package hosts serves the same streams on each framework, for tests that read them from
// outside.
package hosts

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Heartbeat is the default heartbeat of a server's sessions.
const Heartbeat = 25 * time.Millisecond

// patience bounds each wait.
const patience = time.Minute

// Frameworks returns the names that Serve accepts.
func Frameworks() []string {
	return []string{"gin", "echo v4", "echo v5", "fiber v2", "fiber v3", "net/http"}
}

// Newest returns the newest version of each framework, for tests that take long. An older
// version has the same code of ours below it.
func Newest() []string { return []string{"gin", "echo v5", "fiber v3", "net/http"} }

// HTTP2 reports whether a framework serves HTTP/2.
func HTTP2(framework string) bool { return !strings.HasPrefix(framework, "fiber") }

// mounts serve routes on a listener until the end of the test, by framework.
var mounts = map[string]func(t testing.TB, ln net.Listener, routes []route){
	"gin":      serveGin,
	"echo v4":  serveEcho,
	"echo v5":  serveEcho5,
	"fiber v2": serveFiber,
	"fiber v3": serveFiber3,
	"net/http": serveNetHTTP,
}

// A request is the part of a request that views need, on all frameworks.
type request struct {
	ctx                          context.Context
	body, proto, cookie, accepts string
}

// A view is the part of a handler that all frameworks share.
type view func(r request) core.Stream

type route struct {
	method, path string
	view         view
	empty        int // the status if the view returns nil
	opts         []core.Option
}

// A Server serves the streams of one framework. Pages of any origin on this machine
// may read them.
type Server struct {
	Addr string // host and port, for HTTP/1.0 and 1.1, and for h2c except on fiber
	URL  string // with http or https

	t        testing.TB
	listener *listener
	arrived  map[string]chan Arrival // by path
	goOn     map[string]chan struct{}
	ended    map[string]chan core.Summary
}

// An Arrival is a request that has come.
type Arrival struct {
	Time        time.Time
	Proto       string
	LastEventID string
	Cookie      string // value of the cookie named user
	Encodings   string // that the client accepts
}

// Serve serves until the end of the test. The options follow the defaults, which are a
// heartbeat every 25 ms and a reconnection time of 50 ms.
func Serve(t testing.TB, framework string, opts ...core.Option) *Server {
	t.Helper()
	return serve(t, framework, nil, opts)
}

// ServeTLS is like Serve, but uses TLS with a self-signed certificate. It serves HTTP/1.1
// and, except on fiber, HTTP/2.
func ServeTLS(t testing.TB, framework string, opts ...core.Option) *Server {
	t.Helper()
	secure := hosttest.ServerTLS()
	if !HTTP2(framework) {
		secure.NextProtos = []string{"http/1.1"}
	}
	return serve(t, framework, secure, opts)
}

func serve(t testing.TB, framework string, secure *tls.Config, opts []core.Option) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Addr:     ln.Addr().String(),
		URL:      "http://" + ln.Addr().String(),
		t:        t,
		listener: &listener{Listener: ln, conns: make(map[*conn]bool)},
		arrived:  make(map[string]chan Arrival),
		goOn:     make(map[string]chan struct{}),
		ended:    make(map[string]chan core.Summary),
	}
	ln = s.listener
	if secure != nil {
		s.URL = "https://" + s.Addr
		ln = tls.NewListener(ln, secure)
	}
	opts = append([]core.Option{core.WithHeartbeat(Heartbeat), core.WithRetry(50 * time.Millisecond)}, opts...)
	routes := s.routes()
	for i, r := range routes {
		arrived, ended := make(chan Arrival, 100), make(chan core.Summary, 100)
		s.arrived[r.path], s.goOn[r.path], s.ended[r.path] = arrived, make(chan struct{}), ended
		closed := func(_ context.Context, end core.Summary) { ended <- end }
		routes[i].empty = http.StatusNoContent
		routes[i].opts = append(slices.Clip(opts), core.WithObserver(core.Observer{Closed: closed}))
		routes[i].view = func(req request) core.Stream {
			arrived <- Arrival{time.Now(), req.proto, strings.Clone(core.LastEventID(req.ctx)), req.cookie, req.accepts}
			return r.view(req)
		}
	}
	mounts[framework](t, ln, routes)
	return s
}

// Arrived waits for the next request to path.
func (s *Server) Arrived(path string) Arrival {
	s.t.Helper()
	select {
	case a := <-s.arrived[path]:
		return a
	case <-time.After(patience):
		s.t.Fatalf("no request for %s arrived within %v", path, patience)
		return Arrival{}
	}
}

// Waiting returns the number of requests to path that have arrived and that Arrived has
// not returned yet.
func (s *Server) Waiting(path string) int { return len(s.arrived[path]) }

// Cut resets all connections.
func (s *Server) Cut() { s.listener.cut() }

// CutNext makes the next write break off half way, and closes its connection.
func (s *Server) CutNext() { s.listener.half.Store(true) }

// GoOn lets a stream of path that waits for it continue. The test fails if no stream
// waits.
func (s *Server) GoOn(path string) {
	s.t.Helper()
	select {
	case s.goOn[path] <- struct{}{}:
	case <-time.After(patience):
		s.t.Fatalf("no stream of %s waited for the go-ahead within %v", path, patience)
	}
}

// Ended waits until the next session of path ends, and returns its summary.
func (s *Server) Ended(path string) core.Summary {
	s.t.Helper()
	select {
	case end := <-s.ended[path]:
		return end
	case <-time.After(patience):
		s.t.Fatalf("no session of %s ended within %v", path, patience)
		return core.Summary{}
	}
}
