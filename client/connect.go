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
	"github.com/yieldsse/yieldsse/internal/mediatype"
)

const (
	lastEventID = "Last-Event-ID"

	// A connection that has lasted this long is healthy, whatever it brought.
	healthyAge = 30 * time.Second

	// How much is read of an answer that is not a stream, how long a silence ends the
	// reading, and how long the reading may take.
	refusedSize    = 1 << 20
	refusedSilence = time.Second
	refusedTime    = 10 * time.Second
)

// body returns the body to send, or nil if the request has none.
func (s *stream) body() (io.ReadCloser, error) {
	switch {
	case !hasBody(s.req):
		return nil, nil
	case s.once && s.req.GetBody == nil:
		return s.req.Body, nil
	}
	body, err := s.req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("client: the request's GetBody: %w", err)
	}
	return body, nil
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// connect sends the request once, yields the events of the response, and returns
// the reason for its end.
func (s *stream) connect(ctx context.Context, body io.ReadCloser) error {
	connection, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := s.exchange(ctx, s.request(connection, body), cancel)
	if cause := context.Cause(connection); errors.Is(cause, ErrIdle) && !errors.Is(err, errBroken) {
		return cause
	}
	return err
}

// exchange sends req. cancel ends the request's context, and ctx is the stream's.
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
		if refused, ok := errors.AsType[*ResponseError](err); ok {
			refused.Body = rest(res.Body, cancel)
		}
		return err
	}
	if s.connected != nil {
		facts := *res
		facts.Body = http.NoBody
		s.connected(&facts)
	}
	return s.read(ctx, res, &reader{body: res.Body, idle: limit(s.idleTimeout, cancel)})
}

// request returns the next request.
func (s *stream) request(ctx context.Context, body io.ReadCloser) *http.Request {
	req := s.req.Clone(ctx)
	req.Body = body
	req.Close = req.Close || s.dead // so that no transport uses that connection again
	if req.Header == nil {
		req.Header = http.Header{}
	}
	for _, h := range [][2]string{
		{"Accept", mediatype.EventStream},
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

// legal reports whether a header can have this value.
func legal(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F })
}

// inspect returns an error if a response is not a stream.
func inspect(res *http.Response) error {
	if res.StatusCode == http.StatusNoContent {
		return ErrStopped
	}
	if res.StatusCode != http.StatusOK {
		return refuse(res, ErrStatus, "%s", status(res))
	}
	if kind, _ := mediatype.Of(res.Header.Values("Content-Type")); kind != mediatype.EventStream {
		return refuse(res, ErrMediaType, "Content-Type is %q", strings.Join(res.Header.Values("Content-Type"), ", "))
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(res, ErrMediaType, "Content-Encoding is %q, which was not asked for", coding)
	}
	return nil
}

func status(res *http.Response) string {
	return fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// rest reads the body of a refusal, which may be slow or endless.
func rest(body io.Reader, cancel context.CancelCauseFunc) []byte {
	t := time.AfterFunc(refusedTime, func() { cancel(nil) })
	defer t.Stop()
	quiet := idler{refusedSilence, time.AfterFunc(refusedSilence, func() { cancel(nil) })}
	b, _ := io.ReadAll(io.LimitReader(&reader{body: body, idle: quiet}, refusedSize)) // as much as there is
	return b
}

// read yields events until there are no more. An event that comes at the very end of the
// idle time has changed the last event ID, so it is yielded.
func (s *stream) read(ctx context.Context, res *http.Response, r io.Reader) error {
	start := &beginning{from: r, until: time.Now().Add(healthyAge)}
	defer func() { s.healthy = s.healthy || start.over() }()
	for e, err := range s.parser.Read(start) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, core.ErrNotStream):
			return s.notStream(res, start)
		case err != nil:
			return err
		}
		start.done = true
		s.healthy = s.healthy || !aside(e)
		if s.once && s.done != "" && e.Data == s.done || !s.yield(e, nil) {
			return errBroken
		}
	}
	return ErrEnded
}

// notStream returns the error for a response that had lines, but no field. If it lasted, its
// unknown lines were heartbeats, and it has just ended, so the client connects again. If it
// does not connect again, the response may have been an error that came late.
func (s *stream) notStream(res *http.Response, b *beginning) error {
	if b.over() && !s.once {
		return ErrEnded
	}
	err := refuse(res, ErrMediaType, "Content-Type is %q, but the body is not an event stream", res.Header.Get("Content-Type"))
	err.Body = b.bytes
	return err
}

// A beginning keeps the first bytes of a body, in case it is not a stream.
type beginning struct {
	from  io.Reader
	bytes []byte
	until time.Time
	done  bool // the bytes are no longer needed
}

func (b *beginning) over() bool { return !time.Now().Before(b.until) }

func (b *beginning) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if room := refusedSize - len(b.bytes); !b.done && room > 0 && n > 0 {
		b.bytes = append(b.bytes, p[:min(n, room)]...)
		b.done = b.over()
	}
	if b.done {
		b.bytes = nil
	}
	return n, err
}

// aside reports whether e is shown only because of WithComments.
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

// An idler cancels a connection after d without a byte. It runs only during reads, so
// that a slow loop does not look like a silent server.
type idler struct {
	d     time.Duration
	timer *time.Timer // nil without a limit
}

// limit returns a running idler.
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

// A reader reads a body with an idle timeout.
type reader struct {
	body io.Reader
	idle idler
}

func (r *reader) Read(p []byte) (int, error) {
	r.idle.start()
	defer r.idle.stop()
	return r.body.Read(p)
}
