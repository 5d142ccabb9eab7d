package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
// proxies keep the connection open and a client that has vanished is noticed. The
// default is 15 s, as section 9.2.7 of the WHATWG HTML standard advises. Zero or
// less sends no heartbeats.
//
// With heartbeats a response to GET also begins with a comment, because Firefox
// tells its page of a response only when the body begins. Any other response begins
// with one only if a middleware may hold it back, to find out whether it does.
func WithHeartbeat(d time.Duration) Option {
	return func(c *settings) { c.Heartbeat = d }
}

// WithHeartbeatEvent sends e wherever a session would send a comment: as a heartbeat,
// and at the beginning of a response. It is for clients that mistake a comment for an
// empty event (docs/clients.md lists them), and for pages that watch for silence,
// because an EventSource does not show comments:
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
		return &config.Beats{Err: errors.New("core: heartbeat event: it has an ID, and clients would resume after it: leave it empty")}
	}
	frame, err := e.AppendText(nil)
	if err != nil {
		err = fmt.Errorf("core: heartbeat event: %w", err)
	}
	return &config.Beats{Greeting: string(frame), Heartbeat: string(frame), Silent: silent(&e), Err: err}
}

// WithRetry tells the client at the start how long to wait before it
// reconnects, in whole milliseconds. Zero or less, the default, leaves it to the
// client (browsers wait 3 to 5 s). It is sent at once, as the first line of the first
// event's block, so a [Parser] yields that event with its Retry. A hand-written reader
// that accepts only blocks that begin with data misses the event.
func WithRetry(d time.Duration) Option {
	return func(c *settings) { c.Retry = max(d, 0) }
}

// WithWriteTimeout ends the session with [ErrSlowClient] when the client has not
// accepted a write within d. It replaces the server's own write timeout, which would
// cut off a long stream. The default is 30 s. With zero or less, a client that does
// not read can hold its session forever. On HTTP/2, a client that reads nothing of its
// connection, or hardly anything, keeps the stream from being reset; 5 s later, that
// connection is closed.
func WithWriteTimeout(d time.Duration) Option {
	return func(c *settings) { c.WriteTimeout = d }
}

// WithFlushWindow lets a burst of events share flushes: the first event after a quiet
// period is sent at once, and those that follow within d of a flush wait for the end of
// that window, or until there are 32 KiB. The default is 1 ms. With zero or less, each
// event is flushed separately.
func WithFlushWindow(d time.Duration) Option {
	return func(c *settings) { c.FlushWindow = d }
}

// WithMaxDuration ends a session cleanly after at most d, and up to a tenth of d
// sooner, so that clients that came together do not leave together. A browser then
// reconnects, perhaps to another machine. Zero or less, the default, sets no limit.
func WithMaxDuration(d time.Duration) Option {
	return func(c *settings) { c.MaxDuration = d }
}

// WithExpiry ends a session cleanly with [ErrExpired] at the time that f returns, for
// example when the client's credential expires. f is called once, before the view runs. If
// that time has passed, the request is refused with 401. If the machine's clock is set
// forward, or the machine has slept, the session ends up to a minute late. The zero time sets
// no limit, and neither does a nil f, the default.
//
// ctx is the session's: it has the values of the request's context. Requests call f at the
// same time. If it panics, its request fails as if the view had panicked.
func WithExpiry(f func(ctx context.Context) time.Time) Option {
	return func(c *settings) { c.Expiry = f }
}

// WithRecheck asks f at intervals whether a session may continue, for example whether its
// client still has the right to. If f returns an error, the session ends cleanly with that
// error as its cause. The first time comes at a random time within d, so that clients that
// came together are not checked together, and the next one d after f has returned. With a d
// of zero or less or a nil f, the default, nothing is asked.
//
// f runs in a goroutine of its own, so a slow one delays nothing else. While it runs, the
// session continues and does not ask again, so f must limit its own time. ctx is the
// session's. When it ends, f must return soon, because the session waits for it. A panic of
// f fails the stream.
func WithRecheck(d time.Duration, f func(ctx context.Context) error) Option {
	var r *config.Recheck
	if d > 0 && f != nil {
		r = &config.Recheck{Every: min(d, math.MaxInt64/4), Ask: f}
	}
	return func(c *settings) { c.Recheck = r }
}

// WithGroup makes sessions members of g, which can limit, count and end them. It
// can be given several times. A nil Group does nothing.
func WithGroup(g *Group) Option {
	if g == nil {
		return func(*settings) {}
	}
	only := []config.Group{membership{g}} // sessions that have no other group share it
	return func(c *settings) {
		switch {
		case len(c.Groups) == 0:
			c.Groups = only
		case !slices.Contains(c.Groups, only[0]):
			c.Groups = append(slices.Clip(c.Groups), only[0])
		}
	}
}

// WithErrorEvent sends the event that f returns when the generator fails, and then ends
// the response cleanly instead of breaking it. It is up to f what the client learns of
// the error. If the event cannot be encoded, the response is broken after all. With a
// nil f, the default, no event is sent and the response is broken.
func WithErrorEvent(f func(error) Event) Option {
	return func(c *settings) { c.ErrorEvent = f }
}

// WithObserver tells o of each session: when it is refused, begins, writes and ends. It can
// be given several times; observers are told in the order of their options.
func WithObserver(o Observer) Option {
	one := []Observer{o} // sessions share it
	return func(c *settings) {
		if c.Observers == nil {
			c.Observers = one
		} else {
			c.Observers = append(slices.Clip(c.Observers), o)
		}
	}
}

// WithLogger writes a line to l for what an operator should know:
//
//   - a stream that has failed: an error, with how far it came
//   - a client that does not read: a warning
//   - a stream that another cause has ended, such as a middleware's deadline, the cause of
//     [Group.End] or the error of [WithRecheck]: at the level info
//   - a request that is refused: an error with status 500, because something is set up wrongly; a
//     warning with any other status from 500 on, or at the level info if that is for a
//     shutdown; and at the level debug with any other status
//
// Streams that end as they should, and clients that leave, have no lines. No line has an
// event's data, except what the generator's error says. What comes from the request, such as
// its path, is an attribute, which slog's handlers quote. The default, like a nil l, writes
// nothing.
func WithLogger(l *slog.Logger) Option {
	if l == nil {
		return nil
	}
	return WithObserver(logTo(l))
}

// WithCompression compresses a response with gzip if its client accepts that. Each event can be
// decoded as soon as it arrives, and what browsers, proxies and other clients are told at the
// end of a stream stays the same. A response to which the view or a middleware has given a
// Content-Encoding is left alone. It is off by default.
//
// A hub's events are compressed once for all clients, without memory for each, and kept with
// the event as long as the hub holds it. It pays for events of 200 bytes and more. A
// generator's stream takes 7 KiB, and 40 µs and 55 ns a byte for each write; events that resemble each other
// become several times smaller, even if they are short.
//
// Leave it off if a page that others may cause to be requested has a secret next to text that they
// choose: the size of what is compressed tells them how much both have in common (the BREACH
// attack). docs/compression.md says more.
func WithCompression() Option {
	return func(c *settings) { c.Compress = true }
}

// WithQueryID makes [LastEventID] return the URL's query parameter lastEventId if the
// request has no valid Last-Event-ID header. With it, a page can resume a stream that it
// opens again with a new EventSource, or with a polyfill that cannot set headers. The
// header has priority: a browser that reconnects sends a newer ID in it, to the same URL.
// It is off by default, because a URL that is copied or logged contains somebody else's
// position.
func WithQueryID() Option {
	return func(c *settings) { c.QueryID = true }
}

// WithDetach makes the session take the connection from the host when the view has
// returned and the first frame has been sent. Then the handler returns, and an open
// stream costs a sixth of the memory or less: one goroutine for a generator, and none
// for a hub's subscription that the view returns as it is. Under TLS it costs two fifths
// of the memory, or a quarter for a subscription, because crypto/tls keeps its own state.
// Outside Linux, and if a listener wraps its connections, each connection has one more
// goroutine, which reads.
//
// These are the differences:
//
//   - The generator must not use what hosts reuse after a handler has returned, such as a
//     *gin.Context, an echo.Context, or a *fiber.Ctx and every string that came from it:
//     pass it what it needs as values, and copy fiber's strings.
//   - Middlewares continue when the response has begun. An access log has the time of
//     the headers and the size of the first frame (on fiber, no size). A middleware's
//     writer does not see what comes after that.
//   - The generator's failure, or its panic with the stack, goes to the server's
//     ErrorLog (on fiber, to its log) and to [WithObserver], not to a recovery or an
//     error handler. A panic does not end the process.
//   - The server no longer knows these connections: its Shutdown ends their streams, but
//     does not wait for them as [Group.Shutdown] does, and [net/http.Server.Close] leaves
//     them alone.
//   - The end of the request's context, or of the server's BaseContext, no longer ends
//     the stream: use a [Group] or your own context for that.
//   - A heartbeat may come later by an eighth of its interval or by 100 ms, whichever is
//     less, because many sessions send theirs together.
//   - A [net.Conn] that a ConnContext or ConnState hook has kept no longer belongs to the
//     stream, and the last state that ConnState reports is StateHijacked.
//   - The connection is closed after the stream.
//
// The session stays in the handler if the connection is not available or is needed
// there: on HTTP/3, HTTP/2 and HTTP/1.0, on fiber with TLS, with a listener that wraps its
// connections or outside Linux, if a middleware compresses the response (unlike [WithCompression]), if the request's
// context has a deadline or, on fiber, is derived from c.Context(), or if a body has not
// been read to its end.
func WithDetach() Option {
	return func(c *settings) { c.Detach = true }
}
