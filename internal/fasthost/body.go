package fasthost

import (
	"bufio"
	"errors"
	"io"
	"net"
	"reflect"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/core/host"
)

// A body is a request's body that comes as a stream. It knows where the body ends.
// fasthttp's own reader does not: after the last chunk it reads what follows as another
// chunk, and if the client leaves it reports the end.
type body struct {
	io.Reader // fasthttp's

	ctx   *fasthttp.RequestCtx
	ended bool
}

// guardBody is called before the view runs. It returns nil if no body comes as a
// stream.
func guardBody(ctx *fasthttp.RequestCtx) *body {
	b := &body{Reader: ctx.Request.BodyStream(), ctx: ctx}
	if b.Reader == nil {
		return nil
	}
	if v := reflect.ValueOf(b.Reader); b.length() < 0 && v.Type().String() == "*fasthttp.requestStream" {
		// SetBodyStream has fasthttp use its reader for another request.
		own := reflect.New(v.Type().Elem())
		own.Elem().Set(v.Elem())
		b.Reader, _ = reflect.TypeAssert[io.Reader](own)
		ctx.Request.SetBodyStream(b, -1)
	}
	return b
}

func (b *body) length() int { return b.ctx.Request.Header.ContentLength() } // negative if the body comes in chunks

func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if b.short() {
			return n, io.ErrUnexpectedEOF
		}
		b.ended = true
	}
	return n, err //nolint:wrapcheck // a reader returns it unchanged
}

// short reports whether fasthttp's reader has read less than the Content-Length.
func (b *body) short() bool {
	v := reflect.Indirect(reflect.ValueOf(b.Reader))
	if v.Kind() != reflect.Struct {
		return false
	}
	had := v.FieldByName("totalBytesRead")
	return had.CanInt() && had.Int() < int64(b.length())
}

// drain reads the part of the body that the view has not read. all reports whether the
// body has been read to its end: perhaps not if the view has closed it.
func (b *body) drain(s *host.Session) (all bool, err error) {
	switch {
	case b == nil:
		return true, nil
	case b.ctx.Request.BodyStream() != nil:
		conn := b.ctx.Conn()
		if err := host.DrainBody(s.Context(), b, conn.SetReadDeadline); err != nil {
			return false, err
		}
		return true, conn.SetReadDeadline(time.Time{})
	case b.length() < 0:
		return b.ended, nil
	default:
		return len(b.ctx.Request.Body()) >= b.length(), nil
	}
}

// LeaveBody closes the connection after a refusal, because the request's body may not
// have been read to its end. fasthttp would close it at once. The kernel resets a
// connection that is closed with unread input, so the client might not get the answer.
// So the answer is sent here, and the client gets a moment to read it.
func LeaveBody(ctx *fasthttp.RequestCtx) {
	if ctx.Conn() == nil || !hasPeer(ctx.Conn()) {
		ctx.SetConnectionClose()
		return
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		defer closeHijacked(c)
		conn := ctx.Conn()
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		ctx.Response.Header.SetConnectionClose()
		w := bufio.NewWriter(conn)
		if ctx.Response.Write(w) != nil || w.Flush() != nil {
			return
		}
		host.Linger(conn)
	})
}
