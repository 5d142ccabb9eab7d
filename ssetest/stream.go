package ssetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// defaultTimeout bounds a wait unless Request.Timeout is set.
const defaultTimeout = 30 * time.Second

// A Request describes what to open. Only URL is required.
type Request struct {
	URL    string
	Method string      // GET if empty, or POST if there is a body
	Body   string      // sent again by Resume
	Header http.Header // sent again by Resume, with its Last-Event-ID

	// Client sends the request. If it is nil, the stream has its own client, whose
	// connections end with the test.
	Client *http.Client

	// Timeout bounds each wait, for the headers and for each event. Zero means
	// 30 s.
	Timeout time.Duration

	// Comments shows comments, and reconnection times without an event, as
	// events, as [core.Parser] does. Heartbeats are comments.
	Comments bool
}

// Open opens the stream at url.
func Open(t testing.TB, url string) *Stream {
	t.Helper()
	return Request{URL: url}.Open(t)
}

// Open sends the request and waits for the headers. The connection is dropped at
// the end of the test at the latest.
func (r Request) Open(t testing.TB) *Stream {
	t.Helper()
	s := &Stream{t: t, request: r, timeout: cmp.Or(r.Timeout, defaultTimeout)}
	if r.Method == "" {
		s.request.Method = http.MethodGet
		if r.Body != "" {
			s.request.Method = http.MethodPost
		}
	}
	s.client = r.Client
	if s.client == nil {
		s.client = &http.Client{Transport: &http.Transport{}}
		t.Cleanup(s.client.CloseIdleConnections)
	}
	s.parser.Comments = r.Comments
	s.parser.LastEventID = r.Header.Get("Last-Event-ID")
	t.Cleanup(s.Close)
	s.connect()
	return s
}

// A Stream is an open response. Its methods are for the test's own goroutine.
// A method that waits too long ends the test with [testing.TB.Fatal], and shows what has
// arrived so far.
type Stream struct {
	Status int         // the response's, 200 for a stream
	Header http.Header // the response's

	t       testing.TB
	request Request
	client  *http.Client
	timeout time.Duration
	parser  core.Parser

	body    io.ReadCloser
	drop    func() // drops the connection
	expired *atomic.Bool
	next    func() (core.Event, error, bool)
	stop    func()
	count   int // events of this connection
	recent  []core.Event
}

// connect sends the request.
func (s *Stream) connect() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, s.request.Method, s.request.URL, strings.NewReader(s.request.Body))
	if err != nil {
		cancel()
		s.t.Fatalf("ssetest: %v", err)
	}
	r.Header = s.request.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, h := range [][2]string{{"Accept", "text/event-stream"}, {"Cache-Control", "no-cache"}} {
		if r.Header[h[0]] == nil {
			r.Header.Set(h[0], h[1])
		}
	}
	if s.parser.LastEventID != "" {
		r.Header.Set("Last-Event-ID", s.parser.LastEventID)
	}
	expired := new(atomic.Bool)
	timer := time.AfterFunc(s.timeout, func() { expired.Store(true); cancel() })
	resp, err := s.client.Do(r)
	timer.Stop()
	switch {
	case expired.Load():
		cancel()
		s.t.Fatalf("ssetest: %s: no headers within %v", s.name(), s.timeout)
	case err != nil:
		cancel()
		s.t.Fatalf("ssetest: %s: %v", s.name(), err)
	}
	s.begin(resp, cancel)
}

// begin makes s read from resp; drop ends resp's connection.
func (s *Stream) begin(resp *http.Response, drop func()) {
	s.Status, s.Header, s.body, s.drop = resp.StatusCode, resp.Header, resp.Body, drop
	s.expired = new(atomic.Bool)
	s.next, s.stop = iter.Pull2(s.parser.Read(resp.Body))
	s.count, s.recent = 0, nil
}

// Next waits for the next event. An event without an ID has the last event ID, as in a
// browser.
func (s *Stream) Next() core.Event {
	s.t.Helper()
	e, err := s.read()
	switch {
	case errors.Is(err, io.EOF):
		s.t.Fatalf("ssetest: %s: the stream has ended, %s", s.name(), s.soFar())
	case err != nil:
		s.t.Fatalf("ssetest: %s: the stream is broken: %v, %s", s.name(), err, s.soFar())
	}
	return e
}

// Collect waits for n events.
func (s *Stream) Collect(n int) []core.Event {
	s.t.Helper()
	events := make([]core.Event, 0, n)
	for range n {
		events = append(events, s.Next())
	}
	return events
}

// All reads to the end, which must be clean. A stream that breaks off, or ends in the middle
// of an event, fails the test.
func (s *Stream) All() []core.Event {
	s.t.Helper()
	events, err := s.Rest()
	if err != nil {
		s.t.Fatalf("ssetest: %s: the stream is broken: %v, %s", s.name(), err, s.soFar())
	}
	return events
}

// Rest reads to the end. The error is nil if the response ended cleanly, and not in the
// middle of an event. Otherwise it says how the response broke.
func (s *Stream) Rest() ([]core.Event, error) {
	s.t.Helper()
	var events []core.Event
	for {
		e, err := s.read()
		switch {
		case errors.Is(err, io.EOF):
			return events, nil
		case err != nil:
			return events, err
		}
		events = append(events, e)
	}
}

// Body reads the response's raw bytes to the end, which must be clean: an answer that is
// not a stream, or a stream byte for byte. Call it instead of the methods that read
// events.
func (s *Stream) Body() string {
	s.t.Helper()
	defer s.watch()()
	b, err := io.ReadAll(s.body)
	switch {
	case s.expired.Load():
		s.t.Fatalf("ssetest: %s: no end of the body within %v, so far: %.1000q", s.name(), s.timeout, b)
	case err != nil:
		s.t.Fatalf("ssetest: %s: the body is broken: %v, so far: %.1000q", s.name(), err, b)
	}
	return string(b)
}

// Close drops the connection, like a client that leaves.
func (s *Stream) Close() {
	if s.body == nil {
		return
	}
	s.drop()
	_ = s.body.Close()
	s.stop()
	s.body = nil
}

// Resume drops the connection, if it is still open, and at once sends the request again
// with the last event ID. Then Status and Header are the new response's.
func (s *Stream) Resume() {
	s.t.Helper()
	s.Close()
	s.connect()
}

// read waits for an event; io.EOF is the clean end.
func (s *Stream) read() (core.Event, error) {
	s.t.Helper()
	if s.body == nil {
		s.t.Fatalf("ssetest: %s: the test has closed the stream, %s", s.name(), s.soFar())
	}
	if kind := s.Header.Get("Content-Type"); s.Status != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		s.t.Fatalf("ssetest: %s: status %d with Content-Type %q is not an event stream; its body: %.1000q",
			s.name(), s.Status, kind, s.Body())
	}
	defer s.watch()()
	e, err, ok := s.next()
	switch {
	case s.expired.Load():
		s.t.Fatalf("ssetest: %s: no event and no end within %v, %s", s.name(), s.timeout, s.soFar())
	case !ok && s.parser.Incomplete:
		return core.Event{}, fmt.Errorf("the response ended in the middle of an event, which clients do not get: %w", io.ErrUnexpectedEOF)
	case !ok:
		return core.Event{}, io.EOF
	case err == nil:
		s.count++
		if s.recent = append(s.recent, e); len(s.recent) > 10 {
			s.recent = s.recent[1:]
		}
	}
	return e, err
}

// watch drops the connection if a wait lasts too long. The caller calls stop when the
// wait is over.
func (s *Stream) watch() (stop func()) {
	expired, drop := s.expired, s.drop
	timer := time.AfterFunc(s.timeout, func() { expired.Store(true); drop() })
	return func() { timer.Stop() }
}

func (s *Stream) name() string { return s.request.Method + " " + s.request.URL }

// soFar describes the events so far.
func (s *Stream) soFar() string {
	switch {
	case s.count == 0:
		return "before any event"
	case s.count > len(s.recent):
		return fmt.Sprintf("after %d events, the last of them:\n%s", s.count, list("  ", s.recent))
	default:
		return fmt.Sprintf("after %d events:\n%s", s.count, list("  ", s.recent))
	}
}
