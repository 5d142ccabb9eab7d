package frameworks_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A chat is an application whose rooms are streams:
//
//	flow  has three messages, each after a step, and ends
//	fail  has one message, and fails
//	idle  has no message, and goes on until its context ends
type chat struct {
	steps  chan struct{}
	began  chan struct{} // receives when somebody enters the idle room
	causes chan error    // receives why that stream ended
}

func newChat() *chat {
	return &chat{steps: make(chan struct{}), began: make(chan struct{}, 10), causes: make(chan error, 10)}
}

// A messages function returns the stream of a room.
type messages func(ctx context.Context, room string) core.Stream

var errFailed = errors.New("no more")

func (c *chat) messages(ctx context.Context, room string) core.Stream {
	switch room {
	case "flow":
		return func(yield func(core.Event, error) bool) {
			for _, text := range []string{"one", "two", "three"} {
				if !c.wait(ctx) || !yield(core.Event{Data: text}, nil) {
					return
				}
			}
		}
	case "fail":
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "before"}, nil) {
				yield(core.Event{}, errFailed)
			}
		}
	case "idle":
		return func(func(core.Event, error) bool) {
			c.began <- struct{}{}
			<-ctx.Done()
			c.causes <- context.Cause(ctx)
		}
	default:
		return nil // the test fails: the response is empty
	}
}

// wait waits for a step, and reports whether it came.
func (c *chat) wait(ctx context.Context) bool {
	for range core.Receive(ctx, c.steps) {
		return true
	}
	return false
}

// step lets a stream continue.
func (c *chat) step(t *testing.T) {
	t.Helper()
	select {
	case c.steps <- struct{}{}:
	case <-time.After(hosttest.Patience):
		t.Fatalf("no stream waited for a step within %v", hosttest.Patience)
	}
}

// A visitor is a client of a chat.
type visitor struct {
	*chat

	url    string
	client *http.Client
	header http.Header
}

func (v visitor) open(t *testing.T, room string) *ssetest.Stream {
	t.Helper()
	return ssetest.Request{URL: v.url + "/rooms/" + room, Client: v.client, Header: v.header, Timeout: hosttest.Patience}.Open(t)
}

// check wants messages to arrive at once, a failed stream to be broken, and a stream to
// end when its client leaves and when the server shuts down.
func (v visitor) check(t *testing.T, shutdown func()) {
	t.Helper()
	v.flows(t)
	v.fails(t)
	v.leaves(t)
	v.shutsDown(t, shutdown, core.ErrShutdown)
}

func (v visitor) flows(t *testing.T) {
	t.Helper()
	s := v.open(t, "flow")
	for _, want := range []string{"one", "two", "three"} {
		v.step(t)
		if got := s.Next().Data; got != want {
			t.Errorf("message: got %q, want %q", got, want)
		}
	}
	if rest := s.All(); len(rest) > 0 {
		t.Errorf("after the last message: got %+v", rest)
	}
}

func (v visitor) fails(t *testing.T) {
	t.Helper()
	s := v.open(t, "fail")
	if got, want := s.Next().Data, "before"; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
	if rest, err := s.Rest(); err == nil || len(rest) > 0 {
		t.Errorf("the end of a failed stream: got %+v and a clean end, want a break", rest)
	}
}

func (v visitor) leaves(t *testing.T) {
	t.Helper()
	s := v.open(t, "idle")
	hosttest.Receive(t, v.began, "the stream")
	s.Close()
	v.ended(t, core.ErrClientGone)
}

// shutsDown wants a stream to end cleanly.
func (v visitor) shutsDown(t *testing.T, shutdown func(), cause error) {
	t.Helper()
	s := v.open(t, "idle")
	hosttest.Receive(t, v.began, "the stream")
	done := make(chan struct{})
	go func() { defer close(done); shutdown() }()
	if rest := s.All(); len(rest) > 0 {
		t.Errorf("at the shutdown: got %+v", rest)
	}
	v.ended(t, cause)
	hosttest.Receive(t, done, "the end of the shutdown")
}

func (v visitor) ended(t *testing.T, want error) {
	t.Helper()
	if got := hosttest.Receive(t, v.causes, "the end of the stream"); !errors.Is(got, want) {
		t.Errorf("the cause of the end: got %v, want %v", got, want)
	}
}

// serve serves h on loopback until stop is called or the test ends.
func serve(t *testing.T, h http.Handler) (url string, stop func()) {
	t.Helper()
	return start(t, &http.Server{Handler: h, ReadHeaderTimeout: hosttest.Patience})
}

// start serves HTTP/1.1 and HTTP/2 without TLS on loopback.
func start(t *testing.T, srv *http.Server) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.ReadHeaderTimeout = hosttest.Patience
	srv.ErrorLog = quiet
	return "http://" + ln.Addr().String(), hosttest.Run(t, ln, srv.Serve, srv.Shutdown)
}

// client returns a client of one protocol.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// onBoth runs test with clients of HTTP/1.1 and HTTP/2.
func onBoth(t *testing.T, test func(t *testing.T, client *http.Client)) {
	t.Helper()
	t.Run("HTTP1", func(t *testing.T) { test(t, client(t, false)) })
	t.Run("HTTP2", func(t *testing.T) { test(t, client(t, true)) })
}
