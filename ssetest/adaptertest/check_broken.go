package adaptertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// closeWrite closes one half of a connection.
func closeWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite() //nolint:wrapcheck // the caller shows it
	}
	return errors.ErrUnsupported
}

// A client that closes its half of the connection has left, as far as the host can tell.
// Its response must not look whole.
func checkHalfClose(t testing.TB, h mounted) {
	if h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for HTTP/1 only")
	}
	for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
		for _, size := range []int{0, 1, 5} {
			name := fmt.Sprintf("%s, after %d events", proto, size)
			causes := make(chan error, 1)
			s := h.serve(t, map[string]View{"/": func(ctx context.Context, x Exchange) core.Stream {
				wait := idle(causes)(ctx, x)
				return func(yield func(core.Event, error) bool) {
					for _, e := range numbered(1, size) {
						yield(e, nil)
					}
					wait(yield)
				}
			}})
			got, err := s.readRaw("/", proto, size)
			if !strings.HasPrefix(got, ": ") || strings.Count(got, "id: ") != size {
				t.Errorf("%s: got %q, want %d events", name, got, size)
			}
			if !brokenOff(err) {
				t.Errorf("%s: a client that closes its half of the connection sees the end %v, want a broken response", name, err)
			}
			wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, name+": the end of the context"), core.ErrClientGone)
			wantCause(t, s.end().Cause, core.ErrClientGone)
		}
	}
}

// brokenOff reports whether err shows the client that the response is broken.
func brokenOff(err error) bool { return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) }

// readRaw reads the stream at path to its end, over a new connection. After this number
// of events it closes its half. The error is nil after a clean end: the last chunk, or
// with HTTP/1.0 the end of the connection.
func (s *server) readRaw(path, proto string, events int) (body string, err error) {
	s.t.Helper()
	conn := s.dial()
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET "+path+" "+proto+"\r\nHost: test\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("got status %d, want 200", resp.StatusCode)
	}
	var b strings.Builder
	in := bufio.NewReader(resp.Body)
	for blocks := -1; ; { // the first one is the opening
		line, err := in.ReadString('\n')
		b.WriteString(line)
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		if line == "\n" {
			if blocks++; blocks == events {
				if err := closeWrite(conn); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
}

// never is the number of events for a readRaw that does not close its half.
const never = -2

// On HTTP/1.0 a response ends with its connection. A proper end means that the stream is
// whole, so a stream that has failed ends with a reset.
func checkEndsHTTP10(t testing.TB, h mounted) {
	if h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for HTTP/1 only")
	}
	s := h.serve(t, failing(nil))
	const proto = "HTTP/1.0"
	for _, f := range failures {
		got, err := s.readRaw("/"+f.name, proto, never)
		if want := "id: 3\ndata: \n\n"; !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want %q at the end", f.name, got, want)
		}
		if !brokenOff(err) {
			t.Errorf("%s: the response on HTTP/1.0 ended with %v, want a reset", f.name, err)
		}
		if end := s.end(); !f.is(end.Err) {
			t.Errorf("%s: the observer was told %+v", f.name, end)
		}
		got, err = s.readRaw("/works", proto, never)
		if want := "data: yes\n\n"; !strings.HasSuffix(got, want) || err != nil {
			t.Errorf("got %q, %v on HTTP/1.0, want %q and a clean end", got, err, want)
		}
		s.end()
	}
}

// A stream that the client has not read in time ends with a reset, too.
func checkSlowHTTP10(t testing.TB, h mounted) {
	if h.protocol != HTTP1 && h.protocol != HTTP1TLS {
		t.Skip("for HTTP/1 only")
	}
	s := h.serveSite(t, &Site{
		Views: map[string]View{"/": func(context.Context, Exchange) core.Stream {
			return func(yield func(core.Event, error) bool) {
				e := core.Event{Data: strings.Repeat("x", 4<<10)}
				for yield(e, nil) {
				}
			}
		}},
		Options:    []core.Option{core.WithWriteTimeout(10 * time.Millisecond)},
		sendBuffer: 16 << 10,
	})
	conn := s.dial()
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	wantCause(t, s.end().Cause, core.ErrSlowClient)
	s.stop()                            // it waits for the handler
	n, err := io.Copy(io.Discard, conn) // there are none if the time is over before the first write
	if !brokenOff(err) {
		t.Errorf("the response on HTTP/1.0 ended with %v after %d bytes, want a reset", err, n)
	}
}
