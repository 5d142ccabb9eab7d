// Package hosts serves the same streams on each framework, for tests that look at
// them from outside.
package hosts

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// Heartbeat is the default of a server's sessions.
const Heartbeat = 25 * time.Millisecond

// patience bounds each wait.
const patience = 20 * time.Second

// Frameworks are the names that Serve takes.
func Frameworks() []string { return []string{"gin", "echo", "fiber", "net/http"} }

// mounts say how each of them serves routes on a listener, until stop is called.
var mounts = map[string]func(ln net.Listener, routes []route) (stop func() error){
	"gin":      serveGin,
	"echo":     serveEcho,
	"fiber":    serveFiber,
	"net/http": serveNetHTTP,
}

// A view is what all frameworks share of a handler. It has no stream to send if it
// returns nil, and the status is 204 then.
type view func(ctx context.Context, body string) core.Stream

type route struct {
	method, path string
	view         view
	opts         []core.Option
}

// A Server serves the streams of one framework.
type Server struct {
	Addr string // host and port, for HTTP/1.0 and 1.1, and for h2c except on fiber
	URL  string // with http

	t     testing.TB
	goOn  map[string]chan struct{} // by path
	ended map[string]chan core.Summary
}

// Serve serves until the end of the test. The options come behind the server's
// own, which are a heartbeat every 25 ms and a reconnection time of 50 ms.
func Serve(t testing.TB, framework string, opts ...core.Option) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Addr:  ln.Addr().String(),
		URL:   "http://" + ln.Addr().String(),
		t:     t,
		goOn:  make(map[string]chan struct{}),
		ended: make(map[string]chan core.Summary),
	}
	opts = append([]core.Option{core.WithHeartbeat(Heartbeat), core.WithRetry(50 * time.Millisecond)}, opts...)
	routes := s.routes()
	for i, r := range routes {
		ended := make(chan core.Summary, 100)
		s.goOn[r.path], s.ended[r.path] = make(chan struct{}), ended
		closed := func(_ context.Context, end core.Summary) { ended <- end }
		routes[i].opts = append(slices.Clip(opts), core.WithObserver(core.Observer{Closed: closed}))
	}
	stop := mounts[framework](ln, routes)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("%s: %v", framework, err)
		}
	})
	return s
}

// GoOn lets a stream of path that waits for it go on. The test ends if none does.
func (s *Server) GoOn(path string) {
	s.t.Helper()
	select {
	case s.goOn[path] <- struct{}{}:
	case <-time.After(patience):
		s.t.Fatalf("no stream of %s has waited for the go-ahead within %v", path, patience)
	}
}

// Ended waits until the next generator of path ends, and says how its session
// went.
func (s *Server) Ended(path string) core.Summary {
	s.t.Helper()
	select {
	case end := <-s.ended[path]:
		return end
	case <-time.After(patience):
		s.t.Fatalf("no generator of %s has ended within %v", path, patience)
		return core.Summary{}
	}
}
