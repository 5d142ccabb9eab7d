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

// client returns the client for the requests, and a function to call at the end.
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
	transport.DisableKeepAlives = true // a pool could hand out a dead connection, or keep one that is not needed
	if c.idleTimeout > 0 {
		var settings http.HTTP2Config
		if transport.HTTP2 != nil {
			settings = *transport.HTTP2
		}
		// If even the cancellation cannot be written, only a lost ping ends a request.
		settings.SendPingTimeout, settings.PingTimeout = c.idleTimeout, c.idleTimeout
		transport.HTTP2 = &settings
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// WithHTTPClient sends requests with c: its transport, redirect policy and cookie
// jar. Its Timeout bounds the wait for the headers of each response, and not the whole
// response, because a stream may be long.
//
// Without this option, or with nil, each stream has a copy of
// [http.DefaultTransport] that does not keep connections alive: each carries one
// request, and ends with it. Many streams from one HTTP/2 server share a connection if
// they share a client; see [WithIdleTimeout] for what that needs.
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

// WithComments also yields comments, including heartbeats, and reconnection times that
// came without an event: see [core.Parser].
func WithComments() Option {
	return func(c *config) { c.comments = true }
}

// WithPositions yields an event of type typ, without data, when the server sets or
// resets the last event ID without an event. With it, the ID of each event is the
// stream's position: store it to resume later with [WithLastEventID]. Choose a type that
// the server does not use. The default, empty, yields no such events, but a
// reconnection still sends the ID.
func WithPositions(typ string) Option {
	return func(c *config) { c.positions = typ }
}

// WithOnce reads one response and never sends req again, as is right for a POST
// that asks a language model. When the response ends, the stream ends without an
// error. It also ends at an event whose Data is done, such as "[DONE]", which is not
// yielded. If the response ends without that event it is not whole, and the last element
// is [ErrEnded]. An empty done means that there is no such event. If the response ends in
// the middle of an event, even if it ends properly, as a proxy may have it do, that event
// is lost, and the last element matches [io.ErrUnexpectedEOF] and [ErrEnded]. Any other
// failure is the last element, as without this option, and the retry policy is not asked.
//
// With this option a Body of req needs no GetBody, but then the stream can be read only
// once.
func WithOnce(done string) Option {
	return func(c *config) { c.once, c.done = true, done }
}

// WithIdleTimeout gives a connection up, with [ErrIdle], when the server has sent
// nothing for d: first no headers, and then no byte, not even of a heartbeat. Without it
// a connection whose other end has vanished can look alive forever. Zero or less, the
// default, sets no limit, because not every server sends heartbeats. 45 s is good for a
// server that sends one every 15 s, as the HTML standard advises: three are missing
// then.
//
// The client of [WithHTTPClient] may have an HTTP/2 connection that other requests
// share. Giving up a request does not close it. So before the next try the client's idle
// connections are closed, and the next request has Close set, so that the one after it
// always gets another connection. If many streams share a connection, let the transport
// send pings, which close a dead connection at once for all of them:
//
//	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
func WithIdleTimeout(d time.Duration) Option {
	return func(c *config) { c.idleTimeout = d }
}

// WithBackoff sets how long the stream waits before it connects again.
//
// It waits for the reconnection time, and then for a random part of an extra time, so
// that many clients do not come back at the same moment. The extra time is at first as
// long as the reconnection time, doubles with each failure in a row, and is at most
// longest. The reconnection time is reconnect until the stream sets another with its
// retry field. A longer Retry-After replaces it once. The reconnection time and Retry-After are
// limited to an hour each.
//
// A connection that has brought an event, or has lasted 30 s, ends a row of
// failures. The defaults are 3 s and 30 s. Zero or less turns that part of the wait off;
// if both are off, a server that is down gets one request after another without a pause.
func WithBackoff(reconnect, longest time.Duration) Option {
	return func(c *config) {
		c.reconnect = clamp(reconnect)
		c.maxBackoff = clamp(longest)
	}
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), pause.Longest) }

// WithRetryPolicy asks retry whether to connect again after err, which is
// [ErrEnded], [ErrIdle], a [*ResponseError] or an error of net/http. failures counts the
// failures in a row, including this one, so it is 1 after a healthy connection; see
// [WithBackoff]. If retry returns false, err is the last element of the stream.
// Nil means [Retryable], on which other policies can build:
//
//	client.WithRetryPolicy(func(err error, failures int) bool {
//		return client.Retryable(err) && failures < 10
//	})
func WithRetryPolicy(retry func(err error, failures int) bool) Option {
	return func(c *config) { c.retry = retry }
}

// WithConnected calls f with each response that is an event stream, before its
// first event. The response's Body is empty; its Request is the last one, if there were
// redirects. f runs in the stream's goroutine.
func WithConnected(f func(*http.Response)) Option {
	return func(c *config) { c.connected = f }
}

// WithDisconnected calls f when a connection is lost, or could not be made, and the
// stream will connect again: with the reason, and the time until then. f runs in the
// stream's goroutine.
func WithDisconnected(f func(err error, wait time.Duration)) Option {
	return func(c *config) { c.disconnected = f }
}
