package nethttpsse_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// accepting serves h with requests that accept gzip.
func accepting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
	})
}

// A late announces gzip when the headers are sent, and compresses everything, whatever it is.
type late struct {
	http.ResponseWriter

	zip *gzip.Writer
}

func (l *late) WriteHeader(status int) {
	l.Header().Set("Content-Encoding", "gzip")
	l.ResponseWriter.WriteHeader(status)
}

func (l *late) Write(p []byte) (int, error) { return l.zip.Write(p) } //nolint:wrapcheck // as it is

func (l *late) Flush() {
	_ = l.zip.Flush()
	l.ResponseWriter.(http.Flusher).Flush()
}

// A stream that the view compresses must not be compressed again: its clients could not
// decode it.
func TestCompressedTwice(t *testing.T) {
	for _, opts := range [][]core.Option{{core.WithCompression()}, {core.WithCompression(), core.WithDetach()}} {
		again := wrapping(func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			zip := gzip.NewWriter(w)
			return &late{w, zip}, func() { _ = zip.Close() }
		})
		askEach(t, "GET", again.around(accepting(nethttpsse.Handler(view, opts...))), func(t *testing.T, got hosttest.Answer, log *hosttest.Logbook) {
			if got.Status == http.StatusOK && !got.Broken || strings.Contains(got.Body, "data:") {
				t.Errorf("got %d %q and a clean end, want a refusal or a broken one", got.Status, got.Body)
			}
			const names = "a *nethttpsse_test.late holds the stream back or compresses it again"
			hosttest.Eventually(t, "the log says "+names, func() bool { return strings.Contains(log.String(), names) })
		})
	}
}

// A middleware that compresses is left to do so if it has said so, and leaves alone what the
// session compresses if not.
func TestCompressedOnce(t *testing.T) {
	polite := func(w http.ResponseWriter) (http.ResponseWriter, func()) { // as gzhttp and chi's Compress
		return &politely{ResponseWriter: w}, func() {}
	}
	first := func(w http.ResponseWriter) (http.ResponseWriter, func()) { // as gorilla's CompressHandler
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		return &zipped{w, zip}, func() { _ = zip.Close() }
	}
	for name, wrap := range map[string]wrapping{"polite": polite, "first": first, "plain": wraps(func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} })} {
		t.Run(name, func(t *testing.T) {
			h := wrap.around(accepting(nethttpsse.Handler(view, core.WithCompression())))
			askEach(t, "GET", h, func(t *testing.T, got hosttest.Answer, log *hosttest.Logbook) {
				if encoding := got.Header["Content-Encoding"]; got.Broken || len(encoding) != 1 || encoding[0] != "gzip" {
					t.Fatalf("got %d, broken %t, with Content-Encoding %q, and the log says %s", got.Status, got.Broken, encoding, log)
				}
				zip, err := gzip.NewReader(strings.NewReader(got.Body))
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(zip); err != nil || !strings.Contains(string(text), "data: ") {
					t.Errorf("got %q, %v, want events", text, err)
				}
			})
		})
	}
}

// A politely compresses when the headers are sent, unless something else has said that it does.
type politely struct {
	http.ResponseWriter

	zip *gzip.Writer
}

func (p *politely) WriteHeader(status int) {
	if p.Header().Get("Content-Encoding") == "" {
		p.Header().Set("Content-Encoding", "gzip")
		p.zip = gzip.NewWriter(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *politely) Write(b []byte) (int, error) {
	if p.zip == nil {
		return p.ResponseWriter.Write(b) //nolint:wrapcheck // as it is
	}
	return p.zip.Write(b) //nolint:wrapcheck // as it is
}

func (p *politely) Flush() { p.ResponseWriter.(http.Flusher).Flush() }

// A session that compresses leaves its handler, whatever writers are above it.
func TestDetachCompression(t *testing.T) {
	goAhead, ends := make(chan string), make(chan error, 1)
	stream := nethttpsse.Handler(held(goAhead, ends), core.WithDetach(), core.WithCompression())
	for name, h := range map[string]http.Handler{
		"none":     stream,
		"a logger": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream.ServeHTTP(logger{w}, r) }),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, h)
			conn, resp := s.dial("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
			if got := resp.Header.Get("Content-Encoding"); got != "gzip" {
				t.Fatalf("got Content-Encoding %q", got)
			}
			hosttest.Receive(t, s.returned, "the return of the handler")
			zip, err := gzip.NewReader(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			next := make(chan string)
			go func() {
				for e, err := range core.Read(zip) {
					if err != nil {
						return
					}
					select {
					case next <- e.Data:
					case <-ctx.Done():
					}
				}
			}()
			for _, data := range []string{"a", "a", "b"} {
				goAhead <- data
				if got := hosttest.Receive(t, next, "the event"); got != data {
					t.Errorf("got %q, want %q", got, data)
				}
			}
			_ = conn.Close()
			_ = hosttest.Receive(t, ends, "the end")
		})
	}
}
