package host_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// bodies are request bodies that come through a pipe. After the last write there is
// silence, unless the body ends.
var bodies = []struct {
	name   string
	send   func(w net.Conn)
	status int // of the refusal, or 0
	takes  time.Duration
}{
	{"nothing", func(w net.Conn) { _ = w.Close() }, 0, 0},
	{"all that may be left", func(w net.Conn) { send(w, host.MaxBody); _ = w.Close() }, 0, 0},
	{"a byte more", func(w net.Conn) { send(w, host.MaxBody+1) }, 413, 0},
	{"silence", func(net.Conn) {}, 408, host.BodyTimeout},
	{"silence after all that may be left", func(w net.Conn) { send(w, host.MaxBody) }, 408, host.BodyTimeout},
	{"a byte each second", func(w net.Conn) {
		for send(w, 1) {
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
		}
	}, 408, host.BodyTimeout},
}

func send(w io.Writer, n int) bool {
	_, err := io.WriteString(w, strings.Repeat("x", n))
	return err == nil
}

func TestDrainBody(t *testing.T) {
	for _, tt := range bodies {
		for _, deadlines := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, w := net.Pipe()
					var sending sync.WaitGroup
					defer sending.Wait()
					defer r.Close()
					sending.Go(func() { tt.send(w) })
					setDeadline := r.SetReadDeadline
					if !deadlines {
						setDeadline = func(time.Time) error { return errors.ErrUnsupported }
					}
					begin := time.Now()
					err := host.DrainBody(t.Context(), r, setDeadline)
					if got, want := status(err), tt.status; got != want {
						t.Errorf("got status %d (%v), want %d", got, err, want)
					}
					if got, want := time.Since(begin), tt.takes; got != want {
						t.Errorf("got %v, want %v", got, want)
					}
				})
			})
		}
	}
}

// If the session ends while the body is read, nothing waits any more.
func TestDrainBodyOfASessionThatEnds(t *testing.T) {
	for _, tt := range []struct {
		cause  error
		status int
	}{{core.ErrShutdown, 503}, {core.ErrClientGone, 408}, {errors.New("another"), 408}} {
		for _, deadlines := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r, w := net.Pipe()
				defer r.Close()
				defer w.Close()
				setDeadline := r.SetReadDeadline
				if !deadlines {
					setDeadline = func(time.Time) error { return errors.ErrUnsupported }
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(tt.cause) })
				begin := time.Now()
				err := host.DrainBody(ctx, r, setDeadline)
				if got, want := status(err), tt.status; got != want {
					t.Errorf("%v: got status %d (%v), want %d", tt.cause, got, err, want)
				}
				if got, want := time.Since(begin), time.Second; got != want {
					t.Errorf("%v: got %v, want %v", tt.cause, got, want)
				}
				var refused *core.RefusedError
				if errors.As(err, &refused) && (refused.RetryAfter > 0) != (tt.status == 503) {
					t.Errorf("%v: got a Retry-After of %v with status %d", tt.cause, refused.RetryAfter, tt.status)
				}
			})
		}
	}
}

// A body that cannot be read is a bad request, and a panic of its reader does not end the
// process.
func TestDrainBodyThatIsBroken(t *testing.T) {
	yes := func(time.Time) error { return nil }
	no := func(time.Time) error { return errors.ErrUnsupported }
	for _, setDeadline := range []func(time.Time) error{yes, no} {
		err := host.DrainBody(t.Context(), readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }), setDeadline)
		if got, want := status(err), 400; got != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got status %d (%v), want %d", got, err, want)
		}
	}
	err := host.DrainBody(t.Context(), readerFunc(func([]byte) (int, error) { panic("no") }), no)
	if got, want := status(err), 400; got != want {
		t.Errorf("got status %d (%v), want %d", got, err, want)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// status returns the status of a refusal, or 0.
func status(err error) int {
	refused, ok := err.(*core.RefusedError)
	if !ok {
		return 0
	}
	return refused.Status
}

// A reset does not look like the end of a response, whoever closes the connection.
func TestReset(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain":             func(c net.Conn) net.Conn { return c },
		"below others":      func(c net.Conn) net.Conn { return above{above{c}} },
		"embedded":          func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
		"embedded by one":   func(c net.Conn) net.Conn { return &struct{ net.Conn }{above{c}} },
		"below an embedder": func(c net.Conn) net.Conn { return above{struct{ net.Conn }{c}} },
	} {
		t.Run(name, func(t *testing.T) {
			if err := endOf(t, func(c net.Conn) { host.Reset(wrap(c)) }); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("Reset: got %v, want a reset", err)
			}
			resets := func(c net.Conn, on bool) {
				if err := host.ResetOnClose(wrap(c), on); err != nil {
					t.Errorf("ResetOnClose: %v", err)
				}
			}
			if err := endOf(t, func(c net.Conn) { resets(c, true); _ = c.Close() }); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("ResetOnClose: got %v, want a reset", err)
			}
			if err := endOf(t, func(c net.Conn) { resets(c, true); resets(c, false); _ = c.Close() }); !errors.Is(err, io.EOF) {
				t.Errorf("ResetOnClose, taken back: got %v, want a proper end", err)
			}
			if err := endOf(t, func(c net.Conn) {
				_ = c.Close()
				if host.ResetOnClose(wrap(c), false) == nil {
					t.Error("ResetOnClose: got no error for a connection that is closed")
				}
			}); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want a proper end", err)
			}
		})
	}
	for _, c := range []net.Conn{nil, struct{ net.Conn }{}} { // there is nothing to reset
		host.Reset(c)
		if err := host.ResetOnClose(c, true); err != nil {
			t.Errorf("ResetOnClose: %v", err)
		}
	}
}

// endOf returns the error with which such an end is seen by the client.
func endOf(t *testing.T, end func(net.Conn)) error {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String()) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	end(conn)
	_ = conn.Close()
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	_, err = client.Read(make([]byte, 1))
	return err
}

type above struct{ net.Conn }

func (a above) NetConn() net.Conn { return a.Conn }
