package nethttpsse

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A conn is a host.Conn on a ResponseWriter. Writes and flushes go through the writer
// that the host gave. Deadlines are set on the server's own writer, because those of a
// middleware's writer may do nothing.
type conn struct {
	w      http.ResponseWriter
	chain  []http.ResponseWriter    // from w to the server's own
	pass   func() error             // flushes the writers above the server's own; nil if none can
	flush  func() error             // flushes the server's own
	server *http.ResponseController // of the server's own writer

	session *host.Session

	meter *meter // nil if no writer is above the server's own, or its fields are unknown
	sent  int64  // bytes that were written
	had   int64  // bytes that had reached the server's writer
	idle  int64  // bytes that a compressor sends when it has nothing to flush
	whole bool   // everything that was written has reached it unchanged

	breaks   breaking
	broken   atomic.Bool // the client must see a broken response
	aborted  time.Time   // when Abort was first called
	answered atomic.Bool // the client has received an answer instead of the stream
	held     error       // a middleware holds the response back
	netConn  net.Conn    // the connection of HTTP/1.0, if it is known
	http1    bool

	leftBody     bool          // net/http may wait for a body when the handler has returned
	writeTimeout time.Duration // the server's

	hijacker http.Hijacker // nil if the session stays in the handler
	detached bool
	logger   *log.Logger // the server's
}

// newConn refuses a writer that would hold the stream back, or could not break it. It returns
// another error if the response has begun.
func newConn(w http.ResponseWriter, r *http.Request) (*conn, error) {
	chain := chainOf(w)
	server := last(chain)
	c := &conn{w: w, chain: chain, whole: true, server: http.NewResponseController(server), http1: r.ProtoMajor == 1}
	meter := meterOf(server)
	if meter != nil && meter.begun() {
		return nil, errors.New("nethttpsse: the view has written a response and also returned a stream: return nil after an answer")
	}
	switch {
	case isServers(server):
	case flusher(server) == nil:
		return nil, refuse("a %T cannot flush, and would hold the stream back:", server)
	default:
		return nil, refuse("a %T hides the writer that it wraps, and might hold the stream back: give it an Unwrap method, or", server)
	}
	if c.flush = flusher(server); c.flush == nil {
		c.flush = func() error { return nil } // it does not buffer
	}
	for _, w := range chain[:len(chain)-1] {
		if c.pass = flusher(w); c.pass != nil {
			break
		}
	}

	// A writer with its own headers sends them when the handler has returned.
	const probe = "X-Accel-Buffering"
	w.Header().Set(probe, "no")
	defer w.Header().Del(probe)
	for i, below := range chain[1:] {
		if below.Header().Get(probe) == "" {
			return nil, refuse("a %T holds the headers back, and so the stream:", chain[i])
		}
	}
	if len(chain) > 1 {
		c.meter = meter
	}
	var err error
	c.breaks, err = breakingOf(server, r)
	return c, err
}

var errBroken = errors.New("nethttpsse: the stream has failed")

func refuse(format string, w http.ResponseWriter) error {
	return &core.RefusedError{
		Status: http.StatusInternalServerError,
		Err:    fmt.Errorf("nethttpsse: "+format+" take the route out of the middleware that made it", w),
	}
}

// A deadliner sets deadlines without the help of another writer.
type deadliner interface {
	SetReadDeadline(deadline time.Time) error
	SetWriteDeadline(deadline time.Time) error
}

type flushErrorer interface{ FlushError() error }

// flusher returns the function that flushes w itself, or nil.
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

// begin clears the server's own deadlines, which count from the request's start. A
// connection without deadlines is refused, because nothing could break the response.
func (c *conn) begin(srv *http.Server) error {
	if srv != nil {
		c.writeTimeout = srv.WriteTimeout
	}
	_ = c.server.SetReadDeadline(time.Time{})
	err := c.server.SetWriteDeadline(time.Time{})
	if err != nil && c.breaks == byDeadline && !errors.Is(err, net.ErrClosed) {
		return &core.RefusedError{
			Status: http.StatusInternalServerError,
			Err: fmt.Errorf("nethttpsse: the server's connections cannot set deadlines (%w), "+
				"which are needed to break a response: use a listener whose connections can", err),
		}
	}
	return nil
}

// Send implements [host.Conn].
func (c *conn) Send(f host.Frames) error {
	p := slices.Clip(f.Bytes()) // so that a middleware that appends to it gets a copy
	n, err := c.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err == nil && c.pass != nil {
		err = c.pass()
	}
	if err == nil && c.meter != nil {
		err = c.measure(len(p)) // before the flush, which would send the headers
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil && !c.answered.Load() {
		c.broken.Store(true)
	}
	return err
}

// measure checks that the bytes that were written and flushed have reached the server's
// own writer. A middleware's Write and Flush may return without an error and yet hold
// them back. Without a Content-Encoding all bytes must have arrived. With one of a
// middleware's, more must have arrived than a compressor sends when it has nothing to flush.
func (c *conn) measure(n int) error {
	first := c.sent == 0
	c.sent += int64(n)
	grown := c.grown()
	c.whole = c.whole && grown == int64(n)
	if n == 0 || c.arrived(grown) {
		if first && !c.whole && c.pass != nil {
			err := c.pass()
			c.idle = c.grown()
			return err
		}
		return nil
	}
	does := "holds the stream back"
	if c.session.Compresses() {
		does += " or compresses it again"
	}
	c.held = fmt.Errorf("nethttpsse: %s %s: take the route out of the middleware that made it", between(c.chain), does)
	c.session.CutAt(time.Now(), c.held)
	if !c.meter.begun() {
		c.answer(c.held.Error())
	}
	return c.held
}

// arrived reports whether what was written has reached the server's writer, of which grown bytes
// came now.
func (c *conn) arrived(grown int64) bool {
	if c.session.Compresses() {
		return c.whole // it must not be compressed again
	}
	return grown > c.idle && (c.had >= c.sent || c.encoded())
}

// grown returns how many bytes have reached the server's writer since the last call.
func (c *conn) grown() int64 {
	had := c.had
	c.had = c.meter.bytes()
	return c.had - had
}

func (c *conn) encoded() bool { return last(c.chain).Header().Get("Content-Encoding") != "" }

// direct reports whether no middleware's writer is between the handler and the server.
// It might hold the headers back.
func (c *conn) direct() bool { return between(c.chain) == "" }

// between names the writers of middlewares.
func between(chain []http.ResponseWriter) string {
	var names []string
	for _, w := range chain[:len(chain)-1] {
		switch name := reflect.TypeOf(w).String(); name {
		case "ginsse.writer", "*gin.responseWriter", "echosse.writer", "*echo5sse.writer", "*echo.Response": // the host's own
		default:
			names = append(names, "a "+name)
		}
	}
	return strings.Join(names, " or ")
}

// answer sends an answer instead of the stream, below the writers that hold it back.
// What they write when the handler has returned exceeds the Content-Length, so the
// server drops it. net/http then closes a connection of HTTP/1, so the
// client is told not to use it again.
func (c *conn) answer(text string) {
	w := last(c.chain)
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Transfer-Encoding", "Trailer", "Etag", "X-Accel-Buffering"} {
		h.Del(name)
	}
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.http1 {
		h.Set("Connection", "close")
	}
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, text+"\n")
	c.answered.Store(http.NewResponseController(w).Flush() == nil)
	_ = host.ResetOnClose(c.netConn, false)
}

// Abort implements [host.Conn]. On HTTP/2, a stream's reset waits behind what the client
// does not read. If it has not been sent after a while, hardly anything on the connection
// gets through, and the whole connection is closed.
func (c *conn) Abort() {
	const while = 5 * time.Second // longer than a busy server takes for the reset
	switch now := time.Now(); {
	case c.aborted.IsZero():
		c.aborted = now
	case c.breaks == byDeadline && now.Sub(c.aborted) >= while:
		if conn := blockedConnOf(last(c.chain)); conn != nil {
			host.Reset(conn)
			_ = conn.Close()
		}
	}
	c.breakOff()
}

// breakOff breaks the response.
func (c *conn) breakOff() {
	if c.answered.Load() {
		return
	}
	c.broken.Store(true)
	switch c.breaks {
	case byPipe:
		_ = pipeOf(last(c.chain))(errBroken)
	case byReset:
		streamOf(last(c.chain)).reset()
	case byDeadline, byNothing:
		_ = c.server.SetWriteDeadline(time.Unix(1, 0))
	}
}

// End implements [host.Conn]. The server ends the response when the handler has
// returned. Its own WriteTimeout applies to that, or if it has none, the session's. On
// HTTP/1, net/http lifts the deadline when the response has ended. On HTTP/2, only
// WriteByteTimeout ends a connection that cannot take the last frame.
func (c *conn) End() error {
	const least = 5 * time.Second // because the handler may return later
	limit := c.writeTimeout
	if limit <= 0 {
		limit = c.session.WriteTimeout()
	}
	if limit > 0 {
		_ = c.server.SetWriteDeadline(time.Now().Add(max(limit, least)))
	}
	return host.ResetOnClose(c.netConn, false) //nolint:wrapcheck // like that of a write
}

// serve runs the session, and then breaks the response if it must be broken.
func (c *conn) serve(s *host.Session, r *http.Request, stream core.Stream) (err error) {
	returned, exited := false, false
	unframed := !r.ProtoAtLeast(1, 1) || last(c.chain).Header().Get("Transfer-Encoding") == "identity" // a middleware's
	defer func() {
		if !returned {
			if v := recover(); v != nil {
				defer panic(v)
			} else { // runtime.Goexit, after which quic-go neither ends the response nor breaks it
				exited = c.breaks == byReset
			}
		}
		if c.detached {
			return
		}
		if c.leftBody {
			_ = c.server.SetReadDeadline(time.Unix(1, 0)) // nothing more is read from the connection
		}
		if !c.broken.Load() && !exited {
			if c.leftBody || c.hijacker != nil { // the response has Connection: close
				closeSlowly(last(c.chain))
			}
			return
		}
		c.breakOff()
		switch {
		case unframed:
			c.reset()
		case c.http1:
			c.failForGood()
		}
	}()
	c.session = s
	if unframed { // net/http closes the connection as soon as a write fails
		c.netConn = connOf(last(c.chain))
		_ = host.ResetOnClose(c.netConn, true)
	}
	err = s.Serve(c, stream)
	returned = true
	if c.held != nil {
		err = &core.StreamError{Err: c.held}
	}
	return err
}

// failForGood makes net/http notice that the response is broken, because a middleware may lift the
// deadline. A write fails before anything is sent, and all later ones do.
func (c *conn) failForGood() {
	if c.breaks == byDeadline && !c.answered.Load() {
		_, _ = io.WriteString(last(c.chain), ":")
		_ = c.flush()
	}
}

// reset breaks a response of HTTP/1.0, or another that ends when its connection does.
func (c *conn) reset() {
	if conn, _, err := c.server.Hijack(); err == nil {
		host.Reset(conn)
		_ = conn.Close()
	}
}
