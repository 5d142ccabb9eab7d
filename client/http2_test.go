package client_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/ssetest"
)

func newHTTP2(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// next sends the event after the last one that the client has, and then nothing.
func next(w http.ResponseWriter, r *http.Request) {
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, frames(last+1, last+1))
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// A hole forwards connections to a server. When it opens, its connections swallow all
// bytes from then on, as if the other ends had lost their power.
type hole struct {
	addr string

	mu    sync.Mutex
	conns []*swallower
	count int // of connections so far
}

type swallower struct {
	swallows        atomic.Bool
	client, backend net.Conn
}

func newHole(t *testing.T, backend string) *hole {
	t.Helper()
	h := new(hole)
	h.addr = listen(t, func(c net.Conn) {
		to, err := new(net.Dialer).DialContext(t.Context(), "tcp", backend)
		if err != nil {
			return
		}
		defer to.Close()
		s := &swallower{client: c, backend: to}
		h.mu.Lock()
		h.conns = append(h.conns, s)
		h.count++
		h.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { s.forward(to, c) })
		both.Go(func() { s.forward(c, to) })
		both.Wait()
	})
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, s := range h.conns {
			_ = s.client.Close()
			_ = s.backend.Close()
		}
	})
	return h
}

func (s *swallower) forward(to, from net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if s.swallows.Load() {
			if err != nil {
				return // but the other end does not notice
			}
			continue
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}

func (h *hole) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.conns {
		s.swallows.Store(true)
	}
}

func (h *hole) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// trusting makes streams without WithHTTPClient accept the server's certificate.
func trusting(t *testing.T, srv *httptest.Server) {
	t.Helper()
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	http.DefaultTransport = srv.Client().Transport
}

// A dead connection is given up, even if many requests can share it.
func TestIdleTimeoutLeavesConnection(t *testing.T) {
	const limit = 100 * time.Millisecond
	for _, tt := range []struct {
		name string
		opts func(*http.Transport) []client.Option
	}{
		{"a transport of its own", func(*http.Transport) []client.Option { return nil }},
		{"a client of the caller's", func(tr *http.Transport) []client.Option {
			return []client.Option{client.WithHTTPClient(&http.Client{Transport: tr})}
		}},
		{"a client whose transport is hidden", func(tr *http.Transport) []client.Option {
			return []client.Option{client.WithHTTPClient(&http.Client{Transport: hidden{tr}})}
		}},
		{"a client whose transport can only do requests", func(tr *http.Transport) []client.Option {
			return []client.Option{client.WithHTTPClient(&http.Client{Transport: only{tr}})}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			srv := newHTTP2(t, http.HandlerFunc(next))
			trusting(t, srv)
			h := newHole(t, srv.Listener.Addr().String())
			transport := srv.Client().Transport.(*http.Transport).Clone()
			defer transport.CloseIdleConnections()
			opts := append(tt.opts(transport),
				client.WithIdleTimeout(limit),
				client.WithBackoff(10*time.Millisecond, 0),
				client.WithConnected(func(res *http.Response) {
					if res.ProtoMajor != 2 {
						t.Errorf("got %s, want HTTP/2", res.Proto)
					}
				}))

			lost := 0
			var got []string
			for e, err := range client.Stream(get(t, "https://"+h.addr), append(opts,
				client.WithDisconnected(func(err error, _ time.Duration) {
					wantErr(t, err, client.ErrIdle)
					lost++
				}),
				client.WithRetryPolicy(func(error, int) bool { return lost < 50 }))...) {
				if err != nil {
					t.Fatalf("got the error %v after %d connections", err, h.connections())
				}
				if got = append(got, e.ID); e.ID == "2" {
					break
				}
				h.open()
			}
			if want := []string{"1", "2"}; !slices.Equal(got, want) {
				t.Errorf("got events %q, want %q", got, want)
			}
		})
	}
}

// only is a transport that wraps another one, as for traces or logs.
type only struct{ http.RoundTripper }

// hidden is a transport that shows only its RoundTrip method.
type hidden struct{ http.RoundTripper }

func (h hidden) CloseIdleConnections() { h.RoundTripper.(*http.Transport).CloseIdleConnections() }

// Pings find a dead connection that many streams share, as the documentation of
// WithIdleTimeout says.
func TestPingsLeaveSharedConnection(t *testing.T) {
	const streams = 20
	ssetest.NoLeaks(t)
	srv := newHTTP2(t, http.HandlerFunc(next))
	h := newHole(t, srv.Listener.Addr().String())
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 100 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
	defer transport.CloseIdleConnections()

	var running, first sync.WaitGroup
	first.Add(streams)
	for range streams {
		running.Go(func() {
			for e, err := range client.Stream(get(t, "https://"+h.addr), client.WithBackoff(10*time.Millisecond, 0),
				client.WithHTTPClient(&http.Client{Transport: transport})) {
				if err != nil {
					t.Errorf("got the error %v", err)
					return
				}
				if e.ID == "2" {
					return
				}
				first.Done()
			}
		})
	}
	first.Wait()
	h.open()
	running.Wait()
}

// Without WithHTTPClient each connection carries one request and ends with it: there is
// no pool that could hand out a dead one, or keep one when the stream has ended.
func TestOwnConnections(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			ssetest.NoLeaks(t)
			const requests = 4
			closed := make(chan struct{}, 2*requests)
			addrs := map[string]bool{}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				addrs[r.RemoteAddr] = true // one at a time
				if r.Proto != proto {
					t.Errorf("got %s, want %s", r.Proto, proto)
				}
				if r.Header.Get("Last-Event-ID") == strconv.Itoa(requests-1) {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				ended, end := context.WithCancel(r.Context())
				end()
				next(w, r.WithContext(ended))
			}))
			srv.EnableHTTP2 = proto == "HTTP/2.0"
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateClosed {
					closed <- struct{}{}
				}
			}
			srv.StartTLS()
			defer srv.Close()
			trusting(t, srv)
			got, err := collect(t, client.Stream(get(t, srv.URL), soon()))
			wantErr(t, err, client.ErrStopped)
			ssetest.Equal(t, got, numbered(1, requests-1))
			if got := len(addrs); got != requests {
				t.Errorf("got %d connections, want one for each of %d requests", got, requests)
			}
			timeout := time.After(20 * time.Second)
			for range len(addrs) {
				select {
				case <-closed:
				case <-timeout:
					t.Fatal("a connection is still open, though its stream has ended")
				}
			}
		})
	}
}

// Not even the cancellation can be written to a connection that is stuck.
func TestIdleTimeoutWithBlockedWrites(t *testing.T) {
	ssetest.NoLeaks(t)
	srv := newHTTP2(t, http.HandlerFunc(next))
	trusting(t, srv)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	http.DefaultTransport = transport
	var first *blockedConn
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || first != nil {
			return c, err
		}
		first = &blockedConn{Conn: c, closed: make(chan struct{})}
		return first, nil
	}
	defer time.AfterFunc(20*time.Second, func() {
		t.Error("the first connection is still there")
		_ = first.Close()
	}).Stop()
	var got []string
	for e, err := range client.Stream(get(t, srv.URL), soon(), client.WithIdleTimeout(100*time.Millisecond),
		client.WithDisconnected(func(err error, _ time.Duration) { wantErr(t, err, client.ErrIdle) })) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); e.ID == "2" {
			break
		}
		first.blocked.Store(true)
	}
	if want := []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}

// A blockedConn does not accept writes once it is blocked.
type blockedConn struct {
	net.Conn

	blocked atomic.Bool
	closed  chan struct{}
	once    sync.Once
}

func (c *blockedConn) Write(p []byte) (int, error) {
	if c.blocked.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *blockedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
