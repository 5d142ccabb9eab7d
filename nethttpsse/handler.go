package nethttpsse

import (
	"errors"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A View is an ordinary handler that returns the stream to send. It returns nil
// if it has already answered the request, for example with [http.Error] or a redirect.
// If it answers and also returns a stream, the stream is not sent, and the mistake goes to
// the server's ErrorLog.
//
// The request's context is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to resume.
type View func(w http.ResponseWriter, r *http.Request) core.Stream

// Handler runs view and streams what it returns.
//
// If the stream fails, the error goes to the server's ErrorLog and to
// [core.WithObserver]. A request that is refused gets an answer in plain text.
//
// It panics if view is nil.
func Handler(view View, opts ...core.Option) http.Handler {
	if view == nil {
		panic("nethttpsse: Handler: the view is nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := Serve(w, r, func(r *http.Request) (core.Stream, error) {
			return view(w, r), nil
		}, opts...)
		if err == nil {
			return
		}
		var (
			failed  *core.StreamError
			refused *core.RefusedError
		)
		switch {
		case errors.As(err, &failed):
			logError(r, err)
		case errors.As(err, &refused):
			http.Error(w, refused.Answer(), refused.Status)
		default:
			logError(r, err)
		}
	})
}

// logError writes the failure of a request's stream to the server's ErrorLog.
func logError(r *http.Request, err error) {
	loggerOf(r).Print(host.FailureLine("nethttpsse", r.Method+" "+r.URL.Path, err))
}

func loggerOf(r *http.Request) *log.Logger {
	if srv := server(r); srv != nil && srv.ErrorLog != nil {
		return srv.ErrorLog
	}
	return log.Default()
}

// Serve runs view with a request whose context is the session's, and streams to
// w what view returns. It is for handlers with other signatures, and for the adapters
// of frameworks that build on net/http.
//
// A nil stream means that view has answered. If view has answered and also returns a stream,
// Serve returns an error that says so. An error from view is returned
// unchanged, and nothing has been written. A *[core.RefusedError] means that the stream
// could not begin: the caller answers with its status. A *[core.StreamError], which the
// caller checks for first, means that the stream has failed, or that a writer holds it
// back. By then the response has begun.
//
// Middlewares may have wrapped w, as long as the server's own writer can be found: by
// Unwrap methods, as with [http.ResponseController], or among the fields of writers that
// can flush. A writer that cannot flush, or that keeps the headers, would hold the
// stream back, so the request is refused. A writer that silently holds the stream back
// is noticed at the first flush that does not reach the server's own writer. Then the
// client gets 500, or a broken response if the headers are out, and Serve's error names
// the writer. A request is also refused if the server's writer has no way to break a
// response, because a stream that fails would look whole.
//
// r.Pattern is the session's [core.Request.Route], so an adapter sets it.
//
// If the request has a body, a refusal closes the connection, and does not wait for
// the part that the client has not sent.
//
// It panics if view is nil.
func Serve(
	w http.ResponseWriter, r *http.Request,
	view func(r *http.Request) (core.Stream, error), opts ...core.Option,
) error {
	if view == nil {
		panic("nethttpsse: Serve: the view is nil")
	}
	err := serve(w, r, view, opts)
	if err == nil {
		return nil
	}
	var (
		failed  *core.StreamError
		refused *core.RefusedError
	)
	if errors.As(err, &failed) || !errors.As(err, &refused) {
		return err
	}
	if refused.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(refused.RetryAfter.Seconds())))
	}
	if server := last(chainOf(w)); hasBody(server, r) {
		leaveBody(w, server)
	}
	return err
}

// route returns a pattern of http.ServeMux without its method.
func route(pattern string) string {
	if i := strings.IndexAny(pattern, " \t"); i > 0 && !strings.HasPrefix(pattern, "/") {
		return strings.TrimLeft(pattern[i:], " \t")
	}
	return pattern
}

func serve(
	w http.ResponseWriter, r *http.Request,
	view func(r *http.Request) (core.Stream, error), opts []core.Option,
) (err error) {
	srv := server(r)
	s, err := newSession(r, srv, opts)
	if err != nil {
		return err
	}
	served := false
	defer func() {
		if !served {
			s.Close(err)
		}
	}()

	stream, err := view(r.WithContext(s.Context()))
	if err != nil || stream == nil {
		return host.Answerable(err)
	}
	c, err := newConn(w, r)
	if err != nil {
		return err
	}
	drained, err := c.drain(s, r)
	if refused := s.Refused(); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	head := r.Method == http.MethodHead
	if head { // the server's WriteTimeout is right for it
		_ = c.server.SetReadDeadline(time.Time{}) // which drain may have set
	} else if err := c.begin(srv); err != nil {
		return err
	}
	h := w.Header()
	s.SetHeaders(h, strings.Join(r.Header.Values("Accept-Encoding"), ","))
	h.Del("Content-Length")
	h.Del("Transfer-Encoding") // net/http would end the response with the connection, so that a failure looks whole
	if head {
		w.WriteHeader(http.StatusOK)
		if c.breaks == byReset {
			_ = c.flush() // or quic-go adds Content-Length: 0
		}
		return nil
	}
	if drained && s.Detaches() {
		c.allowDetach(r)
	}
	if c.direct() {
		s.Direct(r.Method)
	}
	w.WriteHeader(http.StatusOK)
	served = true
	return c.serve(s, r, stream)
}

// newSession begins a session on a request. It is a function of its own so that its stack
// space is free while the stream lasts.
func newSession(r *http.Request, srv *http.Server, opts []core.Option) (*host.Session, error) {
	if srv != nil {
		opts = append(slices.Clip(opts), groupOf(srv))
	}
	s, err := host.NewSession(r.Context(), core.Request{
		RemoteAddr:  r.RemoteAddr,
		Method:      r.Method,
		Path:        r.URL.Path,
		Route:       route(r.Pattern),
		LastEventID: r.Header.Get("Last-Event-ID"),
	}, opts...)
	if err != nil {
		return nil, err
	}
	s.Query(func(name string) string { return r.URL.Query().Get(name) })
	return s, nil
}
