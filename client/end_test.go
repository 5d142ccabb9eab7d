package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The end of a context ends the stream at once, whatever it is doing, with the cause.
func TestCancel(t *testing.T) {
	wanted := errors.New("enough")
	silent := func(reached chan<- struct{}, first string) func(t *testing.T) (string, []client.Option) {
		return func(t *testing.T) (string, []client.Option) {
			t.Helper()
			return serveRaw(t, func(c net.Conn) {
				_, _ = io.WriteString(c, first)
				reached <- struct{}{}
				_, _ = io.Copy(io.Discard, c) // until the client leaves
			}).url, nil
		}
	}
	stages := []struct {
		name  string
		setUp func(reached chan<- struct{}) func(*testing.T) (url string, opts []client.Option)
		want  int // events
	}{
		{"dial", func(reached chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return func(t *testing.T) (string, []client.Option) {
				t.Helper()
				before := http.DefaultTransport
				t.Cleanup(func() { http.DefaultTransport = before })
				http.DefaultTransport = &http.Transport{
					DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
						reached <- struct{}{}
						<-ctx.Done()
						return nil, ctx.Err()
					},
				}
				return "http://127.0.0.1:1/", nil
			}
		}, 0},
		{"the TLS handshake", func(reached chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return func(t *testing.T) (string, []client.Option) {
				t.Helper()
				return "https://" + listen(t, func(c net.Conn) {
					reached <- struct{}{}
					_, _ = io.Copy(io.Discard, c) // until the client leaves
				}), nil
			}
		}, 0},
		{"a server that never answers", func(r chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return silent(r, "")
		}, 0},
		{"half of the headers", func(r chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return silent(r, ok[:30])
		}, 0},
		{"the body", func(r chan<- struct{}) func(t *testing.T) (string, []client.Option) { return silent(r, ok) }, 0},
		{"half of an event", func(r chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return silent(r, ok+frames(1, 1)+"data: x\n")
		}, 1},
		{"a refusal", func(r chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return silent(r, "HTTP/1.1 503 Busy\r\n\r\nbu")
		}, 0},
		{"the wait", func(reached chan<- struct{}) func(t *testing.T) (string, []client.Option) {
			return func(t *testing.T) (string, []client.Option) {
				t.Helper()
				return serve(t, ok+frames(1, 1)).url, []client.Option{
					client.WithBackoff(time.Hour, time.Hour),
					client.WithDisconnected(func(error, time.Duration) { reached <- struct{}{} }),
				}
			}
		}, 1},
	}
	for _, stage := range stages {
		t.Run(stage.name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			reached := make(chan struct{}, 10)
			url, opts := stage.setUp(reached)(t)
			ctx, cancel := context.WithCancelCause(within(t))
			defer cancel(nil)
			go func() {
				for range 1 + stage.want {
					<-reached
				}
				cancel(wanted)
			}()
			start := time.Now()
			events, err := collect(t, func(yield func(core.Event, error) bool) {
				for e, err := range client.Stream(get(t, url).WithContext(ctx), opts...) {
					reached <- struct{}{}
					if !yield(e, err) {
						return
					}
				}
			})
			if err != wanted {
				t.Errorf("got error %v, want the cause itself", err)
			}
			ssetest.Equal(t, events, numbered(1, stage.want))
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it took %v to end", took)
			}
		})
	}
}

// If the context has already ended, no request is sent.
func TestCancelledBefore(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	requests := 0
	sent := inMemory(func(*http.Request) (*http.Response, error) {
		requests++
		return response(200, strings.NewReader(frames(1, 1))), nil
	})
	_, err := collect(t, client.Stream(get(t, "http://example.com").WithContext(ended), sent))
	wantErr(t, err, context.Canceled)
	if requests != 0 {
		t.Errorf("got %d requests, want none", requests)
	}
}

// No event is yielded after the end, not even one that has already arrived.
func TestCancelBetweenEvents(t *testing.T) {
	ssetest.NoLeaks(t)
	s := serve(t, ok+frames(1, 100))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	n := 0
	var last error
	for _, err := range client.Stream(get(t, s.url).WithContext(ctx)) {
		if last = err; err == nil {
			n++
			cancel()
		}
	}
	wantErr(t, last, context.Canceled)
	if n != 1 {
		t.Errorf("got %d events, want the one before the end", n)
	}
}

func TestDeadline(t *testing.T) {
	s := serve(t, ok+frames(1, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := collect(t, client.Stream(get(t, s.url).WithContext(ctx), client.WithBackoff(time.Hour, 0)))
	wantErr(t, err, context.DeadlineExceeded)
	if len(got) > 1 {
		t.Errorf("got %d events, want one", len(got))
	}
}

// Breaking out of the loop closes the connection at once.
func TestBreak(t *testing.T) {
	ssetest.NoLeaks(t)
	left := make(chan struct{})
	url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, frames(1, 10))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	}))
	var got []string
	for e, err := range client.Stream(get(t, url)) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); e.ID == "3" {
			break
		}
	}
	if want := []string{"1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Error("the connection is still open after the loop")
	}
}

// A connection's resources are released before the next connection is made.
func TestConnectionsAreClosed(t *testing.T) {
	page := response(200, strings.NewReader("<p>"))
	page.Header.Set("Content-Type", "text/html")
	answers := []*http.Response{
		response(200, strings.NewReader(frames(1, 2))), response(503, strings.NewReader("busy")), page,
		response(204, http.NoBody), response(200, strings.NewReader(frames(3, 4))),
	}
	var open *http.Request
	var body *closing
	closed := func(what string) {
		t.Helper()
		if open != nil && (open.Context().Err() == nil || !body.closed) {
			t.Errorf("%s: got a context that ended: %v, and a body that was closed: %v", what, open.Context().Err(), body.closed)
		}
	}
	next := 0
	stream := client.Stream(get(t, "http://example.com"), soon(),
		client.WithRetryPolicy(func(error, int) bool { return true }),
		inMemory(func(r *http.Request) (*http.Response, error) {
			closed("at the next request")
			res := answers[next]
			next++
			open, body = r, &closing{Reader: res.Body}
			res.Body = body
			return res, nil
		}))
	_, err := collect(t, stream)
	wantErr(t, err, client.ErrStopped)
	closed("at the end")
	for range stream { //nolint:errcheck // there is an event
		break
	}
	closed("after the break")
	if next != len(answers) {
		t.Errorf("got %d requests, want %d", next, len(answers))
	}
}

type closing struct {
	io.Reader

	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// A panic in the loop closes the connection, too.
func TestPanic(t *testing.T) {
	ssetest.NoLeaks(t)
	s := serveRaw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, ok+frames(1, 1))
		_, _ = io.Copy(io.Discard, c) // until the client leaves
	})
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("got panic %v, want boom", v)
		}
	}()
	for range client.Stream(get(t, s.url)) { //nolint:errcheck // it panics
		panic("boom")
	}
}
