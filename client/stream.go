package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/mediatype"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// Stream sends req and yields the events of the response, and those of the
// responses after it: when a connection ends, it waits (see [WithBackoff]) and
// sends req again with the last event ID.
//
// The last element is an error that says why the stream has ended:
//
//   - the cause of req's context, if that has ended
//   - [ErrStopped]
//   - a [*ResponseError], which matches [ErrStatus] or [ErrMediaType]
//   - [core.ErrEventTooLarge]
//   - an error about req, such as its URL, method or headers, before anything is sent
//   - a failure that [WithRetryPolicy] does not retry
//   - with [WithOnce], any failure, and [ErrEnded] if the response is not whole
//
// A loop that breaks gets no error, and [WithOnce] has an end without one. In any case
// the response is closed by then.
//
// Accept, Cache-Control and Accept-Encoding (identity) are set unless req has
// them. If req's Accept-Encoding is there and nil, net/http asks for gzip, and decodes each event
// as it arrives, if the server flushes it. Last-Event-ID is set if there is an ID and a header can carry it: one with
// control characters cannot be sent. A body is sent again each time, so req needs a
// GetBody; [http.NewRequest] sets it for a [bytes.Buffer], a [bytes.Reader] and a
// [strings.Reader]. req.Body itself is neither read nor closed, except with [WithOnce] if there is no
// GetBody. Redirects are
// followed as net/http does, which turns a POST into a GET after 301, 302 and 303.
//
// req is not changed, and must not be changed while the stream is read. Each range over
// the stream is a separate client and begins from the start.
func Stream(req *http.Request, opts ...Option) core.Stream {
	c := newConfig(opts)
	return func(yield func(core.Event, error) bool) {
		if err := check(req, &c); err != nil {
			yield(core.Event{}, err)
			return
		}
		client, done := c.client()
		defer done()

		s := stream{
			config: &c,
			client: client,
			req:    req,
			parser: core.Parser{
				MaxEventSize: c.maxEventSize,
				Comments:     c.comments,
				Positions:    c.positions,
				LastEventID:  c.lastEventID,
				Retry:        c.reconnect,
			},
			yield: yield,
		}
		if s.parser.LastEventID == "" {
			s.parser.LastEventID = req.Header.Get(lastEventID)
		}
		if err := s.run(req.Context()); !errors.Is(err, errBroken) {
			yield(core.Event{}, err)
		}
	}
}

// check returns an error if the request can never be sent.
func check(req *http.Request, c *config) error {
	switch {
	case req == nil:
		return errors.New("client: the request is nil")
	case req.URL == nil || !reachable(req.URL):
		return fmt.Errorf("client: the request's URL is %q: it needs a scheme, http or https, and a host", urlOf(req))
	case req.RequestURI != "":
		return errors.New("client: the request was received by a server (it has a RequestURI): make a new one")
	case hasBody(req) && req.GetBody == nil && !c.once:
		return errors.New("client: the request has a Body and no GetBody, so it cannot be sent again: set GetBody, or use WithOnce")
	case !legal(c.lastEventID):
		return fmt.Errorf("client: the last event ID %q contains control characters, which a header cannot carry", c.lastEventID)
	case req.Method != "" && !mediatype.Token(req.Method):
		return fmt.Errorf("client: the request's method %q is not valid", req.Method)
	case !legal(strings.ReplaceAll(req.URL.RequestURI(), "\t", "\n")): // no tab either
		return errors.New("client: the request's URL contains control characters: escape them")
	}
	if err := checkFields("header", req.Header); err != nil {
		return err
	}
	return checkFields("trailer", req.Trailer)
}

// checkFields returns an error if net/http would not send a field. The error does not
// show the value, because that may be a secret.
func checkFields(kind string, fields http.Header) error {
	for name, values := range fields {
		if !mediatype.Token(name) {
			return fmt.Errorf("client: the request's %s name %q is not valid", kind, name)
		}
		if slices.ContainsFunc(values, func(v string) bool { return !legal(v) }) {
			return fmt.Errorf("client: the value of the request's %s %q contains control characters: "+
				"if it ends with a line end, trim it", kind, name)
		}
	}
	return nil
}

// reachable reports whether a request can be sent to u at all.
func reachable(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func urlOf(req *http.Request) string {
	if req.URL == nil {
		return ""
	}
	return req.URL.Redacted()
}

// A stream is one range over a Stream.
type stream struct {
	*config

	client *http.Client
	req    *http.Request
	parser core.Parser // for all connections
	yield  func(core.Event, error) bool

	healthy bool // the connection has shown that the server works
	dead    bool // the last connection was given up with ErrIdle
}

// errBroken means that nothing more is yielded: yield returned false, or the stream is
// complete.
var errBroken = errors.New("client: the loop has ended")

// run connects until there is a reason not to, which it returns.
func (s *stream) run(ctx context.Context) error {
	for failures := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		body, err := s.body()
		if err != nil {
			return err
		}
		s.healthy = false
		err = s.connect(ctx, body)
		switch {
		case errors.Is(err, errBroken):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case final(err):
			return err
		case s.once:
			return s.end(err)
		}

		if s.healthy {
			failures = 0
		}
		failures++
		if !s.retry(err, failures) {
			return err
		}
		wait := s.wait(s.parser.Retry, err, failures)
		if s.disconnected != nil {
			s.disconnected(err, wait)
		}
		pause.For(ctx, wait)
		if s.dead = errors.Is(err, ErrIdle); s.dead {
			s.client.CloseIdleConnections() // HTTP/2 would send the next request over the same dead connection
		}
	}
}

// end returns the error with which a stream of one response ends.
func (s *stream) end(err error) error {
	switch {
	case !errors.Is(err, ErrEnded):
		return err
	case s.parser.Incomplete:
		return fmt.Errorf("%w in the middle of an event: %w", ErrEnded, io.ErrUnexpectedEOF)
	case s.done == "":
		return errBroken
	}
	return fmt.Errorf("%w without the event %q", ErrEnded, s.done)
}
