package adaptertest

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A mounted is a Mount over one protocol.
type mounted struct {
	Mount

	protocol Protocol
}

// A server is one of a host's that runs, for one check.
type server struct {
	t        testing.TB
	host     mounted
	addr     string
	url      string
	client   *http.Client // follows no redirect
	shutdown func(context.Context) error
	log      *hosttest.Logbook
	ended    chan core.Summary // of each session
	ledger   *ledger
}

// unheard is a heartbeat interval that no test reaches. A response to GET still begins
// with a heartbeat.
const unheard = time.Hour

// serve starts a server for views, without heartbeats unless opts set them.
func (h mounted) serve(t testing.TB, views map[string]View, opts ...core.Option) *server {
	t.Helper()
	return h.serveSite(t, &Site{Views: views, Options: opts})
}

func (h mounted) serveSite(t testing.TB, site *Site) *server {
	t.Helper()
	tcp := &listener{Listener: listen(t), sendBuffer: site.sendBuffer, hurried: site.hurried}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	h.protocol.set(transport.Protocols)
	s := &server{
		t: t, host: h,
		addr: tcp.Addr().String(),
		url:  "http://" + tcp.Addr().String(),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log:    new(hosttest.Logbook),
		ended:  make(chan core.Summary, 1<<10),
		ledger: new(ledger),
	}
	site.protocol, site.Log, site.Listener = h.protocol, s.log, tcp
	switch h.protocol {
	case HTTP2, HTTP1TLS:
		s.url = "https://" + s.addr
		site.Listener = tls.NewListener(tcp, hosttest.ServerTLS())
		transport.TLSClientConfig = hosttest.ClientTLS()
	case HTTP3:
		s.url = "https://" + s.addr
	case HTTP1, H2C: // without TLS
	}
	site.Options = append([]core.Option{
		core.WithHeartbeat(unheard),
		core.WithObserver(s.ledger.observer()),
		core.WithObserver(core.Observer{Closed: func(_ context.Context, end core.Summary) { s.ended <- end }}),
	}, site.Options...)

	s.shutdown = h.Serve(t, site)
	if site.Transport != nil {
		s.client.Transport = site.Transport
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if h.protocol != HTTP1 {
			tcp.breakConns() // otherwise the two sides wait for each other for a second
		}
		if site.Transport != nil {
			_ = site.Transport.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
		defer cancel()
		if err := s.shutdown(ctx); err != nil {
			t.Errorf("the host's shutdown at the end of the test: %v", err)
		}
		_ = tcp.Close()
		tcp.breakConns()
		s.ledger.check(t)
	})
	if h.protocol == HTTP3 && site.Transport == nil {
		t.Fatal("adaptertest: Mount.Protocols has HTTP3, but Serve has not set Site.Transport: " +
			"set it to a client of HTTP/3 that sends all requests to the server")
	}
	return s
}

// request returns a request for path that also shows comments. The first is the opening.
func (s *server) request(path string) ssetest.Request {
	return ssetest.Request{URL: s.url + path, Client: s.client, Timeout: s.host.timeout, Comments: true}
}

// open opens the stream at path and takes its opening.
func (s *server) open(path string) *ssetest.Stream {
	s.t.Helper()
	return openStream(s.t, s.request(path))
}

// openStream opens a stream and takes its opening. A response to POST has none.
func openStream(t testing.TB, r ssetest.Request) *ssetest.Stream {
	t.Helper()
	if r.Method == http.MethodPost {
		return r.Open(t)
	}
	return opened(t, r.Open(t))
}

// opened takes the opening of a stream: a comment, before any event.
func opened(t testing.TB, s *ssetest.Stream) *ssetest.Stream {
	t.Helper()
	if e := s.Next(); e.Comment == "" || e.Data != "" || e.ID != "" || e.Type != "" {
		t.Fatalf("the stream begins with %+v, want a comment", e)
	}
	return s
}

// openRaw sends a raw request that Go's client would not send. The server speaks HTTP/1.
func (s *server) openRaw(request string) *ssetest.Stream {
	s.t.Helper()
	r := s.request("/")
	r.Client = &http.Client{Transport: raw{addr: s.addr, request: request}}
	return r.Open(s.t)
}

// A raw is a transport that sends its own request over a new connection.
type raw struct{ addr, request string }

// RoundTrip implements [http.RoundTripper].
func (raw raw) RoundTrip(r *http.Request) (*http.Response, error) {
	conn, err := new(net.Dialer).DialContext(r.Context(), "tcp", raw.addr)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller shows it
	}
	context.AfterFunc(r.Context(), func() { _ = conn.Close() }) // the stream is dropped
	if _, err := io.WriteString(conn, raw.request); err != nil {
		return nil, err //nolint:wrapcheck // the caller shows it
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

// tryDial opens a connection to a server that speaks HTTP/1. Any goroutine may call it.
func (s *server) tryDial() (net.Conn, error) {
	conn, err := net.Dial("tcp", s.addr) //nolint:noctx // on loopback
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller shows it
	}
	_ = conn.SetDeadline(time.Now().Add(host.BodyTimeout + s.host.timeout))
	if s.host.protocol == HTTP1TLS {
		config := hosttest.ClientTLS()
		config.ServerName, _, _ = net.SplitHostPort(s.addr)
		conn = tls.Client(conn, config)
	}
	return conn, nil
}

// stop shuts the host down, which must not take long.
func (s *server) stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.host.timeout)
	defer cancel()
	if err := s.shutdown(ctx); err != nil {
		s.t.Errorf("the host's shutdown: %v", err)
	}
}

// end waits for the end of a session.
func (s *server) end() core.Summary {
	s.t.Helper()
	return hosttest.ReceiveWithin(s.t, s.host.timeout, s.ended, "the end of a session")
}

// works checks that the server still works.
func (s *server) works() {
	s.t.Helper()
	r := s.request("/works")
	r.Comments = false // there may be none
	ssetest.Equal(s.t, r.Open(s.t).All(), []core.Event{{Data: "yes"}})
	s.end()
}

// works is the view for [server.works].
func works(context.Context, Exchange) core.Stream { return give(core.Event{Data: "yes"}) }

// give returns a stream of these events.
func give(events ...core.Event) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// steps returns a view that makes an event for each go-ahead, with its number as ID.
func steps(goAhead <-chan struct{}) View {
	return func(ctx context.Context, _ Exchange) core.Stream {
		return func(yield func(core.Event, error) bool) {
			n := 0
			for range core.Receive(ctx, goAhead) {
				n++
				if !yield(core.Event{ID: strconv.Itoa(n)}, nil) {
					return
				}
			}
		}
	}
}

// pass gives a generator of steps the go-ahead.
func (s *server) pass(goAhead chan<- struct{}) {
	s.t.Helper()
	timer := time.NewTimer(s.host.timeout)
	defer timer.Stop()
	select {
	case goAhead <- struct{}{}:
	case <-timer.C:
		s.t.Fatalf("the generator did not wait for the next step within %v", s.host.timeout)
	}
}

// numbered returns the events from first to last, with their numbers as IDs.
func numbered(first, last int) []core.Event {
	events := make([]core.Event, 0, last-first+1)
	for n := first; n <= last; n++ {
		events = append(events, core.Event{ID: strconv.Itoa(n)})
	}
	return events
}

// says waits until the log holds text.
func (s *server) says(text string) {
	s.t.Helper()
	isThere := func() bool { return strings.Contains(s.log.String(), text) }
	hosttest.EventuallyWithin(s.t, s.host.timeout, "the host's log says "+text, isThere)
}

// A listener can break the connections that it has accepted. They are the net package's
// own, without a wrapper.
type listener struct {
	net.Listener

	sendBuffer int  // if not zero
	hurried    bool // bodies have much less time

	mu    sync.Mutex
	conns []net.Conn
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		if tcp, ok := c.(*net.TCPConn); ok && l.sendBuffer > 0 {
			_ = tcp.SetWriteBuffer(l.sendBuffer)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
		if l.hurried {
			c = hurried{c}
		}
	}
	return c, err //nolint:wrapcheck // a server looks at it
}

// hurry is how much faster a hurried connection is.
const hurry = 100

// A hurried connection gives a body much less time than [host.BodyTimeout].
type hurried struct{ net.Conn }

func (c hurried) SetReadDeadline(t time.Time) error {
	if d := time.Until(t); host.BodyTimeout/2 < d && d <= host.BodyTimeout {
		t = time.Now().Add(d / hurry)
	}
	return c.Conn.SetReadDeadline(t) //nolint:wrapcheck // a server looks at it
}

// breakConns ends both directions of all connections. It does not close them, because
// fasthttp panics if its connection is closed.
func (l *listener) breakConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseRead()
			_ = tcp.CloseWrite()
		}
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
