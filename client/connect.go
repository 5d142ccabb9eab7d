package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

const (
	lastEventID = "Last-Event-ID"
	mediaType   = "text/event-stream"

	// A connection that has lasted so long is a healthy one, whatever it brought.
	healthyAge = 30 * time.Second

	// How much is read of an answer that is no stream, and for how long.
	excerptSize = 1 << 10
	excerptTime = time.Second
)

// body returns a new reader of the request's body, or nil if it has none.
func (s *stream) body() (io.ReadCloser, error) {
	if !hasBody(s.req) {
		return nil, nil
	}
	body, err := s.req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("client: the request's GetBody: %w", err)
	}
	return body, nil
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// connect sends the request once, yields the events of the response, and returns
// why there are no more.
func (s *stream) connect(ctx context.Context, body io.ReadCloser) error {
	connection, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := s.exchange(ctx, s.request(connection, body), cancel)
	if cause := context.Cause(connection); errors.Is(cause, ErrIdle) && !errors.Is(err, errBroken) {
		return cause
	}
	return err
}

// exchange sends req, whose context cancel ends. The stream's own is ctx.
func (s *stream) exchange(ctx context.Context, req *http.Request, cancel context.CancelCauseFunc) error {
	headers := limit(s.headerTimeout(), cancel)
	res, err := s.client.Do(req)
	headers.stop()
	if res == nil {
		return fmt.Errorf("client: %w", err)
	}
	defer res.Body.Close()
	if res.Request == nil { // not every transport sets it
		res.Request = req
	}
	if err != nil { // a redirect that was not followed
		return refuse(res, ErrStatus, "%s: %v", status(res), err)
	}
	if err := inspect(res); err != nil {
		var refused *ResponseError
		if errors.As(err, &refused) {
			refused.Body = excerpt(res.Body, cancel)
		}
		return err
	}
	if s.connected != nil {
		facts := *res
		facts.Body = http.NoBody
		s.connected(&facts)
	}
	return s.read(ctx, &reader{body: res.Body, idle: limit(s.idleTimeout, cancel)})
}

// request returns what to send now.
func (s *stream) request(ctx context.Context, body io.ReadCloser) *http.Request {
	req := s.req.Clone(ctx)
	req.Body = body
	if req.Header == nil {
		req.Header = http.Header{}
	}
	for _, h := range [][2]string{
		{"Accept", mediaType},
		{"Accept-Encoding", "identity"}, // a compressor would hold events back
		{"Cache-Control", "no-cache"},
	} {
		if _, ok := req.Header[h[0]]; !ok {
			req.Header.Set(h[0], h[1])
		}
	}
	req.Header.Del(lastEventID)
	if id := s.parser.LastEventID; id != "" && legal(id) {
		req.Header.Set(lastEventID, id)
	}
	return req
}

// legal reports whether value can be that of a header.
func legal(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F })
}

// token reports whether s can be a method or the name of a header.
func token(s string) bool {
	const chars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, chars) == ""
}

// inspect returns what keeps a response from being a stream.
func inspect(res *http.Response) error {
	if res.StatusCode == http.StatusNoContent {
		return ErrStopped
	}
	if res.StatusCode != http.StatusOK {
		return refuse(res, ErrStatus, "%s", status(res))
	}
	kind := res.Header.Get("Content-Type")
	if name, _, _ := strings.Cut(kind, ";"); !strings.EqualFold(strings.TrimSpace(name), mediaType) {
		return refuse(res, ErrMediaType, "Content-Type is %q", kind)
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(res, ErrMediaType, "Content-Encoding is %q, which was not asked for", coding)
	}
	return nil
}

func status(res *http.Response) string {
	return fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// excerpt reads the first bytes of a body that may be slow, or have no end.
func excerpt(body io.Reader, cancel context.CancelCauseFunc) []byte {
	t := time.AfterFunc(excerptTime, func() { cancel(nil) })
	defer t.Stop()
	b, _ := io.ReadAll(io.LimitReader(body, excerptSize)) // what there is
	return b
}

// read yields events until there are no more. An event that came at the very end
// of the idle time has moved the last event ID, so it counts.
func (s *stream) read(ctx context.Context, r io.Reader) error {
	start := time.Now()
	defer func() { s.healthy = s.healthy || time.Since(start) >= healthyAge }()
	for e, err := range s.parser.Read(r) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		s.healthy = s.healthy || !aside(e)
		if !s.yield(e, nil) {
			return errBroken
		}
	}
	return ErrEnded
}

// aside reports whether e is one of those that only WithComments shows.
func aside(e core.Event) bool {
	rest := e
	rest.Comment, rest.Retry = "", 0
	return e != rest && rest == core.Event{}
}

// headerTimeout is how long the headers may take. Zero is no limit.
func (c *config) headerTimeout() time.Duration {
	if c.httpClient == nil || c.httpClient.Timeout <= 0 {
		return c.idleTimeout
	}
	if c.idleTimeout <= 0 {
		return c.httpClient.Timeout
	}
	return min(c.idleTimeout, c.httpClient.Timeout)
}

// An idler cancels a connection after d without a byte. It runs while something
// is waited for, so that a slow loop is not taken for a silent server.
type idler struct {
	d     time.Duration
	timer *time.Timer // nil without a limit
}

// limit returns an idler that runs.
func limit(d time.Duration, cancel context.CancelCauseFunc) idler {
	if d <= 0 {
		return idler{}
	}
	return idler{d, time.AfterFunc(d, func() { cancel(fmt.Errorf("%w for %v", ErrIdle, d)) })}
}

func (i idler) start() {
	if i.timer != nil {
		i.timer.Reset(i.d)
	}
}

func (i idler) stop() {
	if i.timer != nil {
		i.timer.Stop()
	}
}

// A reader reads a body and minds the time.
type reader struct {
	body io.Reader
	idle idler
}

func (r *reader) Read(p []byte) (int, error) {
	r.idle.start()
	defer r.idle.stop()
	return r.body.Read(p)
}
