package nethttpsse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A conn is a core.Conn on a ResponseWriter. Bytes go through the writer that the
// host gave, and so does the flush.
type conn struct {
	w       http.ResponseWriter
	flush   func() error
	control *http.ResponseController
	held    error // a middleware holds the response back
	stuck   bool  // Abort could not reach the connection

	writeTimeout time.Duration // the server's

	hijacker http.Hijacker // nil if the session stays in the handler
	reporter reporter
}

// newConn refuses a writer that would hold the stream back.
func newConn(w http.ResponseWriter) (*conn, error) {
	c := &conn{w: w, control: http.NewResponseController(w)}
	last := Unwrap(w)
	bottom := flusher(last)
	if bottom == nil {
		return nil, refuse("a %T cannot flush", last)
	}
	c.flush = bottom
	for next := w; next != last; next = unwrap(next) {
		if flush := flusher(next); flush != nil {
			c.flush = flush
			if _, ok := next.(flushErrorer); !ok { // only the bottom tells of errors
				c.flush = func() error { return errors.Join(flush(), bottom()) }
			}
			break
		}
	}

	// A writer with headers of its own sends them when the handler has returned.
	const probe = "X-Accel-Buffering"
	w.Header().Set(probe, "no")
	shared := last.Header().Get(probe) != ""
	w.Header().Del(probe)
	if !shared {
		return nil, refuse("a %T holds the headers back", w)
	}
	return c, nil
}

func refuse(format string, w http.ResponseWriter) error {
	return &core.RefusedError{
		Status: http.StatusInternalServerError,
		Err: fmt.Errorf("nethttpsse: "+format+", and would hold the stream back: "+
			"take the route out of the middleware that made it", w),
	}
}

type flushErrorer interface{ FlushError() error }

// flusher returns what flushes w itself, or nil.
func flusher(w http.ResponseWriter) func() error {
	switch f := w.(type) {
	case flushErrorer:
		return f.FlushError
	case http.Flusher:
		return func() error { f.Flush(); return nil }
	default:
		return nil
	}
}

// Unwrap returns the writer that the chain of Unwrap methods ends with: the
// server's own.
func Unwrap(w http.ResponseWriter) http.ResponseWriter {
	for next := w; next != nil; next = unwrap(next) {
		w = next
	}
	return w
}

func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}

// drain reads what the view has left of a request's body, up to a bound: HTTP/1.1
// notices that the client leaves only when the body is read to its end. A body
// that does not come is refused, for net/http would wait for it before it sends
// the headers. It reports whether that was all. ctx is the session's.
func (c *conn) drain(ctx context.Context, r *http.Request) (all bool, err error) {
	const (
		most     = 1 << 20
		patience = 5 * time.Second
	)
	if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody {
		return true, nil
	}
	_ = c.control.SetReadDeadline(time.Now().Add(patience))
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = c.control.SetReadDeadline(time.Unix(1, 0))
	})
	_, err = io.CopyN(io.Discard, r.Body, most)
	if !stop() {
		<-stopped // for the writer is not ours any more when the handler has returned
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, &core.RefusedError{
			Status: http.StatusRequestTimeout,
			Err:    errors.New("nethttpsse: the request's body has not come to its end"),
		}
	}
	return errors.Is(err, io.EOF), nil
}

// begin lifts the server's own deadlines, which count from the request's start.
func (c *conn) begin(srv *http.Server) {
	if srv != nil {
		c.writeTimeout = srv.WriteTimeout
	}
	_ = c.control.SetReadDeadline(time.Time{})
	_ = c.control.SetWriteDeadline(time.Time{})
}

// Send implements [core.Conn].
func (c *conn) Send(f core.Frames) error {
	p := f.Bytes()
	n, err := c.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = c.flush()
	}
	if errors.Is(err, http.ErrNotSupported) {
		c.held = err
	}
	return err
}

// Abort implements [core.Conn]. A write deadline in the past makes HTTP/1.1 end
// without its last chunk and HTTP/2 reset the stream, whatever the middlewares
// do on the way out.
func (c *conn) Abort() {
	c.stuck = c.control.SetWriteDeadline(time.Unix(1, 0)) != nil
}

// End implements [core.Conn]. The server ends the response when the handler has
// returned; it gets its own patience for that, if it has one.
func (c *conn) End() error {
	if c.writeTimeout > 0 {
		_ = c.control.SetWriteDeadline(time.Now().Add(c.writeTimeout))
	}
	return nil
}

// finish turns what the session returned into what Serve returns.
func (c *conn) finish(r *http.Request, err error) error {
	if c.held != nil {
		c.Abort()
		err = c.held
	}
	if c.stuck && server(r) != nil { // a test has nobody who would recover
		if err != nil {
			logError(r, err)
		}
		panic(http.ErrAbortHandler)
	}
	return err
}
