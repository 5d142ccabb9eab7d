package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// The suite passes for a correct host.
func TestConformance(t *testing.T) {
	Conformance(t, Mount{Serve: new(sample).serve})
}

// The suite fails for faulty hosts, and says what is wrong.
func TestConformanceFails(t *testing.T) {
	const short, long = 500 * time.Millisecond, 3 * time.Second
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	untested := make(map[uintptr]check)
	for _, c := range checks {
		untested[reflect.ValueOf(c.run).Pointer()] = c
	}
	for _, test := range []struct {
		name  string
		flaw  sample
		check func(t testing.TB, h mounted)
		wait  time.Duration
		want  string
	}{
		{"without the headers of a stream", sample{noHeaders: true}, checkHeaders, long, "got Content-Type"},
		{"with a length", sample{length: true}, checkHeaders, long, "got Content-Length"},
		{"overwrites Cache-Control", sample{ownCaching: true}, checkOwnHeaders, long, "got Cache-Control"},
		{"gathers the response: headers", sample{gather: true}, checkOpening, short, "no headers within"},
		{"gathers the response: heartbeats", sample{gather: true}, checkHeartbeat, short, "no headers within"},
		{"flushes once: events", sample{flushOnce: true}, checkEachEvent, short, "no event and no end"},
		{"flushes once: HTTP/1.0", sample{flushOnce: true}, checkEachEventHTTP10, short, "no event and no end"},
		{"flushes once: bursts", sample{flushOnce: true}, checkBurst, short, "no event and no end"},
		{"greets everybody", sample{greet: true}, checkOpeningPost, long, "comment"},
		{"runs the generator for HEAD", sample{head: true}, checkHead, short, "the generator 1 times"},
		{"eats the body", sample{eatBody: true}, checkBody, long, "the view read 0 bytes"},
		{"writes headers too soon", sample{early: true}, checkAnswers, long, "got headers"},
		{"answers after a nil stream", sample{answerNil: true}, checkAnswers, long, "got body"},
		{"makes a handler of a nil view", sample{takeNil: true}, checkNilView, long, "want a panic"},
		{"waits for bodies", sample{waitForBody: true}, checkUnreadBodies, short, "a body that is stalled: got no answer, want status 408"},
		{"does not hear of a shutdown while it reads a body", sample{waitForBody: true}, checkShutdownWithBodies, short, "streams have not ended"},
		{"refuses a body that is closed", sample{wantBody: true}, checkClosedBody, long, "want a stream, after the view has closed the body"},
		{"hides the ID", sample{noID: true}, checkLastEventID, long, `a number: got ID ""`},
		{"hides the query", sample{noID: true}, checkQueryID, long, `a query: got ID ""`},
		{"says nothing of the request", sample{noRequest: true}, checkRequest, long, "got the request {RemoteAddr: "},
		{"trims data", sample{wrap: trim}, checkWire, long, `got "data: world\n\n"`},
		{"loses events", sample{wrap: loseSecond}, checkHeartbeatAtFullSpeed, long, `- id "2"`},
		{"breaks off whatever the options", sample{breakAll: true}, checkBadOptions, long, "the stream is broken"},
		{"ignores options: retry", sample{noOptions: true}, checkRetry, long, "retry 1.234s"},
		{"hides what the client accepts", sample{noAccept: true}, checkCompression, long, `gzip: got Content-Encoding [], want "gzip"`},
		{"flushes once: compressed events", sample{flushOnce: true}, checkEachCompressedEvent, short, "no event and no end"},
		{"ends cleanly after a failure, compressed", sample{noAbort: true}, checkCompressedFailure, long, "the response ended cleanly"},
		{"heartbeats off", sample{option: core.WithHeartbeat(0)}, checkHeartbeat, short, "no event and no end"},
		{"heartbeats always", sample{chatter: true}, checkNoHeartbeat, long, "heartbeats came though"},
		{"keeps the server's deadline", sample{deadline: true}, checkTimeouts, long, "the stream is broken"},
		{"never hears that the client leaves", sample{deaf: true}, checkLeaving, short, "GET: the end of the context after the client had left"},
		{"hears it after a read body only", sample{deafToBody: true}, checkLeaving, short, "POST with a large body that the view does not read: the end of the context"},
		{"leaves a goroutine behind", sample{leak: forever}, checkLeaving, long, "adaptertest.stay("},
		{"calls a client that leaves an error", sample{logAll: true}, checkLeaving, long, "the host logged"},
		{"keeps the generator", sample{keep: true}, checkLeavingBusy, short, "the end of the context did not come"},
		{"never breaks a write", sample{noAbort: true}, checkSlowClient, long, "the end of the session of a client that does not read did not come within"},
		{"writes to one client at a time", sample{serial: new(sync.Mutex)}, checkSlowClient, 2 * long, "other"},
		{"ends cleanly after a failure", sample{noAbort: true}, checkFailure, long, "the response ended cleanly"},
		{"ends properly after a failure on HTTP/1.0", sample{properEnd: true}, checkEndsHTTP10, long, "error: the response on HTTP/1.0 ended with <nil>, want a reset"},
		{"has net/http close properly when a write fails", sample{properEnd: true}, checkSlowHTTP10, long, "the response on HTTP/1.0 ended with <nil> after"},
		{"ends properly for half a client", sample{noAbort: true}, checkHalfClose, long, "HTTP/1.1, after 1 events: a client that closes its half of the connection sees the end <nil>"},
		{"hides failures", sample{quiet: true}, checkFailure, short, "the host's log says boom"},
		{"breaks the response of an error event", sample{breakAll: true}, checkErrorEvent, long, "the body is broken"},
		{"answers a failure as a refusal", sample{answerFailed: true}, checkErrorEvent, long, `boom: a refusal\n" after the opening`},
		{"breaks the response at the maximum duration", sample{breakAll: true}, checkMaxDuration, long, "the stream is broken"},
		{"breaks the response when a credential expires", sample{breakAll: true}, checkExpiry, long, "the stream is broken"},
		{"breaks the response of who may not continue", sample{breakAll: true}, checkRecheck, long, "the stream is broken"},
		{"never ends by itself", sample{deaf: true, noGroup: true}, checkShutdown, short, "the host's shutdown: context deadline exceeded"},
		{"breaks off at a shutdown", sample{breakAll: true}, checkShutdown, long, "the stream is broken"},
		{"runs the view of a refused request", sample{viewFirst: true}, checkGroupLimit, long, "the view ran 5 times"},
		{"has no request for a key", sample{noRequest: true}, checkGroupKey, short, "got status 200, want 429"},
		{"breaks off the oldest", sample{breakAll: true}, checkEviction, long, "the stream is broken"},
		{"breaks off when it drains", sample{breakAll: true}, checkDrain, long, "the stream is broken"},
		{"begins what is refused", sample{noRefused: true}, checkRefusals, long, "got status 200, want 503"},
		{"tells no observer of a refusal", sample{noTell: true}, checkRefusals, long, "the observer was told of refusals with [], want [503 409 204 503 503]"},
		{"refuses without a Retry-After", sample{noRetryAfter: true}, checkGroupShutdown, long, "got Retry-After []"},
		{"corrupts events of a crowd", sample{wrap: loseSecond}, checkCrowd, long, "a client among many"},
	} {
		key := reflect.ValueOf(test.check).Pointer()
		alone := slices.ContainsFunc(checks, func(c check) bool { return c.alone && reflect.ValueOf(c.run).Pointer() == key })
		delete(untested, key)
		t.Run(test.name, func(t *testing.T) {
			if !alone || test.flaw.leak != nil { // it waits, and knows its goroutine by name
				t.Parallel()
			}
			got := ""
			for tries := range 3 { // on a busy machine, something else may take too long at first
				h := mounted{Mount{Serve: test.flaw.serve, timeout: test.wait << (2 * tries)}, HTTP1}
				got = hosttest.Failed(t, func(t testing.TB) { test.check(t, h) })
				if strings.Contains(got, "skipped: ") {
					t.Skip(got)
				}
				if strings.Contains(got, test.want) {
					return
				}
			}
			t.Errorf("got failure %q, want %q in it", got, test.want)
		})
	}
	for _, c := range untested {
		t.Errorf("no faulty host fails the check %q", c.name)
	}
}

// A host cannot speak HTTP/3 to the suites without a transport.
func TestNoTransport(t *testing.T) {
	mount := Mount{Serve: new(sample).serve, Protocols: []Protocol{HTTP3}, timeout: defaultTimeout}
	for name, suite := range map[string]func(t testing.TB){
		"Conformance":  func(t testing.TB) { checkHeaders(t, mounted{mount, HTTP3}) },
		"Differential": func(t testing.TB) { (&differential{t: t, mount: mount}).run() },
	} {
		t.Run(name, func(t *testing.T) {
			const want = "adaptertest: Mount.Protocols has HTTP3, but Serve has not set Site.Transport: set it to"
			if got := hosttest.Failed(t, suite); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want only %q", got, want)
			}
		})
	}
}

// A sample is a small adapter for net/http with a fault.
type sample struct {
	noHeaders, length, ownCaching, gather, flushOnce, head, eatBody, early, answerNil, takeNil, noID, noOptions bool

	chatter, deadline, deaf, deafToBody, logAll, keep, noAbort, quiet, breakAll, noGroup, viewFirst, noRetryAfter bool

	noAccept, waitForBody, wantBody, properEnd, noRefused, noTell, answerFailed, greet, noRequest bool

	leak   <-chan struct{} // where a goroutine of each stream waits
	serial *sync.Mutex     // held over each write
	option core.Option
	wrap   func(core.Stream) core.Stream
}

func (f *sample) serve(t testing.TB, site *Site) (shutdown func(context.Context) error) {
	logger, group := log.New(site.Log, "", 0), new(core.Group)
	untilEnd, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	opts := append(slices.Clone(site.Options), f.option)
	if f.noOptions {
		opts = site.Options[:2]
	}
	if f.chatter {
		opts = append(opts, core.WithHeartbeat(time.Millisecond))
	}
	if !f.noGroup {
		opts = append(opts, core.WithGroup(group))
	}
	type view func(w http.ResponseWriter, r *http.Request) core.Stream
	handler := func(view view) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if f.viewFirst {
				view(w, r)
			}
			f.stream(untilEnd, w, r, view, opts, logger)
		}
	}
	mux := http.NewServeMux()
	for path, v := range site.Views {
		if v == nil && !f.takeNil {
			panic("the view is nil")
		}
		mux.Handle(path, handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			return v(r.Context(), Exchange{Body: r.Body, SetHeader: w.Header().Set})
		}))
	}
	for name, answer := range map[string]http.HandlerFunc{
		"forbidden":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no entry", http.StatusForbidden) },
		"json":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
		"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/json", http.StatusSeeOther) },
		"no-content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
	} {
		mux.Handle("/plain/"+name, answer)
		mux.Handle("/"+name, handler(func(w http.ResponseWriter, r *http.Request) core.Stream { answer(w, r); return nil }))
	}
	srv := site.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil && !f.quiet {
				logger.Print(v)
			}
		}()
		mux.ServeHTTP(w, r)
	}))
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	srv.RegisterOnShutdown(func() { _ = group.Shutdown(context.Background()) })
	go func() { _ = srv.Serve(site.Listener) }()
	return srv.Shutdown
}

func (f *sample) told(err error) error {
	if f.noTell {
		return nil
	}
	return err
}

func (f *sample) accept(r *http.Request) string {
	if f.noAccept {
		return ""
	}
	return strings.Join(r.Header["Accept-Encoding"], ",")
}

func (f *sample) query(r *http.Request) func(name string) string {
	if f.noID {
		return func(string) string { return "" }
	}
	return r.URL.Query().Get
}

func (f *sample) stream(untilEnd context.Context, w http.ResponseWriter, r *http.Request,
	view func(http.ResponseWriter, *http.Request) core.Stream, opts []core.Option, logger *log.Logger,
) {
	ctx, id := r.Context(), r.Header.Get("Last-Event-ID")
	if f.deaf || f.deafToBody && r.ContentLength > 100<<10 && id == "" {
		ctx = untilEnd
	}
	if f.noID {
		id = ""
	}
	if f.eatBody {
		_, _ = new(bytes.Buffer).ReadFrom(r.Body)
	}
	request := core.Request{RemoteAddr: r.RemoteAddr, Method: r.Method, Path: r.URL.Path, Route: r.Pattern, LastEventID: id}
	if f.noRequest {
		request = core.Request{LastEventID: id}
	}
	s, err := host.NewSession(ctx, request, opts...)
	if err != nil {
		f.refuse(w, err)
		return
	}
	s.Query(f.query(r))
	served := false
	defer func() {
		if !served {
			s.Close(f.told(err))
		}
	}()
	h, control := w.Header(), http.NewResponseController(w)
	if f.early {
		s.SetHeaders(h, f.accept(r))
	}
	stream := view(w, r.WithContext(s.Context()))
	if stream == nil {
		if f.answerNil {
			_, _ = w.Write([]byte("more"))
		}
		return
	}
	err = f.drain(s, r, control)
	if refused := s.Refused(); refused != nil && !f.noRefused {
		err = refused
	}
	if err != nil {
		f.refuse(w, err)
		return
	}
	if !f.noHeaders {
		s.SetHeaders(h, f.accept(r))
	}
	if f.ownCaching {
		h.Set("Cache-Control", "no-cache")
	}
	if f.length {
		h.Set("Content-Length", "1000")
	}
	if r.Method == http.MethodHead && !f.head {
		return
	}
	if !f.greet {
		s.Direct(r.Method)
	}
	c := &sampleConn{w: w, control: control, flaw: f}
	if !f.deadline {
		_ = c.control.SetReadDeadline(time.Time{})
		_ = c.control.SetWriteDeadline(time.Time{})
	}
	if f.leak != nil {
		go stay(f.leak)
	}
	if f.wrap != nil {
		stream = f.wrap(stream)
	}
	if f.keep {
		stream = keep(stream, untilEnd.Done())
	}
	served = true
	c.resetOnClose(r)
	defer c.reset()
	if err := s.Serve(c, stream); err != nil {
		f.failed(w, err, logger)
	}
	if f.logAll && context.Cause(s.Context()) != nil {
		logger.Print(context.Cause(s.Context()))
	}
	if f.breakAll {
		c.Abort()
	}
}

func (f *sample) failed(w http.ResponseWriter, err error, logger *log.Logger) {
	if !f.quiet {
		logger.Print(err)
	}
	if f.answerFailed {
		f.refuse(w, err)
	}
}

func (f *sample) drain(s *host.Session, r *http.Request, control *http.ResponseController) error {
	if f.waitForBody {
		_, _ = new(bytes.Buffer).ReadFrom(r.Body)
		return nil
	}
	if r.ProtoMajor != 1 {
		return nil
	}
	err := host.DrainBody(s.Context(), r.Body, control.SetReadDeadline)
	if errors.Is(err, http.ErrBodyReadAfterClose) && !f.wantBody {
		return nil
	}
	if err != nil {
		_ = control.SetReadDeadline(time.Unix(1, 0))
	}
	return err //nolint:wrapcheck // a refusal is not wrapped
}

func (f *sample) refuse(w http.ResponseWriter, err error) {
	var refused *core.RefusedError
	if !errors.As(err, &refused) {
		return
	}
	if !f.noRetryAfter && refused.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(refused.RetryAfter.Seconds())))
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1)) // it closes the connection
	http.Error(w, refused.Answer(), refused.Status)
}

type sampleConn struct {
	w       http.ResponseWriter
	control *http.ResponseController
	flaw    *sample
	sent    bool
	broken  atomic.Bool
	line    net.Conn // of HTTP/1.0, or nil
}

type connKey struct{}

func (c *sampleConn) Send(f host.Frames) error {
	if c.flaw.flushOnce && c.sent {
		return nil // it waits for more frames
	}
	if c.flaw.serial != nil {
		c.flaw.serial.Lock()
		defer c.flaw.serial.Unlock()
	}
	_, err := c.w.Write(f.Bytes())
	if err != nil || c.flaw.gather {
		return err //nolint:wrapcheck // it is as a host's
	}
	c.sent = true
	return c.control.Flush() //nolint:wrapcheck // it is as a host's
}

func (c *sampleConn) End() error {
	return host.ResetOnClose(c.line, false) //nolint:wrapcheck // it is as a host's
}

func (c *sampleConn) Abort() {
	c.broken.Store(true)
	if !c.flaw.noAbort {
		_ = c.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (c *sampleConn) resetOnClose(r *http.Request) {
	if !r.ProtoAtLeast(1, 1) && !c.flaw.properEnd {
		c.line, _ = r.Context().Value(connKey{}).(net.Conn)
		_ = host.ResetOnClose(c.line, true)
	}
}

func (c *sampleConn) reset() {
	if c.line == nil || !c.broken.Load() {
		return
	}
	if conn, _, err := c.control.Hijack(); err == nil {
		host.Reset(conn)
		_ = conn.Close()
	}
}

// stay is the function of a goroutine that leaks.
func stay(release <-chan struct{}) { <-release }

// trim trims the spaces around data.
func trim(stream core.Stream) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for e, err := range stream {
			e.Data = strings.TrimSpace(e.Data)
			if !yield(e, err) {
				return
			}
		}
	}
}

// loseSecond loses the second event.
func loseSecond(stream core.Stream) core.Stream {
	return func(yield func(core.Event, error) bool) {
		n := 0
		for e, err := range stream {
			if n++; n != 2 && !yield(e, err) {
				return
			}
		}
	}
}

// keep makes yield wait for release before it returns false.
func keep(stream core.Stream, release <-chan struct{}) core.Stream {
	return func(yield func(core.Event, error) bool) {
		stream(func(e core.Event, err error) bool {
			ok := yield(e, err)
			if !ok {
				<-release
			}
			return ok
		})
	}
}
