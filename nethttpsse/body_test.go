package nethttpsse_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

type readCloser struct {
	io.Reader
	io.Closer
}

// A middleware may have wrapped the body in a reader that ends before it. Then neither
// the client nor a shutdown waits for the rest.
func TestBodyBehindAnother(t *testing.T) {
	t.Parallel()
	bodies := map[string]struct {
		with    func(w http.ResponseWriter, r *http.Request) *http.Request
		request string
		status  int
		want    string
	}{
		"none": {
			func(_ http.ResponseWriter, r *http.Request) *http.Request {
				r.Body = http.NoBody
				return r
			},
			"Content-Length: 100\r\n\r\nsome", 200, afterPost,
		},
		"nil": {
			func(_ http.ResponseWriter, r *http.Request) *http.Request {
				r.Body = nil
				return r
			},
			"Transfer-Encoding: chunked\r\n\r\n64\r\nsome", 200, afterPost,
		},
		"a part": {
			func(_ http.ResponseWriter, r *http.Request) *http.Request {
				r.Body = readCloser{io.LimitReader(r.Body, 4), r.Body}
				return r
			},
			"Content-Length: 100\r\n\r\nsome", 200, afterPost,
		},
		"none, which the request confirms": {
			func(_ http.ResponseWriter, r *http.Request) *http.Request {
				r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
				return r
			},
			"Content-Length: 100\r\n\r\nsome", 200, afterPost,
		},
		"none, in a copy of the request": {
			func(_ http.ResponseWriter, r *http.Request) *http.Request {
				r = r.Clone(r.Context())
				r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
				return r
			},
			"Transfer-Encoding: chunked\r\n\r\n64\r\nsome", 200, afterPost,
		},
		"a limit": {
			func(w http.ResponseWriter, r *http.Request) *http.Request {
				r.Body = http.MaxBytesReader(w, r.Body, 3)
				return r
			},
			"Content-Length: 100\r\n\r\nsome", 413, "too large",
		},
		"a limit that is kept": {
			func(w http.ResponseWriter, r *http.Request) *http.Request {
				r.Body = http.MaxBytesReader(w, r.Body, 4)
				return r
			},
			"Content-Length: 4\r\n\r\nsome", 200, afterPost,
		},
	}
	for name, tt := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := nethttpsse.Handler(view)
			s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				stream.ServeHTTP(w, tt.with(w, r))
			}))
			got := ask(t, s.addr, "POST / HTTP/1.1\r\nHost: x\r\n"+tt.request)
			if got.Status != tt.status || !strings.Contains(got.Body, tt.want) || got.Broken {
				t.Errorf("got %d %q, broken %t, want %d %q", got.Status, got.Body, got.Broken, tt.status, tt.want)
			}
			s.shutdown(t)
		})
	}
}

// The server has not read everything that the client has sent, and closes the
// connection. The client still gets the whole stream.
func TestBodyBehindAnotherIsLong(t *testing.T) {
	t.Parallel()
	stream := nethttpsse.Handler(view)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = readCloser{io.LimitReader(r.Body, 4), r.Body}
		stream.ServeHTTP(w, r)
	}))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	const size = 100_000
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "\r\n0\r\n\r\n") {
		t.Errorf("got %q, %v, want a clean end", got, err)
	}
}

// A request that is refused for another reason is answered even if its body does not
// come.
func TestRefusalBeforeBody(t *testing.T) {
	t.Parallel()
	full := &core.Group{Limit: 1}
	first, err := host.NewSession(t.Context(), core.Request{}, core.WithGroup(full))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(nil)
	closing := new(core.Group)
	if err := closing.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		handler http.Handler
		status  int
	}{
		"a full group":           {nethttpsse.Handler(view, core.WithGroup(full)), 503},
		"a group that has ended": {nethttpsse.Handler(view, core.WithGroup(closing)), 503},
		"a writer that cannot flush": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nethttpsse.Handler(view).ServeHTTP(logger{bare{w}}, r)
		}), 500},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.handler)
			got := ask(t, s.addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
			if got.Status != tt.status || got.Broken {
				t.Errorf("got %d %q, broken %t, want %d", got.Status, got.Body, got.Broken, tt.status)
			}
			if got, want := got.Header.Get("Retry-After") != "", tt.status == 503; got != want {
				t.Errorf("got a Retry-After: %t, want %t", got, want)
			}
			s.shutdown(t)
		})
	}
}

// shutdown shuts the server down, which must not wait for a client.
func (s *site) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// The connection stays open if the whole body has been read, by a middleware or through
// a middleware's reader.
func TestBodyReadToEnd(t *testing.T) {
	stream := nethttpsse.Handler(view)
	for name, with := range map[string]func(w http.ResponseWriter, r *http.Request){
		"by a middleware": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body = io.NopCloser(strings.NewReader("another"))
		},
		"through another": func(w http.ResponseWriter, r *http.Request) { r.Body = http.MaxBytesReader(w, r.Body, 100) },
	} {
		s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			with(w, r)
			stream.ServeHTTP(w, r)
		}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr, strings.NewReader("some"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || res.Close {
			t.Errorf("%s: got status %d, close %t, want 200 on a connection that stays open", name, res.StatusCode, res.Close)
		}
	}
}

// The server does not wait for the rest of such a body after the stream either, however
// long the client stays.
func TestBodyBehindAnotherEnds(t *testing.T) {
	t.Parallel()
	stream := nethttpsse.Handler(view)
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.NoBody
		stream.ServeHTTP(w, r)
	}))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "\r\n0\r\n\r\n") {
		t.Errorf("got %q, %v, want a clean end and then a closed connection", got, err)
	}
}

// The server's WriteTimeout counts from the request's start, and may have passed when
// a body is refused. The client still gets the answer.
func TestRefusedAfterWriteTimeout(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nethttpsse.Handler(view))
	srv.Config.WriteTimeout = time.Nanosecond
	srv.Start()
	defer srv.Close()
	got := ask(t, strings.TrimPrefix(srv.URL, "http://"), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"+strings.Repeat("x", 1<<20+1))
	if want := http.StatusRequestEntityTooLarge; got.Status != want {
		t.Errorf("got %d %q, broken %t, want %d", got.Status, got.Body, got.Broken, want)
	}
}
