package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/internal/config"
)

// An Option sets something about the sessions of a handler. A nil Option does
// nothing.
type Option func(*settings)

// settings are what options set. A session reads them.
type settings = config.Config[Event, Observer]

// WithHeartbeat sends a comment whenever nothing else was sent for d, so that
// proxies keep the connection and a client that has vanished is noticed. The
// default is 15 s, as section 9.2.7 of the WHATWG HTML standard advises. Zero or
// less sends none.
//
// With heartbeats a response to GET begins with a comment as well, because Firefox
// tells its page of a response only when the body begins. Any other response does so
// only if a middleware may hold it back, to find out.
func WithHeartbeat(d time.Duration) Option {
	return func(c *settings) { c.Heartbeat = d }
}

// WithHeartbeatEvent sends e wherever a session would send a comment by itself: as a
// heartbeat, and at the beginning of a response. It is for clients that take a comment
// for an empty event, which docs/clients.md lists, and for pages that watch for
// silence, because an EventSource shows no comments:
//
//	core.WithHeartbeatEvent(core.Event{Type: "ping", Data: "{}"})
//
// If e cannot be encoded, or has an ID, requests are refused with 500.
func WithHeartbeatEvent(e Event) Option {
	b := beatsOf(e)
	return func(c *settings) { c.Beats = b }
}

func beatsOf(e Event) *config.Beats {
	if e.ID != "" {
		return &config.Beats{Err: errors.New("core: heartbeat event: it has an ID, with which a client would resume after it")}
	}
	frame, err := e.AppendText(nil)
	if err != nil {
		err = fmt.Errorf("core: heartbeat event: %w", err)
	}
	return &config.Beats{Greeting: string(frame), Heartbeat: string(frame), Silent: silent(&e), Err: err}
}

// WithRetry tells the client at the start how long to wait before it
// reconnects, in whole milliseconds. Zero or less, the default, leaves it to the
// client (browsers take 3 to 5 s). It is sent at once, as the first line of the first
// event's block, so a [Parser] yields that event with its Retry. A hand-written reader
// that takes only blocks which begin with data misses the event.
func WithRetry(d time.Duration) Option {
	return func(c *settings) { c.Retry = max(d, 0) }
}

// WithWriteTimeout ends the session with [ErrSlowClient] when the client has not
// taken a write within d. It stands in place of the server's own write timeout,
// which would cut a stream that is as long as it should be. The default is 30 s.
// With zero or less a client that does not read holds its session for ever.
func WithWriteTimeout(d time.Duration) Option {
	return func(c *settings) { c.WriteTimeout = d }
}

// WithFlushWindow lets a burst of events share its flushes: the first event after
// a quiet spell goes out at once, those that follow within d of a flush wait for
// the window's end, or for 32 KiB. The default is 1 ms. With zero or less each
// event is flushed by itself.
func WithFlushWindow(d time.Duration) Option {
	return func(c *settings) { c.FlushWindow = d }
}

// WithMaxDuration ends a session cleanly after d at the most, and up to a tenth
// sooner, so that clients that came together do not leave together. A browser
// then reconnects, perhaps to another machine. Zero or less, the default, sets
// no limit.
func WithMaxDuration(d time.Duration) Option {
	return func(c *settings) { c.MaxDuration = d }
}

// WithGroup makes sessions members of g, which can limit, count and end them. It
// can be given several times. A nil Group is none.
func WithGroup(g *Group) Option {
	return func(c *settings) {
		if m := (membership{g}); g != nil && !slices.Contains(c.Groups, config.Group(m)) {
			c.Groups = append(slices.Clip(c.Groups), config.Group(m))
		}
	}
}

// WithErrorEvent sends f's event when the generator fails, and ends the response
// cleanly instead of breaking it. What the client learns of the error is up to
// f. If that event cannot be encoded the response is broken after all. A nil f,
// the default, sends nothing.
func WithErrorEvent(f func(error) Event) Option {
	return func(c *settings) { c.ErrorEvent = f }
}

// WithObserver tells o when sessions begin and end.
func WithObserver(o Observer) Option {
	return func(c *settings) { c.Observer = o }
}

// WithQueryID has [LastEventID] take the parameter lastEventId of the URL's query
// for the ID, if the request has no Last-Event-ID header, or none that counts. So a
// page resumes that opens a stream anew, with an EventSource of its own making or a
// polyfill that cannot set headers. The header goes first: a browser that reconnects
// by itself sends a newer ID in it to the same URL. It is off by default, since a URL
// that is copied, or logged, begins where somebody else has been.
func WithQueryID() Option {
	return func(c *settings) { c.QueryID = true }
}

// WithDetach has the session take the connection from the host when the view has
// returned and the first frame is out, so that the handler returns and a stream
// that is held costs a sixth of the memory or less. What runs on is one goroutine for
// a generator, and none for a subscription of a hub's that the view returns as it is.
// Under TLS it is two fifths, and a quarter, for crypto/tls holds the rest. Outside
// Linux, and where a listener wraps its connections, each has one goroutine more,
// which reads.
//
// Everything else holds as it does without, but for these:
//
//   - What hosts take back when a handler returns, such as a *gin.Context, an
//     echo.Context, or a *fiber.Ctx with all strings that came from it, is not for
//     the generator: take what it needs as values, and copy strings of fiber's.
//   - Middlewares go on when the response has begun. An access log has the time of
//     the headers, and the size of the first frame, or none on fiber. A writer of a
//     middleware's does not see what comes after that.
//   - The generator's failure, or its panic with the stack, goes to the server's
//     ErrorLog, on fiber to its log, and to [WithObserver], not to a recovery or an
//     error handler. A panic does not end the process.
//   - The server does not know these connections any more: its Shutdown ends their
//     streams, but does not wait for them as [Group.Shutdown] does, and
//     [net/http.Server.Close] leaves them alone.
//   - The end of the request's context, or of the server's BaseContext, does not
//     end the stream any more: have a [Group] for that, or a context of your own.
//   - A heartbeat may come later by an eighth, or by 100 ms if that is less, since many
//     sessions send theirs together.
//   - A [net.Conn] that a ConnContext or ConnState hook has kept is not the
//     stream's any more, and ConnState ends with StateHijacked.
//   - The connection is closed after the stream.
//
// The session stays in the handler where the connection cannot be had or is needed
// there: on HTTP/2 and HTTP/1.0, on fiber with TLS, with a listener that wraps its
// connections or outside Linux, if a middleware compresses the response, if the
// request's context has a deadline or, on fiber, is made of c.Context(), or if a body has
// not been read to its end.
func WithDetach() Option {
	return func(c *settings) { c.Detach = true }
}

// An Observer is told of each session, for logs and metrics. Its functions are
// called in the stream's goroutine, or in one that stands for it, so those of
// different sessions at the same time; either may be nil. The context is the session's and carries what the
// request's did.
type Observer struct {
	// Opened is called when the client has the headers.
	Opened func(ctx context.Context)

	// Closed is called once for each Opened, when nothing more will be written.
	// The context has ended by then: see [context.WithoutCancel] for calls that
	// need one that has not.
	Closed func(ctx context.Context, end Summary)
}

// A Summary says how a session went.
type Summary struct {
	// Cause is why the session ended early: ErrClientGone, ErrSlowClient,
	// ErrMaxDuration, ErrShutdown, the cause of the request's context, or what the host
	// says, as of a middleware that holds the stream back. It is nil if the generator
	// came to its end or failed.
	Cause error

	// Err is the generator's failure, a *PanicError if it panicked, or nil.
	Err error

	Events   int           // events taken from the generator
	Bytes    int64         // bytes given to the host, heartbeats included
	Duration time.Duration // from Opened to Closed
}
