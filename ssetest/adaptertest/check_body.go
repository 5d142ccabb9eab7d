package adaptertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A requestBody is the way in which a client sends a body.
type requestBody struct {
	name   string
	proto  string // HTTP/1.1 if empty
	header string
	body   string
	drip   bool // one more byte from time to time
	end    bool // the client closes its half of the connection
	whole  bool // only the clock tells the adapter that the body's time is over, so it gets all of it
	status int
}

var requestBodies = []requestBody{
	{name: "whole", header: "Content-Length: 4", body: "some", status: 200},
	{name: "whole, in chunks", header: "Transfer-Encoding: chunked", body: "4\r\nsome\r\n0\r\n\r\n", status: 200},
	{name: "with a trailer", header: "Transfer-Encoding: chunked\r\nTrailer: A", body: "4\r\nsome\r\n0\r\nA: b\r\n\r\n", status: 200},
	{name: "as long as it may be", header: "Content-Length: " + strconv.Itoa(host.MaxBody), body: kilobytes(1024), status: 200},
	{name: "waited for", header: "Content-Length: 4\r\nExpect: 100-continue", body: "some", status: 200},

	{name: "stalled", header: "Content-Length: 100", body: "some", status: 408},
	{name: "stalled before it begins", header: "Content-Length: 100", status: 408},
	{name: "stalled in a chunk", header: "Transfer-Encoding: chunked", body: "64\r\nsome", status: 408},
	{name: "stalled between chunks", header: "Transfer-Encoding: chunked", body: "4\r\nsome\r\n", status: 408},
	{name: "stalled in a trailer", header: "Transfer-Encoding: chunked", body: "4\r\nsome\r\n0\r\nA: ", whole: true, status: 408},
	{name: "stalled after a lot", header: "Content-Length: 1000000", body: kilobytes(900), status: 408},
	{name: "stalled on HTTP 1.0", proto: "HTTP/1.0", header: "Content-Length: 100", body: "some", status: 408},
	{name: "stalled after 100 Continue", header: "Content-Length: 100\r\nExpect: 100-continue", status: 408},
	{name: "dripping", header: "Content-Length: 1000", drip: true, status: 408},

	{name: "too long", header: "Content-Length: 1148586", body: kilobytes(1024) + "0123456789", status: 413},
	{name: "much too long", header: "Content-Length: 100000000", body: kilobytes(1024) + "0123456789", status: 413},
	{
		name: "too long, in chunks", header: "Transfer-Encoding: chunked",
		body: fmt.Sprintf("%x\r\n", 2<<20) + kilobytes(1024) + "0123456789", status: 413,
	},

	{name: "not in chunks", header: "Transfer-Encoding: chunked", body: "no chunk\r\n", status: 400},
	{name: "broken off", header: "Content-Length: 100", body: "some", end: true, status: 400},
	{name: "broken off in a chunk", header: "Transfer-Encoding: chunked", body: "64\r\nsome", end: true, status: 400},
}

// bodies returns the bodies that reach a view. Only CI waits for one that takes long.
func (h mounted) bodies() []requestBody {
	return slices.DeleteFunc(slices.Clone(requestBodies), func(b requestBody) bool {
		return h.BodyBegins && b.body == "" && !b.drip && strings.Contains(b.header, "Content-Length") ||
			b.whole && os.Getenv("CI") != "true"
	})
}

func kilobytes(n int) string { return strings.Repeat(strings.Repeat("x", 1<<10), n) }

// dial opens a connection to a server that speaks HTTP/1. Its reads and writes may
// take as long as a body, plus the suite's timeout.
func (s *server) dial() net.Conn {
	s.t.Helper()
	conn, err := s.tryDial()
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// ask sends a request with body and returns the answer, which may come before all of the body
// was sent.
func (b requestBody) ask(conn net.Conn) (*http.Response, *bufio.Reader, error) {
	proto := b.proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	_, unsent := io.WriteString(conn, "POST / "+proto+"\r\nHost: test\r\n"+b.header+"\r\n\r\n"+b.body)
	if b.end {
		_ = closeWrite(conn)
	}
	if b.drip {
		stop := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() {
			tick := time.NewTicker(host.BodyTimeout / hurry / 5)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_, _ = io.WriteString(conn, "x")
				case <-stop:
					return
				}
			}
		})
		defer done.Wait()
		defer close(stop)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(in, nil)
	}
	if err != nil {
		err = errors.Join(unsent, err)
	}
	return resp, in, err
}

// try sends the body and returns an error if the answer is wrong.
func (b requestBody) try(s *server) error {
	conn, err := s.tryDial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	resp, in, err := b.ask(conn)
	if err != nil {
		return fmt.Errorf("got no answer, want status %d: %w", b.status, err)
	}
	if resp.StatusCode != b.status {
		return fmt.Errorf("got status %d, want %d", resp.StatusCode, b.status)
	}
	if b.status == http.StatusOK {
		return nil
	}
	if b.status == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		return fmt.Errorf("got headers %v with status 503, want a Retry-After", resp.Header)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read the answer of status %d: %w", b.status, err)
	}
	if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("got Content-Type %q with status %d", kind, b.status)
	}
	if _, err := in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection was not closed after status %d", b.status)
	}
	return nil
}

func checkUnreadBodies(t testing.TB, h mounted) {
	if h.WholeBodies || h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for hosts that give a view the body as it comes, on HTTP/1")
	}
	h.again(t, func(t testing.TB) { // one that comes whole may come late
		t.Helper()
		tryBodies(t, h)
	})
}

func tryBodies(t testing.TB, h mounted) {
	t.Helper()
	group, bodies := new(core.Group), h.bodies()
	causes := make(chan error, len(bodies))
	views := map[string]View{"/": idle(causes)}
	s := h.serve(t, views, core.WithGroup(group))
	stalled := h.serveSite(t, &Site{Views: views, Options: []core.Option{core.WithGroup(group)}, hurried: true})
	var all sync.WaitGroup
	errs := make([]error, len(bodies))
	for i, b := range bodies {
		to := s
		if b.status == http.StatusRequestTimeout && !b.whole {
			to = stalled
		}
		all.Go(func() { errs[i] = b.try(to) })
	}
	all.Wait()
	for i, b := range bodies {
		if errs[i] != nil {
			t.Errorf("a body that is %s: %v", b.name, errs[i])
		}
	}
	hosttest.EventuallyWithin(t, h.timeout, "sessions whose body does not come end", func() bool { return group.Len() == 0 })
	s.stop()
	stalled.stop()
}

// A shutdown does not wait for bodies.
func checkShutdownWithBodies(t testing.TB, h mounted) {
	if h.WholeBodies || h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for hosts that give a view the body as it comes, on HTTP/1")
	}
	h.again(t, func(t testing.TB) { // the first body's time may be over before the shutdown
		t.Helper()
		stopWithBodies(t, h)
	})
}

func stopWithBodies(t testing.TB, h mounted) {
	t.Helper()
	var stalled []requestBody
	for _, b := range h.bodies() {
		if b.status == http.StatusRequestTimeout && !b.drip {
			b.status = http.StatusServiceUnavailable
			stalled = append(stalled, b)
		}
	}
	type trial struct {
		of     string
		server *server
		group  *core.Group
		errs   []error
	}
	trials := []*trial{{of: "group"}, {of: "host"}} // at once, because a host that fails them takes long
	var all sync.WaitGroup
	for _, c := range trials {
		viewed := make(chan struct{}, len(stalled))
		c.group, c.errs = new(core.Group), make([]error, len(stalled))
		c.server = h.serve(t, map[string]View{"/": func(context.Context, Exchange) core.Stream {
			viewed <- struct{}{}
			return give(core.Event{Data: "never"})
		}}, core.WithGroup(c.group))
		for i, b := range stalled {
			all.Go(func() { c.errs[i] = b.try(c.server) })
		}
		for range stalled {
			hosttest.ReceiveWithin(t, h.timeout, viewed, "the view")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	if err := trials[0].group.Shutdown(ctx); err != nil {
		t.Errorf("the group's shutdown while bodies are read: %v", err)
	}
	trials[1].server.stop()
	all.Wait()
	for _, c := range trials {
		for i, b := range stalled {
			if c.errs[i] != nil {
				t.Errorf("a shutdown of the %s while a body is %s: %v", c.of, b.name, c.errs[i])
			}
		}
	}
}

// A view that closes the body does not want the rest of it.
func checkClosedBody(t testing.TB, h mounted) {
	if h.WholeBodies || h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for hosts that give a view the body as it comes, on HTTP/1")
	}
	s := h.serve(t, map[string]View{"/": func(_ context.Context, x Exchange) core.Stream {
		if c, ok := x.Body.(io.Closer); ok {
			_ = c.Close()
		}
		return give(core.Event{Data: "yes"})
	}})
	conn := s.dial()
	defer func() { _ = conn.Close() }()
	resp, in, err := requestBody{header: "Content-Length: 1000000", body: kilobytes(1)}.ask(conn)
	if err != nil {
		t.Fatalf("got no answer after the view has closed the body: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: yes\n\n") {
		t.Errorf("got status %d and %q, %v, want a stream, after the view has closed the body", resp.StatusCode, body, err)
	}
	if _, err := in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v after the stream, want the end of the connection", err)
	}
	s.stop()
}
