package main

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A reader follows a topic from server to server, and checks each event.
type reader struct {
	name   string
	topic  string
	from   string
	road   road
	random *rand.Rand
	count  *readings
	fleet  []*process
	last   atomic.Int64 // the number of its last event
}

// readings are what all readers have seen.
type readings struct {
	events, connections, ended, broken, lost, twice, told atomic.Int64

	fail func(error) // what must not happen

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// A road is how readers reach a server.
type road struct {
	name      string
	scheme    string
	hosts     []int
	protocols http.Protocols
}

var roads = func() []road {
	all := []road{
		{name: "HTTP/1.1", scheme: "http", hosts: plainHosts},
		{name: "HTTP/1.1 over TLS", scheme: "https", hosts: []int{tlsHost}},
		{name: "HTTP/2 without TLS", scheme: "http", hosts: http2Hosts},
		{name: "HTTP/2", scheme: "https", hosts: []int{tlsHost}},
	}
	all[0].protocols.SetHTTP1(true)
	all[1].protocols.SetHTTP1(true)
	all[2].protocols.SetUnencryptedHTTP2(true)
	all[3].protocols.SetHTTP2(true)
	return all
}()

// transport returns a transport for a road, whose connections are passed to keep.
func (r road) transport(keep func(net.Conn) net.Conn) *http.Transport {
	var dialer net.Dialer
	return &http.Transport{
		Protocols:       &r.protocols,
		TLSClientConfig: hosttest.ClientTLS(),

		TLSHandshakeTimeout:   patience,
		ResponseHeaderTimeout: patience,

		DisableKeepAlives: !r.protocols.HTTP2() && !r.protocols.UnencryptedHTTP2(),
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 2 * heartbeat, PingTimeout: 2 * heartbeat},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return keep(c), nil
		},
	}
}

// read reads until ctx ends.
func (r *reader) read(ctx context.Context) {
	transport := r.road.transport(r.count.keep)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://soak/", nil)
	if err != nil {
		r.count.fail(err)
		return
	}
	stream := client.Stream(req,
		client.WithHTTPClient(&http.Client{Transport: roaming{r, transport}}),
		client.WithIdleTimeout(10*heartbeat),
		client.WithBackoff(retry, time.Second),
		client.WithRetryPolicy(func(error, int) bool { return true }),
		client.WithConnected(func(*http.Response) { r.count.connections.Add(1) }),
		client.WithDisconnected(func(err error, _ time.Duration) { r.disconnected(err) }),
	)
	excused := true // nothing has come yet, or it was told that something is missing
	for e, err := range stream {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.count.fail(fmt.Errorf("%s: %w", r.name, err))
			return
		case e.Type == "gap":
			r.count.told.Add(1)
			excused = true
		default:
			excused = r.check(e, excused)
		}
	}
}

// disconnected counts how a connection ended. Whatever breaks it, what came before that must be
// what the server has compressed.
func (r *reader) disconnected(err error) {
	if errors.Is(err, client.ErrEnded) {
		r.count.ended.Add(1)
		return
	}
	r.count.broken.Add(1)
	if corrupt(err) {
		r.count.fail(fmt.Errorf("%s: after %d: the compressed stream is corrupt: %w", r.name, r.last.Load(), err))
	}
}

// corrupt reports whether a stream could not be decoded. One that was only cut off is not corrupt.
func corrupt(err error) bool {
	_, deflate := errors.AsType[flate.CorruptInputError](err)
	return deflate || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader)
}

// check checks that an event is the next one.
func (r *reader) check(e core.Event, excused bool) bool {
	n, ok := numberOf(e)
	last := r.last.Load()
	switch {
	case !ok:
		r.count.fail(fmt.Errorf("%s: after %d: got the event %s of type %q, %.40q", r.name, last, e.ID, e.Type, e.Data))
		return excused
	case excused:
	case n > last+1:
		r.count.lost.Add(n - last - 1)
		r.count.fail(fmt.Errorf("%s: %s: %d follows %d", r.name, e.ID, n, last))
	case n <= last:
		r.count.twice.Add(1)
		r.count.fail(fmt.Errorf("%s: %s: %d follows %d", r.name, e.ID, n, last))
	}
	r.count.events.Add(1)
	r.last.Store(n)
	return false
}

// roaming sends each request to a server that is up, at random.
type roaming struct {
	*reader

	transport http.RoundTripper
}

func (r roaming) RoundTrip(req *http.Request) (*http.Response, error) {
	var up []*process
	for _, p := range r.fleet {
		if p.up.Load() {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil, errors.New("no server is up")
	}
	p, host := oneOf(r.random, up...), oneOf(r.random, r.road.hosts...)
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host = r.road.scheme, p.addrs[host]
	req.URL.Path = fmt.Sprintf("/%s/events/%s", oneOf(r.random, modes...), r.name)
	req.URL.RawQuery = "topic=" + r.topic + "&from=" + r.from
	zips := r.random.IntN(2) == 0
	if zips {
		req.Header["Accept-Encoding"] = nil // so that the transport asks for compression
	}
	res, err := r.transport.RoundTrip(req)
	if err == nil && res.StatusCode == http.StatusOK && res.Uncompressed != zips {
		r.count.fail(fmt.Errorf("%s: %s: got a compressed stream: %t, want %t", r.name, req.URL, res.Uncompressed, zips))
	}
	return res, err
}

// keep remembers a connection until it is closed.
func (c *readings) keep(conn net.Conn) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := keptConn{conn.(*net.TCPConn), c} //nolint:forcetypeassert // it was dialed
	c.conns[kept] = true
	return kept
}

// reset resets all connections at once, so that all readers come back together.
func (c *readings) reset() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		tcp := conn.(keptConn).TCPConn //nolint:forcetypeassert // see keep
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	return len(c.conns)
}

type keptConn struct {
	*net.TCPConn
	kept *readings
}

func (c keptConn) Close() error {
	c.kept.mu.Lock()
	delete(c.kept.conns, c)
	c.kept.mu.Unlock()
	return c.TCPConn.Close()
}
