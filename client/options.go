package client

import (
	"net/http"
	"time"

	"github.com/yieldsse/yieldsse/internal/pause"
)

// An Option sets something about a [Stream]. A nil Option does nothing.
type Option func(*config)

type config struct {
	httpClient   *http.Client
	lastEventID  string
	maxEventSize int
	comments     bool
	positions    string
	once         bool
	done         string // of once
	idleTimeout  time.Duration
	reconnect    time.Duration
	maxBackoff   time.Duration
	retry        func(err error, failures int) bool
	connected    func(*http.Response)
	disconnected func(err error, wait time.Duration)
}

func newConfig(opts []Option) config {
	c := config{
		reconnect:  3 * time.Second,
		maxBackoff: 30 * time.Second,
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	if c.retry == nil {
		c.retry = func(err error, _ int) bool { return Retryable(err) }
	}
	return c
}

// client returns what to send requests with, and what to do at the end.
func (c *config) client() (client *http.Client, done func()) {
	if c.httpClient != nil {
		own := *c.httpClient
		own.Timeout = 0 // see headerTimeout
		return &own, func() {}
	}
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return &http.Client{}, func() {}
	}
	transport := shared.Clone()
	transport.DisableKeepAlives = true // a pool could hand out a connection that is dead, and keep one that nobody needs
	if c.idleTimeout > 0 {
		var settings http.HTTP2Config
		if transport.HTTP2 != nil {
			settings = *transport.HTTP2
		}
		// If not even the cancellation can be written, only a lost ping ends a request.
		settings.SendPingTimeout, settings.PingTimeout = c.idleTimeout, c.idleTimeout
		transport.HTTP2 = &settings
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// WithHTTPClient sends requests with c: its transport, redirect policy and cookie
// jar. Its Timeout, which would cut a stream that is as long as it should be,
// bounds the wait for the headers of each response instead.
//
// Without this option, or with nil, each stream has a copy of
// [http.DefaultTransport] that keeps no connection alive: each has one request,
// and ends with it. Many streams from one HTTP/2 server share a connection if they
// share a client; see [WithIdleTimeout] for what that needs.
func WithHTTPClient(c *http.Client) Option {
	return func(cfg *config) { cfg.httpClient = c }
}

// WithLastEventID begins after the event that had this ID. The default is the
// Last-Event-ID header of the request, if it has one.
func WithLastEventID(id string) Option {
	return func(c *config) { c.lastEventID = id }
}

// WithMaxEventSize ends the stream with [core.ErrEventTooLarge] at an event of
// more than n bytes. Zero or less, the default, means 16 MiB.
func WithMaxEventSize(n int) Option {
	return func(c *config) { c.maxEventSize = n }
}

// WithComments yields comments as well, heartbeats among them, and reconnection
// times that no event came with: see [core.Parser].
func WithComments() Option {
	return func(c *config) { c.comments = true }
}

// WithPositions yields an event of type typ, without data, where the server moves
// the last event ID, or resets it, without an event. With it the ID of each event
// is where the stream stands, which is what to store in order to go on later by
// [WithLastEventID]. Choose a type that the server does not use. The default,
// empty, yields no such events: a reconnection heeds them all the same.
func WithPositions(typ string) Option {
	return func(c *config) { c.positions = typ }
}

// WithOnce reads one response and never sends req again, as is right for a POST
// that asks a language model. Where the response ends the stream ends, without an
// error. It also ends at an event whose Data is done, "[DONE]" for instance, which
// is not yielded; if the response ends without that event it is not whole, and
// the last element is [ErrEnded]. An empty done stands for no event. All other
// failures are the last element as ever, and no retry policy is asked.
//
// If req has a Body it needs no GetBody, but then the stream can be read only once.
func WithOnce(done string) Option {
	return func(c *config) { c.once, c.done = true, done }
}

// WithIdleTimeout takes a connection for broken, with [ErrIdle], when nothing has
// come for d: no headers, and then no byte, not even of a heartbeat. Without it a
// connection whose other end has vanished can look alive for ever. Zero or less,
// the default, sets no limit, since not every server sends heartbeats. 45 s is
// good for one that does so every 15 s, as the HTML standard advises: it misses
// three.
//
// A client of [WithHTTPClient] may have an HTTP/2 connection that other requests
// share. Giving up a request does not close it. So before the next try the idle
// connections of that client are closed, and the next request has Close set, so that
// the one after it gets another connection in any case. To leave a dead connection at
// once that many streams share, have the transport send pings, which close it for all
// of them:
//
//	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
func WithIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.idleTimeout = d }
}

// WithBackoff sets how long the stream waits before it connects again.
//
// It waits for the reconnection time, and then for a random part of a time that
// is as long at first, doubles with each failure in a row and is at most longest,
// so that many clients do not come back in one instant. The reconnection time is
// reconnect until the stream sets another with its retry field. A Retry-After
// that is longer takes its place once. Of either no more than an hour counts.
//
// A connection that has brought an event, or has lasted 30 s, ends a row of
// failures. The defaults are 3 s and 30 s. Zero or less waits for nothing in that
// part; with neither, a server that is down is asked without a pause.
func WithBackoff(reconnect, longest time.Duration) Option {
	return func(c *config) {
		c.reconnect = clamp(reconnect)
		c.maxBackoff = clamp(longest)
	}
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), pause.Longest) }

// WithRetryPolicy asks retry whether to connect again after err, which is
// [ErrEnded], [ErrIdle], a [*ResponseError] or what net/http says. The count of
// failures in a row includes this one, so it is 1 after a healthy connection; see
// [WithBackoff]. If retry says no, err is the last element of the stream.
// Nil means [Retryable], which other policies can build upon:
//
//	client.WithRetryPolicy(func(err error, failures int) bool {
//		return client.Retryable(err) && failures < 10
//	})
func WithRetryPolicy(retry func(err error, failures int) bool) Option {
	return func(c *config) { c.retry = retry }
}

// WithConnected calls f with each response that is an event stream, before its
// first event. The response has no body to read; its Request is the last one, if
// there were redirects. f runs in the stream's goroutine.
func WithConnected(f func(*http.Response)) Option {
	return func(c *config) { c.connected = f }
}

// WithDisconnected calls f when a connection is lost, or did not come about, and
// the stream is to wait and connect again: with the reason, and the time until
// then. f runs in the stream's goroutine.
func WithDisconnected(f func(err error, wait time.Duration)) Option {
	return func(c *config) { c.disconnected = f }
}
