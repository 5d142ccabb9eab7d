package fasthost

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/netpoll"
)

// A conn is a host.Conn on fasthttp's connection. It writes the response itself, in
// chunks, or without them to a client of HTTP/1.0.
type conn struct {
	net.Conn

	head    []byte // the status line and the headers, until they are sent with the first frame
	chunked bool
	whole   bool // the response has come to a clean end
	slow    bool // the client has not read it

	// For a session that leaves its handler:
	own     net.Conn // the same socket, open when fasthttp has closed its own; nil once the session has taken it
	report  func(error)
	watched chan struct{} // closed when the goroutine that listens to the client has ended
}

// checkConn refuses a request without a connection to the client.
func (r *Request) checkConn() error {
	const instead = "serve this view with nethttpsse, on a server of net/http"
	ctx := r.Ctx
	if state := ctx.TLSConnectionState(); strings.HasPrefix(string(ctx.Request.Header.Protocol()), "HTTP/2") ||
		state != nil && state.NegotiatedProtocol == "h2" {
		return r.refuse("a stream over HTTP/2 shares its connection, and " + r.Adapter + " needs one for itself: " + instead)
	}
	if err := lift(ctx.Conn()); err != nil {
		return r.refuse(fmt.Sprintf("this request has no connection to stream to (%v), as with fiber's adaptor or on "+
			"AWS Lambda: %s", err, instead))
	}
	return nil
}

// lift clears the server's own deadlines, which count from the request's start. It
// returns an error if c is not a connection: adaptors have nil, a value whose methods
// panic, or one that drops what is written to it and is at its end.
func lift(c net.Conn) (err error) {
	if c == nil {
		return errors.New("it is nil")
	}
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%T is not a connection", c)
		}
	}()
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	if _, err := c.Read(nil); errors.Is(err, io.EOF) { // a read of nothing takes nothing from a connection
		return fmt.Errorf("%T is at its end", c)
	}
	return c.SetDeadline(time.Time{})
}

// takeOver takes the response over from fasthttp, which closes the connection
// when the handler has returned.
func (r *Request) takeOver() *conn {
	ctx := r.Ctx
	h := &ctx.Response.Header
	chunked := ctx.Request.Header.IsHTTP11()
	if chunked {
		h.SetContentLength(-1)
	} else {
		h.SetContentLength(-2) // until the connection closes
		h.Del(fasthttp.HeaderTransferEncoding)
		_ = host.ResetOnClose(ctx.Conn(), true)
	}
	h.Del(fasthttp.HeaderConnection) // in case the view has set one
	h.SetConnectionClose()
	s := &conn{Conn: ctx.Conn(), head: h.AppendBytes(make([]byte, 0, 512)), chunked: chunked}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		s.hangUp()
		closeHijacked(c)
	})

	// fasthttp's own response is not sent, but a middleware may keep it and answer another
	// request with it. It must not look like a whole stream without events, and it has no
	// cookies, which have been sent and which belong to one client.
	h.DelAllCookies()
	h.Del(fasthttp.HeaderContentEncoding)
	h.SetContentType("text/plain; charset=utf-8")
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.SetBodyString(r.Adapter + notKept)
	return s
}

const notKept = ": this was the response to another request, an event stream, which cannot be kept: " +
	"take the route out of the middleware that kept it\n"

// serve serves the session and returns its failure. The stream runs in another
// goroutine, because runtime.Goexit would end one of fasthttp's workers for good and
// leave the connection open. Meanwhile the handler's goroutine listens to the client. If
// the stream panics, so does the handler, and the stack goes to fiber's log.
func (s *conn) serve(r *Request, session *host.Session, stream core.Stream) error {
	var (
		ended    = make(chan struct{})
		err      error
		panicked *core.PanicError
	)
	go func() {
		returned := false
		defer func() {
			if !returned {
				panicked = &core.PanicError{Value: recover(), Stack: debug.Stack()} // nil after runtime.Goexit
			}
			_ = s.SetReadDeadline(time.Unix(1, 0)) // ends listen
			close(ended)
		}()
		err = session.Serve(s, stream)
		returned = true
	}()
	s.listen(netpoll.MaxInput, session.ClientGone)
	<-ended
	if panicked == nil {
		return err
	}
	r.reporter()(panicked)
	if panicked.Value != nil {
		panic(panicked.Value)
	}
	return &core.StreamError{Err: panicked}
}

// hasPeer reports whether the connection has another end that can close it. In
// fiber's App.Test it is a buffer, which is at its end before the handler begins.
func hasPeer(c net.Conn) bool {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	return !ok || addr.Port != 0
}

// listen calls gone and returns when the client leaves or the connection is closed. It
// also returns at the connection's read deadline, and when the client has sent most
// bytes.
func (s *conn) listen(most int, gone func()) {
	if !hasPeer(s.Conn) {
		return
	}
	var buf [64]byte
	for heard := 0; heard < most; {
		n, err := s.Read(buf[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			gone()
			return
		}
		heard += n
	}
}

// Send implements host.Conn.
func (s *conn) Send(f host.Frames) error {
	p := f.Bytes()
	if s.chunked {
		p = f.Chunk()
	}
	if s.head != nil {
		p = append(s.head, p...)
		s.head = nil
	}
	return s.write(p)
}

func (s *conn) write(p []byte) error {
	_, err := s.Write(p)
	s.slow = errors.Is(err, os.ErrDeadlineExceeded)
	return err
}

// End implements host.Conn.
func (s *conn) End() (err error) {
	if s.chunked {
		err = s.write([]byte(host.LastChunk))
	} else {
		err = host.ResetOnClose(s.Conn, false)
	}
	s.whole = err == nil
	return err //nolint:wrapcheck // like that of a write
}

// Abort implements host.Conn. It ends a write that is under way. The client sees that
// the response is broken because the last chunk is missing; see also hangUp.
func (s *conn) Abort() { _ = s.SetWriteDeadline(time.Unix(1, 0)) }

// closeHijacked closes what fasthttp gives to the function that has taken a connection over. It does
// nothing if fasthttp closes the connection itself, as it does without KeepHijackedConns.
func closeHijacked(c net.Conn) { _ = c.Close() }

// hangUp is called when the handler has returned and the connection is about to be
// closed. A client must get all of a whole response, whatever it sends meanwhile.
// For HTTP/1.0 a proper close means that the response is whole, so a broken one is
// reset, below TLS, which would send a proper end. A reset also frees the output that a
// slow client has not read.
func (s *conn) hangUp() {
	switch {
	case s.whole && hasPeer(s.Conn):
		host.Linger(s.Conn)
	case !s.whole && (!s.chunked || s.slow):
		host.Reset(s.Conn)
	}
}
