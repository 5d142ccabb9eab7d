package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

// longLived are goroutines of fasthttp and fiber that outlive a server.
var longLived = []string{
	"fasthttp.updateServerDate",
	"fasthttp.(*workerPool).Start",
	"utils.StartTimeStampUpdater",
}

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	ssetest.Main(m, longLived...)
}

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" // until the connection ends
	chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	stop    = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
)

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// soon makes reconnections take no time.
func soon() client.Option { return client.WithBackoff(0, time.Millisecond) }

// once allows no reconnection.
func once() client.Option {
	return client.WithRetryPolicy(func(error, int) bool { return false })
}

// A server answers each connection with raw bytes: the first connection with the first
// answer, and so on, and all further ones with 204. It closes each connection after the
// answer.
type server struct {
	url string

	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func serve(t testing.TB, answers ...string) *server {
	t.Helper()
	writers := make([]func(net.Conn), len(answers))
	for i, answer := range answers {
		writers[i] = func(c net.Conn) { _, _ = io.WriteString(c, answer) }
	}
	return serveRaw(t, writers...)
}

func serveRaw(t testing.TB, answers ...func(net.Conn)) *server {
	t.Helper()
	s := new(server)
	s.url = "http://" + listen(t, func(c net.Conn) { s.answer(c, answers) })
	return s
}

// listen calls handle with each connection, closes it afterwards, and returns the
// address.
func listen(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

func (s *server) answer(c net.Conn, answers []func(net.Conn)) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	if n < len(answers) {
		answers[n](c)
	} else {
		_, _ = io.WriteString(c, stop)
	}
}

// seen returns the requests so far.
func (s *server) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// lastEventIDs returns the header of each request; "-" stands for none.
func (s *server) lastEventIDs() []string {
	var ids []string
	for _, r := range s.seen() {
		if values, ok := r.Header["Last-Event-Id"]; ok {
			ids = append(ids, strings.Join(values, ","))
		} else {
			ids = append(ids, "-")
		}
	}
	return ids
}

// get returns a request that ends with the test.
func get(t testing.TB, url string) *http.Request {
	t.Helper()
	return request(t, http.MethodGet, url, nil)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// collect reads s to its end, which must be an error, the last element, and must come in
// time.
func collect(t testing.TB, s core.Stream) (events []core.Event, err error) {
	t.Helper()
	for e, failure := range s {
		if err != nil {
			t.Fatalf("got %+v, %v after the error %v", e, failure, err)
		}
		if err = failure; err == nil {
			events = append(events, e)
		} else if e != (core.Event{}) {
			t.Errorf("got %+v together with the error %v", e, err)
		}
		if len(events) > 1e6 {
			t.Fatal("got a million events and no end")
		}
	}
	if err == nil {
		t.Fatalf("got no error at the end, after %d events", len(events))
	}
	return events, err
}

// within returns a context that lasts long enough for a test that passes.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("the test has waited too long"))
	t.Cleanup(cancel)
	return ctx
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

// A roundTrip is a transport in memory.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inMemory sends the requests to f.
func inMemory(f roundTrip) client.Option {
	return client.WithHTTPClient(&http.Client{Transport: f})
}

func response(status int, body io.Reader, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body)}
	if status == 200 {
		res.Header.Set("Content-Type", "text/event-stream")
	}
	for i := 0; i+1 < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

// live returns a body that f writes. Its reads end with ctx, as those from a connection
// do.
func live(ctx context.Context, f func(w io.Writer)) io.Reader {
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		f(w)
		if stop() {
			_ = w.Close()
		}
	}()
	return r
}

func frames(first, last int) string {
	var b strings.Builder
	for i := first; i <= last; i++ {
		fmt.Fprintf(&b, "id: %d\ndata: event %d\n\n", i, i)
	}
	return b.String()
}

func numbered(first, last int) []core.Event {
	var events []core.Event
	for i := first; i <= last; i++ {
		events = append(events, core.Event{ID: fmt.Sprint(i), Data: fmt.Sprintf("event %d", i)})
	}
	return events
}
