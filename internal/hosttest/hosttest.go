// Package hosttest has what the tests of adapters share: servers, requests, and responses
// as they were sent.
package hosttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// Serve serves h on loopback until the test ends, and returns its URL. The functions with
// are called with the server before it starts.
func Serve(t testing.TB, h http.Handler, with ...func(*http.Server)) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	for _, set := range with {
		set(srv.Config)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// An Answer is a whole response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Broken bool // the body did not end as it should
}

// Get requests url and reads the answer to its end. header has names and values in
// turn.
func Get(t testing.TB, url string, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return Do(t, req)
}

// Do sends req on a new connection and reads the answer to its end, which must come within Patience.
func Do(t testing.TB, req *http.Request) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), Patience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	res, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if ctx.Err() != nil {
		t.Fatalf("%s %s: the response does not end: it has %d bytes so far", req.Method, req.URL, len(body))
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(body), Broken: err != nil}
}

// Events returns a stream that has one event for each of data.
func Events(data ...string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for _, d := range data {
			if !yield(core.Event{Data: d}, nil) {
				return
			}
		}
	}
}

// Fail returns a stream that has one event, "before", and then fails.
func Fail(err error) core.Stream {
	return func(yield func(core.Event, error) bool) {
		if yield(core.Event{Data: "before"}, nil) {
			yield(core.Event{}, err)
		}
	}
}

// Forging returns a stream that fails with an error in which a client has put a line of its
// own. [Logbook.Forged] looks for it.
func Forging() core.Stream { return Fail(errors.New("there is no item a" + forged)) }

const forged = "\n2026/01/01 root logged in"

// Stepped returns a stream and its step: the stream yields an event for each call of step.
// So a test that waits for each event notices one that is held back.
func Stepped(data ...string) (s core.Stream, step func()) {
	steps := make(chan struct{}, len(data))
	return func(yield func(core.Event, error) bool) {
			for _, d := range data {
				select {
				case <-steps:
				case <-time.After(Patience): // the test has failed
					return
				}
				if !yield(core.Event{Data: d}, nil) {
					return
				}
			}
		}, func() {
			select {
			case steps <- struct{}{}:
			default: // enough for all of data
			}
		}
}

// A Log is an io.Writer for a server's log. The test receives its lines.
type Log chan string

// NewLog returns a Log that has room for a test's lines.
func NewLog() Log { return make(Log, 100) }

func (l Log) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
