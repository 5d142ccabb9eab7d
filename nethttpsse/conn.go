package nethttpsse

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A conn is a core.Conn on a ResponseWriter. Bytes go through the writer that the
// host gave, and so does the flush. Deadlines are those of the server's own writer,
// since a middleware's may do nothing.
type conn struct {
	w      http.ResponseWriter
	flush  func() error
	server *http.ResponseController // of the last writer of the chain

	breaks breaking
	broken atomic.Bool // the client is to see a broken response
	held   error       // a middleware holds the response back

	leftBody     bool          // net/http may wait for a body when the handler has returned
	writeTimeout time.Duration // the server's

	hijacker http.Hijacker // nil if the session stays in the handler
	detached bool
	reporter reporter
}

// newConn refuses a writer that would hold the stream back, or could not break it.
func newConn(w http.ResponseWriter, r *http.Request) (*conn, error) {
	last := Unwrap(w)
	c := &conn{w: w, server: http.NewResponseController(last)}
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
	var err error
	c.breaks, err = breakingOf(last, r)
	return c, err
}

func refuse(format string, w http.ResponseWriter) error {
	return &core.RefusedError{
		Status: http.StatusInternalServerError,
		Err: fmt.Errorf("nethttpsse: "+format+", and would hold the stream back: "+
			"take the route out of the middleware that made it", w),
	}
}

// A deadliner sets deadlines itself.
type deadliner interface {
	SetReadDeadline(deadline time.Time) error
	SetWriteDeadline(deadline time.Time) error
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

// begin lifts the server's own deadlines, which count from the request's start. now
// is when the handler was called. A deadline that cannot be lifted ends the session.
func (c *conn) begin(s *core.Session, srv *http.Server, now time.Time) {
	if srv != nil {
		c.writeTimeout = srv.WriteTimeout
	}
	_ = c.server.SetReadDeadline(time.Time{})
	if err := c.server.SetWriteDeadline(time.Time{}); err != nil && c.writeTimeout > 0 {
		// It was set a little earlier, when the request had been read.
		s.CutAt(now.Add(c.writeTimeout-min(c.writeTimeout/10, time.Second)), core.ErrServerTimeout)
	}
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
	if err != nil {
		c.broken.Store(true)
	}
	return err
}

// Abort implements [core.Conn]. Where deadlines do not break the response, serve
// does.
func (c *conn) Abort() {
	c.broken.Store(true)
	_ = c.server.SetWriteDeadline(time.Unix(1, 0))
}

// End implements [core.Conn]. The server ends the response when the handler has
// returned; it gets its own patience for that, if it has one.
func (c *conn) End() error {
	if c.writeTimeout > 0 {
		_ = c.server.SetWriteDeadline(time.Now().Add(c.writeTimeout))
	}
	return nil
}

// serve runs the session, and sees to it that a response which is to be broken is.
func (c *conn) serve(s *core.Session, r *http.Request, stream core.Stream) (err error) {
	defer func() {
		if c.detached {
			return
		}
		if c.leftBody {
			_ = c.server.SetReadDeadline(time.Unix(1, 0)) // nothing more is read of its connection
		}
		if !c.broken.Load() {
			if c.leftBody || c.hijacker != nil { // the client has been told of a close
				closeSlowly(Unwrap(c.w))
			}
			return
		}
		c.Abort()
		if c.breaks == byPanic {
			// One recovery may take a panic of the stream's for one that it can answer.
			if v := recover(); v != nil {
				reporterOf(r).reportDetached(&core.PanicError{Value: v, Stack: debug.Stack()})
			} else if err != nil {
				logError(r, err)
			}
			panic(http.ErrAbortHandler)
		}
		if !r.ProtoAtLeast(1, 1) {
			c.reset()
		}
	}()
	err = s.Serve(c, stream)
	if c.held != nil {
		err = c.held
	}
	return err
}

// reset breaks a response of HTTP/1.0, whose end is that of the connection.
func (c *conn) reset() {
	if conn, _, err := c.server.Hijack(); err == nil {
		core.Reset(conn)
		_ = conn.Close()
	}
}
