package fibersse

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
)

// A conn is a core.Conn on fasthttp's connection. It writes the response by
// itself, in chunks, or plainly to a client of HTTP/1.0.
type conn struct {
	net.Conn

	head    []byte // the status line and the headers, until the first frame has taken them along
	chunked bool
	watched chan struct{}

	// For a session that leaves its handler:
	own    net.Conn // the same socket, which stays open when fasthttp closes its connection; nil once it is the session's
	report func(error)
}

// takeOver takes the response over from fasthttp, which closes the connection
// when the handler has returned.
func takeOver(c *fiber.Ctx) *conn {
	ctx := c.Context()
	h := &ctx.Response.Header
	chunked := ctx.Request.Header.IsHTTP11()
	if chunked {
		h.SetContentLength(-1)
	} else {
		h.SetContentLength(-2) // until the connection closes
		h.Del(fiber.HeaderTransferEncoding)
	}
	h.SetConnectionClose()
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(net.Conn) {})
	_ = ctx.Conn().SetDeadline(time.Time{}) // the server's own count from the request's start
	return &conn{Conn: ctx.Conn(), head: h.AppendBytes(make([]byte, 0, 512)), chunked: chunked}
}

// hasPeer reports whether there is somebody who can leave. The connection of
// [fiber.App.Test] is a buffer, which has ended before the handler begins.
func (s *conn) hasPeer() bool {
	addr, ok := s.RemoteAddr().(*net.TCPAddr)
	return !ok || addr.Port != 0
}

// mostHeard is how many bytes of input are read and dropped. A client has nothing
// to say while the stream lasts; one that says more is not watched any more.
const mostHeard = 64 << 10

// watch calls gone when the client leaves, or the connection is closed, until
// unwatch is called or more than most bytes of input have come.
func (s *conn) watch(most int, gone func()) {
	if !s.hasPeer() {
		return
	}
	s.watched = make(chan struct{})
	go func() {
		defer close(s.watched)
		var buf [64]byte
		for heard := 0; heard < most; {
			n, err := s.Read(buf[:])
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded): // unwatch
				return
			case err != nil:
				gone()
				return
			}
			heard += n
		}
	}()
}

// unwatch waits for the watcher's end.
func (s *conn) unwatch() {
	if s.watched != nil {
		_ = s.SetReadDeadline(time.Unix(1, 0))
		<-s.watched
	}
}

// Send implements core.Conn.
func (s *conn) Send(f core.Frames) error {
	p := f.Bytes()
	if s.chunked {
		p = f.Chunk()
	}
	if s.head != nil {
		p = append(s.head, p...)
		s.head = nil
	}
	_, err := s.Write(p)
	return err
}

// End implements core.Conn.
func (s *conn) End() error {
	if !s.chunked {
		return nil
	}
	_, err := s.Write([]byte(core.LastChunk))
	return err
}

// Abort implements core.Conn: no last chunk can follow, for fasthttp closes the
// connection.
func (s *conn) Abort() { _ = s.SetWriteDeadline(time.Unix(1, 0)) }
