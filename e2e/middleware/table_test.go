// Package middleware runs streams under the middlewares that people use. Either a
// stream flows, or it is refused with an error that names the middleware: none may
// silently hold a stream back or change what arrives. Only a cache of responses can,
// because it answers later requests without the handler. docs/middlewares.md has the
// results.
package middleware_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/yieldsse/yieldsse/core"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "200") // they wait most of the time
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

const (
	patience     = time.Minute
	writeTimeout = 5 * time.Second // of the servers; an ordinary answer has as much time, also if the machine stalls
)

// An outcome is what happens to a stream.
type outcome int

const (
	flows   outcome = iota
	zips            // it flows, compressed
	refused         // with 500 and an error that has the row's text
	breaks          // after the headers; the log has the row's text
	keeps           // it flows once, and later requests get what it has sent by then
)

// A row is a middleware.
type row struct {
	name string
	want outcome
	text string // part of the error
	note string // for the document

	accept string // encodings, gzip if empty
	header string // of the request: name, colon, value
	cookie string // name of a cookie that the response sets
	stays  bool   // with WithDetach too, the session stays in its handler
	get    bool   // only GET is tested: another row has POST
	again  bool   // it would compress again what the view has compressed

	around func(http.Handler) http.Handler // a middleware of net/http
	use    any                             // a middleware of the framework
}

// A mode is how streams are served.
type mode struct {
	name     string
	opts     []core.Option
	detaches bool
	http2    bool
	zips     bool // the view compresses, and a middleware must not do so again
}

var modes = []mode{
	{name: "HTTP1"},
	{name: "HTTP1 detached", opts: []core.Option{core.WithDetach()}, detaches: true},
	{name: "HTTP1 detached, compressed", opts: []core.Option{core.WithDetach(), core.WithCompression()}, detaches: true, zips: true},
	{name: "HTTP2", http2: true},
}

// A site holds the streams of one server.
type site struct {
	opts   []core.Option
	steps  chan struct{}
	runs   chan struct{} // receives when an idle stream begins
	causes chan error    // receives the cause when an idle stream ends

	handlers atomic.Int32 // that run

	mu  sync.Mutex
	log []byte // the host's
}

func newSite(r row, m mode) *site {
	s := &site{opts: slices.Clip(m.opts), steps: make(chan struct{}), runs: make(chan struct{}, 10), causes: make(chan error, 10)}
	if r.want == breaks {
		s.opts = append(s.opts, core.WithHeartbeat(50*time.Millisecond)) // for streams without events
	}
	return s
}

// paths are those of a site's streams.
var paths = []string{"/flow", "/fail", "/idle"}

func (s *site) stream(ctx context.Context, path string) core.Stream {
	switch path {
	case "/flow":
		return func(yield func(core.Event, error) bool) {
			n := 0
			for range core.Receive(ctx, s.steps) {
				if n++; !yield(core.Event{Data: fmt.Sprint("event ", n)}, nil) || n == 3 {
					return
				}
			}
		}
	case "/fail":
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "before"}, nil) {
				yield(core.Event{}, errors.New("no more"))
			}
		}
	default:
		return func(func(core.Event, error) bool) {
			s.runs <- struct{}{}
			<-ctx.Done()
			s.causes <- context.Cause(ctx)
		}
	}
}

// A serve function serves the site under a row's middleware until shutdown is called.
type serve func(t *testing.T, ln net.Listener, s *site, r row) (shutdown func(context.Context) error)

// serveHTTP serves a handler of net/http.
func serveHTTP(t *testing.T, ln net.Listener, s *site, h http.Handler) (shutdown func(context.Context) error) {
	t.Helper()
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handlers.Add(1)
		defer s.handlers.Add(-1)
		h.ServeHTTP(w, r)
	})
	srv := &http.Server{Handler: counted, ReadHeaderTimeout: patience, WriteTimeout: writeTimeout, Protocols: new(http.Protocols)}
	srv.ErrorLog = log.New(s, "", 0)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return srv.Shutdown
}

// in returns what is wanted of the row in a mode.
func (r row) in(m mode) row {
	if m.zips && r.again {
		r.want, r.text = breaks, "compresses it again"
	}
	return r
}

// run tries each row in each mode.
func run(t *testing.T, rows []row, serve serve, modes ...mode) {
	t.Helper()
	for _, r := range rows {
		for _, m := range modes {
			if m.zips && r.want != flows && r.want != zips {
				continue // perhaps it only waits for a compressor
			}
			r := r.in(m)
			t.Run(r.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				s := newSite(r, m)
				c := &client{T: t, row: r, mode: m, url: "http://" + ln.Addr().String(), site: s}
				transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(!m.http2)
				transport.Protocols.SetUnencryptedHTTP2(m.http2)
				c.http = &http.Client{Transport: transport, Timeout: patience}
				defer transport.CloseIdleConnections()
				c.try(serve(t, ln, s, r))
			})
		}
	}
}

type client struct {
	*testing.T

	row  row
	mode mode
	site *site
	url  string
	http *http.Client
}

func (c *client) try(shutdown func(context.Context) error) {
	switch c.row.want {
	case refused:
		c.isRefused()
	case breaks:
		c.isBroken()
	case keeps:
		c.flow()
		c.isKept()
	case flows, zips:
		c.flow()
		c.fail()
		c.post()
		c.leave()
		c.plain()
		c.shutDown(shutdown)
	}
}

func (c *client) get(ctx context.Context, path string) *http.Response {
	c.Helper()
	return c.do(ctx, http.MethodGet, path)
}

func (c *client) do(ctx context.Context, method, path string) *http.Response {
	c.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	if c.row.accept != "" {
		r.Header.Set("Accept-Encoding", c.row.accept)
	}
	r.Header.Set("Origin", "http://example.com")
	if name, value, ok := strings.Cut(c.row.header, ": "); ok {
		r.Header.Set(name, value)
	}
	res, err := c.http.Do(r)
	if err != nil {
		c.Fatalf("%s: %v", path, err)
	}
	c.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// A body reads a response's body, compressed or not.
type body struct {
	io.Reader

	raw  io.Reader
	text bytes.Buffer
	err  error // how the response ended
}

func (b *body) readRaw(p []byte) (int, error) {
	n, err := b.raw.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// unzip returns a body that decompresses what arrives at once.
func (c *client) unzip(res *http.Response) *body {
	c.Helper()
	b := &body{raw: res.Body}
	raw := readerFunc(b.readRaw)
	zipped := io.Reader(raw)
	var err error
	encoding := res.Header.Get("Content-Encoding")
	switch encoding {
	case "":
	case "gzip":
		zipped, err = gzip.NewReader(raw)
	case "br":
		zipped = brotli.NewReader(raw)
	case "zstd":
		zipped, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
	case "deflate":
		zipped = flate.NewReader(raw) // most servers send it without a zlib header
	default:
		c.Fatalf("got content encoding %q", encoding)
	}
	if err != nil {
		c.Fatalf("beginning of a body in %s: %v", encoding, err)
	}
	b.Reader = io.TeeReader(zipped, &b.text)
	return b
}

// events returns the lines of a body's events.
func (b *body) events() string {
	var lines []string
	for block := range strings.SplitSeq(b.text.String(), "\n\n") {
		if block != "" && !strings.HasPrefix(block, ":") {
			lines = append(lines, block)
		}
	}
	return strings.Join(lines, "\n")
}

// flow wants each event before the next one is made, one of them after the server's
// write timeout, and a clean end.
func (c *client) flow() {
	c.Helper()
	res := c.get(c.Context(), "/flow")
	c.isStream(res)
	b := c.unzip(res)
	next, stop := iter.Pull2(core.Read(b))
	defer stop()
	for n := range 3 {
		if n == 2 {
			<-time.After(writeTimeout + writeTimeout/4)
		}
		c.step()
		e, err, ok := next()
		if want := fmt.Sprint("event ", n+1); !ok || err != nil || e.Data != want {
			c.Fatalf("got %+v, %v, %t, want %s; body %q", e, err, ok, want, b.text.String())
		}
	}
	if e, err, ok := next(); ok {
		c.Errorf("got %+v, %v, want an end", e, err)
	}
	c.ends(b)
	if got, want := b.events(), "data: event 1\ndata: event 2\ndata: event 3"; got != want {
		c.Errorf("got body %q, want %q", got, want)
	}
}

func (c *client) isStream(res *http.Response) {
	c.Helper()
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		text, _ := io.ReadAll(res.Body)
		c.Fatalf("got %d %q: %.300q", res.StatusCode, got, text)
	}
	if got := res.Header.Get("Content-Encoding"); (got != "") != (c.row.want == zips || c.mode.zips) {
		c.Errorf("got content encoding %q", got)
	}
	if want := c.row.cookie; want != "" && !strings.HasPrefix(res.Header.Get("Set-Cookie"), want+"=") {
		c.Errorf("got cookies %q, want %s", res.Header.Values("Set-Cookie"), want)
	}
}

// ends wants the clean end of a response.
func (c *client) ends(b *body) {
	c.Helper()
	if _, err := io.Copy(io.Discard, b); err != nil || b.err != nil {
		c.Errorf("got %v, %v, want a clean end", err, b.err)
	}
	if rest, err := io.ReadAll(b.raw); err != nil || len(rest) > 0 {
		c.Errorf("got %q, %v after the end", rest, err)
	}
}

func (c *client) step() {
	c.Helper()
	select {
	case c.site.steps <- struct{}{}:
	case <-time.After(patience):
		c.Fatal("the stream does not run")
	}
}

// fail wants the event before a failure, and a broken end.
func (c *client) fail() {
	c.Helper()
	b := c.unzip(c.get(c.Context(), "/fail"))
	_, _ = io.Copy(io.Discard, b)
	_, _ = io.Copy(io.Discard, readerFunc(b.readRaw))
	if got, want := b.events(), "data: before"; got != want || b.err == nil {
		c.Errorf("got %q and the end %v, want %q and a broken end", got, b.err, want)
	}
}

func (c *client) leave() {
	c.Helper()
	ctx, cancel := context.WithCancel(c.Context())
	res := c.get(ctx, "/idle")
	c.runs()
	c.detaches()
	cancel()
	_ = res.Body.Close()
	c.cause(core.ErrClientGone)
}

// detaches wants the handler to have returned, or not.
func (c *client) detaches() {
	c.Helper()
	want := int32(1)
	if c.mode.zips && c.row.want == zips {
		return // it depends on who is the first to announce an encoding
	}
	if c.mode.detaches && c.row.want == flows && !c.row.stays {
		want = 0
	}
	for end := time.Now().Add(patience / 2); ; <-time.After(time.Millisecond) { // those of earlier requests may still run
		got := c.site.handlers.Load()
		if got == want {
			return
		}
		if time.Now().After(end) {
			c.Fatalf("got %d handlers while a stream runs, want %d", got, want)
		}
	}
}

// post wants a stream in answer to POST as well, unless the middleware refuses what comes
// from another site.
func (c *client) post() {
	c.Helper()
	if c.row.get {
		return
	}
	res := c.do(c.Context(), http.MethodPost, "/flow")
	if res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusBadRequest {
		_, _ = io.Copy(io.Discard, res.Body)
		return
	}
	c.isStream(res) // before there is an event
	b := c.unzip(res)
	for range 3 {
		c.step()
	}
	c.ends(b)
	if got, want := b.events(), "data: event 1\ndata: event 2\ndata: event 3"; got != want {
		c.Errorf("got %q, want %q", got, want)
	}
}

func (c *client) runs() {
	c.Helper()
	select {
	case <-c.site.runs:
	case <-time.After(patience):
		c.Fatal("the stream does not run")
	}
}

func (c *client) cause(want error) {
	c.Helper()
	select {
	case got := <-c.site.causes:
		if !errors.Is(got, want) {
			c.Errorf("got cause %v, want %v", got, want)
		}
	case <-time.After(patience):
		c.Errorf("the stream did not end; want cause %v", want)
	}
}

func (c *client) plain() {
	c.Helper()
	res := c.get(c.Context(), "/plain")
	r := io.Reader(res.Body)
	if res.Header.Get("Content-Encoding") != "" {
		r = c.unzip(res)
	}
	text, err := io.ReadAll(r)
	if string(text) != "plain" || res.StatusCode != http.StatusOK || err != nil {
		c.Errorf("got %d %q, %v, want 200 and plain", res.StatusCode, text, err)
	}
}

func (c *client) shutDown(shutdown func(context.Context) error) {
	c.Helper()
	b := c.unzip(c.get(c.Context(), "/idle"))
	c.runs()
	end := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		end <- shutdown(ctx)
	}()
	c.ends(b)
	c.cause(core.ErrShutdown)
	if err := <-end; err != nil {
		c.Errorf("shutdown: %v", err)
	}
}

// isRefused wants an answer that names the middleware, for each stream, twice.
func (c *client) isRefused() {
	c.Helper()
	for i, path := range append(paths, paths...) {
		res := c.do(c.Context(), []string{http.MethodGet, http.MethodPost}[i%2], path)
		text, err := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusInternalServerError || !strings.Contains(string(text), c.row.text) ||
			strings.Contains(string(text), "data:") || err != nil {
			c.Errorf("%s: got %d %q, %v, want 500 %q", path, res.StatusCode, text, err, c.row.text)
		}
	}
}

// isBroken wants a broken response, and the reason in the host's log.
func (c *client) isBroken() {
	c.Helper()
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			res := c.do(c.Context(), method, path)
			if text, err := io.ReadAll(res.Body); err == nil {
				c.Errorf("%s %s: got %d %q and a clean end, want a broken one", method, path, res.StatusCode, text)
			}
		}
	}
	deadline := time.Now().Add(patience)
	for {
		if c.site.told(c.row.text) {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("the host's log does not contain %q", c.row.text)
		}
		<-time.After(time.Millisecond)
	}
}

// isKept wants a complete response to a later request, without a stream that runs.
func (c *client) isKept() {
	c.Helper()
	res := c.get(c.Context(), "/flow")
	c.isStream(res)
	c.ends(c.unzip(res))
}

// Write appends to the host's log.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, p...)
	return len(p), nil
}

func (s *site) told(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.log, []byte(text))
}
