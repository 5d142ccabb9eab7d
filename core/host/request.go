package host

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// maxKept bounds each of the texts that a session keeps of its request, in bytes.
const maxKept = 1 << 10

// A Header is a response's, such as an [net/http.Header].
type Header interface {
	Get(name string) string // the first value, or nothing
	Set(name, value string)
	Add(name, value string)
}

// SetHeaders sets the headers of an event stream. A Cache-Control that the view has set stays,
// and so does a Content-Type of an event stream.
//
// With [core.WithCompression] it also chooses the Content-Encoding, unless there is one. accept is
// the request's Accept-Encoding; if there are several lines, they are joined by commas. An
// adapter calls SetHeaders before Serve.
func (s *Session) SetHeaders(h Header, accept string) {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream") {
		h.Set("Content-Type", "text/event-stream; charset=utf-8") // without the charset, Python's requests reads Latin-1
	}
	h.Set("X-Accel-Buffering", "no") // or nginx buffers events
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	if !s.config.Compress || h.Get("Content-Encoding") != "" {
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if prefersGzip(accept) {
		h.Set("Content-Encoding", "gzip")
		if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
			h.Set("Etag", "W/"+tag) // a strong one is of the bytes that are sent (RFC 9110, section 8.8.1)
		}
		s.gzip = new(gzip)
	}
}

// Compresses reports whether the session compresses what it sends: SetHeaders has set a
// Content-Encoding.
func (s *Session) Compresses() bool { return s.gzip != nil }

// A requestContext is the parent of a session's context. It is the request's context
// without its end: the session ends its context itself, to give it a cause.
type requestContext struct {
	context.Context //nolint:containedctx // it is one itself
	session         *Session
}

func (requestContext) Done() <-chan struct{} { return nil }
func (requestContext) Err() error            { return nil }

func (c requestContext) Value(key any) any {
	if key == (config.SessionKey{}) {
		return (*guest)(c.session)
	}
	return c.Context.Value(key)
}

// valuesOf returns ctx without the outer layers that only cancel it. The two of net/http
// take half a kilobyte, and end with the handler.
func valuesOf(ctx context.Context) context.Context {
	for reflect.TypeOf(ctx) == cancelType {
		parent := reflect.ValueOf(ctx).Elem().FieldByName("Context") // embedded, so exported
		if !parent.IsValid() || parent.Kind() != reflect.Interface {
			break
		}
		ctx, _ = reflect.TypeAssert[context.Context](parent) //nolint:fatcontext // it gets less
	}
	return ctx
}

var cancelType = func() reflect.Type {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return reflect.TypeOf(ctx)
}()

// Query passes the parameters of the request's query to the session: get returns the first
// value for a name, or nothing. An adapter calls Query before the view runs, for
// [core.WithQueryID]. Without that option, get is not called.
func (s *Session) Query(get func(name string) string) {
	if s.config.QueryID && s.request.LastEventID == "" {
		id := cleanID(get("lastEventId"))
		s.timerMu.Lock()
		defer s.timerMu.Unlock()
		s.request.LastEventID = id
	}
}

// keep makes r what a session keeps of it.
func keep(r *core.Request) {
	r.LastEventID = cleanID(r.LastEventID)
	if i := slices.Index(methods, r.Method); i >= 0 {
		r.Method = methods[i]
	} else {
		r.Method = clipped(r.Method)
	}
	if r.Path == r.Route {
		r.Path = r.Route
	} else {
		r.Path = clipped(r.Path)
	}
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "QUERY", "HEAD"}

// clipped returns a copy of at most maxKept bytes of s, which may share its memory with all
// of the request's headers.
func clipped(s string) string { return strings.Clone(s[:min(len(s), maxKept)]) }

// cleanID returns id, or nothing if it cannot be the ID of an event.
func cleanID(id string) string {
	if len(id) > maxKept || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return ""
	}
	return id
}

// Refused returns why the response must not begin, or nil: the view, or what it subscribes
// to, has called [core.Refuse], a shutdown or a group has ended the session, or it has expired. The error is a
// *[core.RefusedError]. An adapter calls Refused when the view has returned a stream,
// before it sends anything.
func (s *Session) Refused() error {
	cause := context.Cause(s.ctx)
	if cause == nil {
		return s.expired()
	}
	if s.dismissed(cause) {
		return refusal(cause)
	}
	if refused, ok := errors.AsType[*core.RefusedError](cause); ok {
		return Answerable(refused)
	}
	if errors.Is(cause, core.ErrShutdown) {
		return refusal(core.ErrShutdown)
	}
	return nil
}
