package fibersse

import (
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
)

// A conn is a core.Conn on fasthttp's connection. It writes the response by
// itself, in chunks, or plainly to a client of HTTP/1.0.
type conn struct {
	net.Conn
	head    []byte // the status line and the headers, which go with the first frame
	chunked bool
	size    []byte      // a chunk's first line
	parts   [4][]byte   // what one write sends
	unsent  net.Buffers // what is left of parts; TCP takes them without a copy
	joined  []byte      // the same in one piece, for other connections
	watched chan struct{}
}

var (
	lineEnd   = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// newConn takes the response over from fasthttp, which closes the connection
// when the handler has returned. gone is called when the client leaves.
func newConn(c *fiber.Ctx, gone func()) *conn {
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

	s := &conn{
		Conn:    ctx.Conn(),
		head:    append([]byte(nil), h.Header()...),
		chunked: chunked,
	}
	_ = s.SetDeadline(time.Time{}) // the server's own count from the request's start
	if hasPeer(s.Conn) {
		s.watched = make(chan struct{})
		go s.watch(gone)
	}
	return s
}

// hasPeer reports whether there is somebody who can leave. The connection of
// [fiber.App.Test] is a buffer, which has ended before the handler begins.
func hasPeer(c net.Conn) bool {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	return !ok || addr.Port != 0
}

// watch reads until the client leaves or close is called. A client has nothing
// to say while the stream lasts; one that says too much is not watched.
func (s *conn) watch(gone func()) {
	defer close(s.watched)
	var buf [64]byte
	for range 1 << 10 {
		if _, err := s.Read(buf[:]); err != nil {
			gone()
			return
		}
	}
}

// close waits for the watcher's end.
func (s *conn) close() {
	if s.watched != nil {
		_ = s.SetReadDeadline(time.Unix(1, 0))
		<-s.watched
	}
}

// Send implements core.Conn.
func (s *conn) Send(p []byte) error {
	parts := s.parts[:0]
	if s.head != nil {
		parts = append(parts, s.head)
		s.head = nil
	}
	if s.chunked {
		s.size = append(strconv.AppendInt(s.size[:0], int64(len(p)), 16), lineEnd...)
		parts = append(parts, s.size, p, lineEnd)
	} else {
		parts = append(parts, p)
	}
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		s.unsent = parts
		_, err := s.unsent.WriteTo(tcp)
		return err
	}
	s.joined = s.joined[:0]
	for _, part := range parts {
		s.joined = append(s.joined, part...)
	}
	_, err := s.Write(s.joined)
	return err
}

// End implements core.Conn.
func (s *conn) End() error {
	if !s.chunked {
		return nil
	}
	_, err := s.Write(lastChunk)
	return err
}

// Abort implements core.Conn: no last chunk can follow, for fasthttp closes the
// connection.
func (s *conn) Abort() { _ = s.SetWriteDeadline(time.Unix(1, 0)) }
