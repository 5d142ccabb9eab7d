package nethttpsse_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A keeper keeps the response until the handler has returned. Its Flush does nothing.
type keeper struct {
	http.ResponseWriter

	kept []byte
}

func (k *keeper) WriteHeader(int)             {}
func (k *keeper) Write(p []byte) (int, error) { k.kept = append(k.kept, p...); return len(p), nil }
func (k *keeper) Flush()                      {}

func (k *keeper) finish() {
	k.ResponseWriter.WriteHeader(http.StatusOK)
	_, _ = k.ResponseWriter.Write(k.kept)
}

// An openKeeper is a keeper with an Unwrap method.
type openKeeper struct{ keeper }

func (k *openKeeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// A mute is an openKeeper without Flush.
type mute struct{ keeper keeper }

func (m *mute) Header() http.Header         { return m.keeper.Header() }
func (m *mute) WriteHeader(int)             {}
func (m *mute) Write(p []byte) (int, error) { return m.keeper.Write(p) }
func (m *mute) Unwrap() http.ResponseWriter { return m.keeper.ResponseWriter }

// An early sends the headers when it is flushed, and keeps the body.
type early struct {
	keeper
}

func (e *early) WriteHeader(status int) { e.ResponseWriter.WriteHeader(status) }
func (e *early) Flush()                 { e.ResponseWriter.(http.Flusher).Flush() }

// A tutorial is the compressing writer of many tutorials: its Flush does not reach the
// compressor, which sends the first bytes of its format at once and then buffers.
type tutorial struct {
	http.ResponseWriter
	http.Flusher

	zip io.Writer
}

func (t tutorial) Write(p []byte) (int, error) { return t.zip.Write(p) }

// A private wraps a writer in an unexported field, and passes everything on.
type private struct{ below http.ResponseWriter }

func (p private) Header() http.Header         { return p.below.Header() }
func (p private) WriteHeader(status int)      { p.below.WriteHeader(status) }
func (p private) Write(b []byte) (int, error) { return p.below.Write(b) }
func (p private) Flush()                      { p.below.(http.Flusher).Flush() }

// A tail keeps the last bytes, in case they begin the tag that it looks for.
type tail struct {
	http.ResponseWriter

	kept []byte
}

func (t *tail) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if n := len(t.kept) - len("</body"); n > 0 {
		if _, err := t.ResponseWriter.Write(t.kept[:n]); err != nil {
			return 0, err
		}
		t.kept = append(t.kept[:0], t.kept[n:]...)
	}
	return len(p), nil
}

func (t *tail) Flush() { t.ResponseWriter.(http.Flusher).Flush() }

// A buffered has a buffer in front of a compressor, and flushes only the compressor.
type buffered struct {
	http.ResponseWriter

	buf *bufio.Writer
	zip *gzip.Writer
}

func (b *buffered) Write(p []byte) (int, error) { return b.buf.Write(p) }

func (b *buffered) Flush() {
	_ = b.zip.Flush()
	b.ResponseWriter.(http.Flusher).Flush()
}

// A lazy claims that it has flushed.
type lazy struct{ logger }

func (lazy) FlushError() error { return nil }

// A hidden wraps a writer that cannot be found.
type hidden struct {
	header func() http.Header
	status func(int)
	write  func([]byte) (int, error)
	flush  func()
}

func hide(w http.ResponseWriter) http.ResponseWriter {
	return &hidden{w.Header, w.WriteHeader, w.Write, w.(http.Flusher).Flush}
}

func (h *hidden) Header() http.Header         { return h.header() }
func (h *hidden) WriteHeader(status int)      { h.status(status) }
func (h *hidden) Write(p []byte) (int, error) { return h.write(p) }
func (h *hidden) Flush()                      { h.flush() }

// A selfish unwraps to itself.
type selfish struct{ hidden }

func (s *selfish) Unwrap() http.ResponseWriter { return s }

// A wrapping does what a middleware does: it wraps a writer, and finishes the response
// when the handler has returned.
type wrapping func(w http.ResponseWriter) (wrapped http.ResponseWriter, finish func())

func wraps(with func(http.ResponseWriter) http.ResponseWriter) wrapping {
	return func(w http.ResponseWriter) (http.ResponseWriter, func()) { return with(w), func() {} }
}

func (wrap wrapping) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, finish := wrap(w)
		defer finish()
		h.ServeHTTP(w, r)
	})
}

// askEach sends a request over each protocol.
func askEach(t *testing.T, method string, h http.Handler, test func(t *testing.T, got hosttest.Answer, log *hosttest.Logbook)) {
	t.Helper()
	logged := new(hosttest.Logbook)
	url := hosttest.Serve(t, h, func(srv *http.Server) {
		srv.ErrorLog = log.New(logged, "", 0)
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	})
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1"} {
		t.Run(proto, func(t *testing.T) {
			got := ask(t, url, method+" / "+proto+"\r\nHost: x\r\nConnection: close\r\n\r\n")
			test(t, got, logged)
		})
	}
	t.Run("HTTP/2.0", func(t *testing.T) {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols, DisableCompression: true}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		got := hosttest.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body), Broken: err != nil}
		test(t, got, logged)
	})
}

// A middleware sets these headers for its own body. A refusal must not have them.
var announced = []string{"Content-Encoding", "Trailer", "Etag"}

// Whatever a middleware's writer claims, a stream that it holds back is refused, or broken
// if the headers are out, and the error names the writer. The same is true if the stream
// is to be detached.
//
// If this fails with a new release of Go, the servers' writers have other fields than
// meterOf knows, and nothing notices a writer that holds a stream back.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	const refused, broken = true, false
	for _, tt := range []struct {
		name    string
		wrap    wrapping
		refused bool
		names   string
	}{
		{"a Flush that does nothing", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			k := &keeper{ResponseWriter: w}
			return k, k.finish
		}, refused, "a *nethttpsse_test.keeper holds the stream back"},
		{"and what it has announced", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			for _, name := range announced {
				w.Header().Set(name, "gzip")
			}
			k := &keeper{ResponseWriter: w}
			return k, k.finish
		}, refused, "a *nethttpsse_test.keeper holds the stream back"},
		{"with Unwrap", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			k := &openKeeper{keeper{ResponseWriter: w}}
			return k, k.finish
		}, refused, "a *nethttpsse_test.openKeeper holds the stream back"},
		{"without Flush", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			m := &mute{keeper{ResponseWriter: w}}
			return m, m.keeper.finish
		}, refused, "a *nethttpsse_test.mute holds the stream back"},
		{"between two others", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			k := &keeper{ResponseWriter: flusher{w}}
			return logger{k}, k.finish
		}, refused, "a nethttpsse_test.logger or a *nethttpsse_test.keeper or a nethttpsse_test.flusher holds the stream back"},
		{"the headers are out", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			e := &early{keeper{ResponseWriter: w}}
			return e, e.finish
		}, broken, "a *nethttpsse_test.early holds the stream back"},
		{"the end of each event", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			k := &tail{ResponseWriter: w}
			return k, func() { _, _ = w.Write(k.kept) }
		}, broken, "a *nethttpsse_test.tail holds the stream back"},
		{"in front of a compressor", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			b := &buffered{w, bufio.NewWriter(zip), zip}
			return b, func() { _, _ = b.buf.Flush(), zip.Close() }
		}, broken, "a *nethttpsse_test.buffered holds the stream back"},
		{"the first bytes are out", func(w http.ResponseWriter) (http.ResponseWriter, func()) {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			return tutorial{w, w.(http.Flusher), zip}, func() { _ = zip.Close() }
		}, broken, "a nethttpsse_test.tutorial holds the stream back"},
		{"hidden", wraps(hide), refused, "a *nethttpsse_test.hidden hides the writer that it wraps"},
		{"without end", wraps(func(w http.ResponseWriter) http.ResponseWriter { return &selfish{*hide(w).(*hidden)} }),
			refused, "a *nethttpsse_test.selfish hides the writer that it wraps"},
	} {
		for _, as := range []struct {
			method string
			opts   []core.Option
		}{{"GET", nil}, {"GET", []core.Option{core.WithDetach()}}, {"POST", nil}, {"POST", []core.Option{core.WithDetach()}}} {
			t.Run(fmt.Sprintf("%s, %s, detached: %t", tt.name, as.method, as.opts != nil), func(t *testing.T) {
				t.Parallel()
				askEach(t, as.method, tt.wrap.around(nethttpsse.Handler(view, as.opts...)), func(t *testing.T, got hosttest.Answer, log *hosttest.Logbook) {
					if tt.refused {
						if got.Status != http.StatusInternalServerError || !strings.Contains(got.Body, tt.names) ||
							strings.Contains(got.Body, "data:") || got.Broken {
							t.Errorf("got %d %q, broken %t, want 500 %q", got.Status, got.Body, got.Broken, tt.names)
						}
						if got := got.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
							t.Errorf("got content type %q of a refusal", got)
						}
						for _, name := range announced {
							if got := got.Header.Get(name); got != "" {
								t.Errorf("got %s %q of a refusal", name, got)
							}
						}
						return
					}
					if !got.Broken {
						t.Errorf("got %d %q and a clean end, want a broken one", got.Status, got.Body)
					}
					hosttest.Eventually(t, "the log says "+tt.names, func() bool { return strings.Contains(log.String(), tt.names) })
				})
			})
		}
	}
}

// A compressor sends few bytes for an event that it has sent before, and that is enough.
func TestCompressedAgain(t *testing.T) {
	for _, level := range []int{gzip.NoCompression, gzip.BestSpeed, gzip.DefaultCompression, gzip.BestCompression, gzip.HuffmanOnly} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			const events = 300
			compressor := func(w http.ResponseWriter) (http.ResponseWriter, func()) {
				w.Header().Set("Content-Encoding", "gzip")
				zip, err := gzip.NewWriterLevel(w, level)
				if err != nil {
					t.Error(err)
				}
				return &zipped{w, zip}, func() { _ = zip.Close() }
			}
			handler := nethttpsse.Handler(func(http.ResponseWriter, *http.Request) core.Stream {
				return func(yield func(core.Event, error) bool) {
					for range events {
						if !yield(core.Event{Data: "x"}, nil) {
							return
						}
					}
				}
			}, core.WithFlushWindow(0))
			askEach(t, "GET", wrapping(compressor).around(handler), func(t *testing.T, got hosttest.Answer, log *hosttest.Logbook) {
				zip, err := gzip.NewReader(strings.NewReader(got.Body))
				if err != nil {
					t.Fatalf("%v, and the log says %s", err, log)
				}
				text, err := io.ReadAll(zip)
				if n := strings.Count(string(text), "data: x\n\n"); n != events || err != nil || got.Broken {
					t.Errorf("got %d events, %v, broken %t, want %d, and the log says %s", n, err, got.Broken, events, log)
				}
			})
		})
	}
}

// A zipped flushes its compressor and then the writer below.
type zipped struct {
	http.ResponseWriter

	zip *gzip.Writer
}

func (z *zipped) Write(p []byte) (int, error) { return z.zip.Write(p) } //nolint:wrapcheck // as it is

func (z *zipped) Flush() {
	_ = z.zip.Flush()
	z.ResponseWriter.(http.Flusher).Flush()
}

// If the connection is closed after a refusal, the client is told, because it would lose
// its next request. A connection of HTTP/2 stays open.
func TestHeldBackClosesTheConnection(t *testing.T) {
	keeping := wrapping(func(w http.ResponseWriter) (http.ResponseWriter, func()) {
		k := &keeper{ResponseWriter: w}
		return k, k.finish
	})
	url := hosttest.Serve(t, keeping.around(nethttpsse.Handler(view)), func(srv *http.Server) {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	})
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2: ", http2), func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetUnencryptedHTTP2(http2)
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			for n := range 2 {
				var reused bool
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
				})
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if want := http2 && n > 0; res.StatusCode != http.StatusInternalServerError || err != nil || res.Close == http2 || reused != want {
					t.Errorf("request %d: got %d, %v, close %t, on a connection that was used: %t, want 500, close %t, used %t",
						n+1, res.StatusCode, err, res.Close, reused, !http2, want)
				}
			}
		})
	}
}

// The observer learns what ended the stream, and that no event was sent.
func TestHeldBackIsObserved(t *testing.T) {
	ends := make(chan core.Summary, 1)
	observer := core.Observer{Closed: func(_ context.Context, end core.Summary) { ends <- end }}
	handler := nethttpsse.Handler(view, core.WithObserver(observer))
	w := httptest.NewRecorder()
	handler.ServeHTTP(&keeper{ResponseWriter: w}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	const want = "a *nethttpsse_test.keeper holds the stream back"
	if end := hosttest.Receive(t, ends, "the end"); end.Cause == nil || !strings.Contains(end.Cause.Error(), want) || end.Events != 0 {
		t.Errorf("got cause %v and %d events, want %q and none", end.Cause, end.Events, want)
	}
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %d %q, want 500 %q", w.Code, w.Body, want)
	}
}

// A writer that passes everything on need not have an Unwrap method: its stream flows,
// continues beyond the server's WriteTimeout, and is broken when it fails.
func TestUnderWriters(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]wrapping{
		"Flush only":       wraps(func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }),
		"a private field":  wraps(func(w http.ResponseWriter) http.ResponseWriter { return &private{w} }),
		"a private struct": wraps(func(w http.ResponseWriter) http.ResponseWriter { return private{w} }),
		"two":              wraps(func(w http.ResponseWriter) http.ResponseWriter { return flusher{&private{w}} }),
		"interfaces put together": wraps(func(w http.ResponseWriter) http.ResponseWriter {
			return struct {
				http.ResponseWriter
				http.Flusher
			}{logger{w}, w.(http.Flusher)}
		}),
		"a Flush that does nothing, with Unwrap": wraps(func(w http.ResponseWriter) http.ResponseWriter { return lazy{logger{w}} }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
				ctx := r.Context()
				return func(yield func(core.Event, error) bool) {
					const events = 15
					n := 0
					for range core.Every(ctx, writeTimeout/10) {
						n++
						if !yield(core.Event{Data: "again"}, nil) {
							return
						}
						if n == events {
							yield(core.Event{}, errors.New("no more"))
							return
						}
					}
				}
			}, core.WithHeartbeat(0))
			timeout := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// The server does this with its WriteTimeout when it has read the request.
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
				wrap.around(handler).ServeHTTP(w, r)
			})
			askEach(t, "GET", timeout, func(t *testing.T, got hosttest.Answer, _ *hosttest.Logbook) {
				if n := strings.Count(got.Body, "data: again\n\n"); n != 15 || !got.Broken {
					t.Errorf("got %d events, broken %t, want 15, broken", n, got.Broken)
				}
			})
		})
	}
}

// An appender appends to the slices that it gets, as a response cache may do much later.
type appender struct {
	logger
	t *testing.T
}

func (a appender) Write(p []byte) (int, error) {
	if more := append(p, '!'); &more[0] == &p[0] { //nolint:gocritic,staticcheck // as some do
		a.t.Errorf("a middleware's append to %q overwrites the next stream's bytes", p)
	}
	return a.ResponseWriter.Write(p)
}

func TestAppendingWriter(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	nethttpsse.Handler(view).ServeHTTP(appender{logger{w}, t}, r)
	if got, want := w.Body.String(), twoEvents; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

const writeTimeout = 300 * time.Millisecond

// A response cannot be broken on a connection without deadlines.
func TestConnectionWithoutDeadlines(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, timelessListener{ln}, nethttpsse.Handler(view))
	_, res := s.dial("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	body, err := io.ReadAll(res.Body)
	if want := "cannot set deadlines"; res.StatusCode != 500 || !strings.Contains(string(body), want) || err != nil {
		t.Errorf("got %d %q, %v, want 500 %q", res.StatusCode, body, err, want)
	}
}

type timelessListener struct{ net.Listener }

func (l timelessListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return timeless{c}, err
}

// A timeless is like a channel of SSH.
type timeless struct{ net.Conn }

func (timeless) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (timeless) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (timeless) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
