package nethttpsse_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// Types of frames, and a flag, of HTTP/2 (RFC 9113, section 6).
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameWindowUpdate = 8

	ack = 1
)

// An http2Client is a client of HTTP/2 that reads only when it is told to.
type http2Client struct {
	net.Conn

	t *testing.T
}

// askHTTP2 requests a stream, whose client has room for window bytes of it.
func askHTTP2(t *testing.T, addr string, secure bool, window uint32) http2Client {
	t.Helper()
	conn, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // the test's own server
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := http2Client{conn, t}
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.send(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, window))
	c.send(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))
	var fields []byte // without Huffman codes or a table (RFC 7541, section 6.2.2)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
		for _, s := range f {
			if s == f[0] {
				fields = append(fields, 0)
			}
			fields = append(append(fields, byte(len(s))), s...) //nolint:gosec // it is short
		}
	}
	c.send(frameHeaders, 5, 1, fields) // the end of the request and of its headers
	return c
}

func (c http2Client) send(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	b := make([]byte, 4, 9+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // it is short
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	if _, err := c.Write(append(b, payload...)); err != nil {
		c.t.Fatal(err)
	}
}

// await reads frames until one of that kind and with these flags.
func (c http2Client) await(r *bufio.Reader, kind, flags byte) {
	c.t.Helper()
	for range 10_000 {
		var head [9]byte
		_, err := io.ReadFull(r, head[:])
		if err == nil {
			_, err = r.Discard(int(binary.BigEndian.Uint32(head[:]) >> 8))
		}
		if err != nil {
			c.t.Fatalf("no frame of type %d: %v", kind, err)
		}
		if head[3] == kind && head[4]&flags == flags {
			return
		}
	}
	c.t.Fatalf("no frame of type %d in 10,000", kind)
}

// flood is a stream as fast as its client, whose session may write for 100 ms.
func flood(closed chan<- core.Summary, group *core.Group) http.Handler {
	return nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for e := (core.Event{Data: strings.Repeat("x", 8<<10)}); yield(e, nil); { //nolint:revive // until the end
			}
		}
	}, core.WithWriteTimeout(100*time.Millisecond), core.WithGroup(group),
		core.WithObserver(core.Observer{Closed: func(_ context.Context, sum core.Summary) { closed <- sum }}))
}

// A client of HTTP/2 that does not read its connection, but leaves room in its windows, keeps
// the reset of the stream from being sent. The session ends all the same, and so do the
// shutdowns. A server that checks with pings whether the client is there does not help:
// every frame from the client counts as an answer.
func TestHTTP2ConnectionThatIsNotRead(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"TLS": true, "without TLS": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed, group := make(chan core.Summary, 1), new(core.Group)
			s := serveHTTP2(t, flood(closed, group), secure)
			askHTTP2(t, s.addr, secure, 1<<30)
			if sum := hosttest.ReceiveWithin(t, patience, closed, "the end of the session"); !errors.Is(sum.Cause, core.ErrSlowClient) {
				t.Errorf("got cause %v, want %v", sum.Cause, core.ErrSlowClient)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := errors.Join(group.Shutdown(ctx), s.server.Shutdown(ctx)); err != nil {
				t.Error(err)
			}
		})
	}
}

// If a client leaves no room for one stream, only that stream ends: the connection may have
// others.
func TestHTTP2StreamThatIsNotRead(t *testing.T) {
	for name, secure := range map[string]bool{"TLS": true, "without TLS": false} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan core.Summary, 1)
			c := askHTTP2(t, serveHTTP2(t, flood(closed, new(core.Group)), secure).addr, secure, 100)
			r := bufio.NewReader(c)
			c.await(r, frameReset, 0)
			hosttest.ReceiveWithin(t, patience, closed, "the end of the session")
			c.send(framePing, 0, 0, make([]byte, 8))
			c.await(r, framePing, ack)
		})
	}
}

// serveHTTP2 serves h on loopback until the test ends.
func serveHTTP2(t *testing.T, h http.Handler, secure bool) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		ln = tls.NewListener(ln, hosttest.ServerTLS())
	}
	return serveOn(t, ln, h, func(srv *http.Server) {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP2(secure)
		srv.Protocols.SetUnencryptedHTTP2(!secure)
		srv.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * patience}
	})
}

// A noted listener's connections send the write deadline that they have when the end of a
// response is written: its last chunk, or a head without a body.
type noted struct {
	net.Listener

	deadlines chan<- time.Time
}

func (l noted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := &notedConn{Conn: c, deadlines: l.deadlines}
	n.deadline.Store(new(time.Time))
	return n, nil
}

type notedConn struct {
	net.Conn

	deadline  atomic.Pointer[time.Time]
	deadlines chan<- time.Time
}

func (c *notedConn) SetWriteDeadline(deadline time.Time) error {
	c.deadline.Store(&deadline)
	return c.Conn.SetWriteDeadline(deadline)
}

func (c *notedConn) SetDeadline(deadline time.Time) error {
	c.deadline.Store(&deadline)
	return c.Conn.SetDeadline(deadline)
}

func (c *notedConn) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte("\r\n\r\n")) {
		c.deadlines <- *c.deadline.Load()
	}
	return c.Conn.Write(p)
}

// The end of a response may be what the client has no room for. It is written when the
// handler has returned, so the session does not see that; the connection's deadline does.
func TestEndHasADeadline(t *testing.T) {
	for _, tt := range []struct {
		name           string
		method         string
		server         time.Duration
		opts           []core.Option
		atLeast, until time.Duration // 0 means none
	}{
		{"the default", "GET", 0, nil, 5 * time.Second, 30 * time.Second},
		{"a short one", "GET", 0, []core.Option{core.WithWriteTimeout(time.Second)}, time.Second, 5 * time.Second},
		{"the server's", "GET", time.Hour, nil, 30 * time.Minute, time.Hour},
		{"the server's, a short one", "GET", 10 * time.Millisecond, nil, time.Second, 5 * time.Second},
		{"none", "GET", 0, []core.Option{core.WithWriteTimeout(0)}, 0, 0},
		{"a head", "HEAD", time.Hour, nil, 30 * time.Minute, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			deadlines := make(chan time.Time, 1)
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
			if err != nil {
				t.Fatal(err)
			}
			serveOn(t, noted{ln, deadlines}, nethttpsse.Handler(view, tt.opts...), func(srv *http.Server) { srv.WriteTimeout = tt.server })
			begin := time.Now()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+ln.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := hosttest.Do(t, r); got.Broken || got.Status != http.StatusOK {
				t.Errorf("got %+v, want a whole response", got)
			}
			deadline := hosttest.ReceiveWithin(t, patience, deadlines, "the end of the response")
			switch {
			case tt.until == 0:
				if !deadline.IsZero() {
					t.Errorf("got the deadline %v, want none", deadline)
				}
			case deadline.Before(begin.Add(tt.atLeast)), deadline.After(time.Now().Add(tt.until)):
				t.Errorf("got a deadline %v after the request, want %v to %v", deadline.Sub(begin), tt.atLeast, tt.until)
			}
		})
	}
}
