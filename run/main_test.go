package run_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	testenv.Parallel()
	ssetest.Main(m)
}

// patience is how long a test waits for something that should come at once.
const patience = time.Minute

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A script is a generator that a test leads.
type script struct {
	events chan core.Event // closed, the generator returns
	fail   chan error      // the generator yields what comes
	ended  chan error      // the cause of the context's end, once it has ended or yield is false
}

func newScript() *script {
	return &script{make(chan core.Event), make(chan error), make(chan error, 1)}
}

func (s *script) generate(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for {
			select {
			case e, ok := <-s.events:
				if !ok {
					return
				}
				if !yield(e, nil) {
					s.ended <- context.Cause(ctx)
					return
				}
			case err := <-s.fail:
				yield(core.Event{}, err)
				return
			case <-ctx.Done():
				s.ended <- context.Cause(ctx)
				return
			}
		}
	}
}

// say has the generator yield events with this data.
func (s *script) say(words ...string) {
	for _, word := range words {
		s.events <- core.Event{Data: word}
	}
}

// serve serves a runner: POST /key starts a run of generate, GET /key attaches to it. With
// ?start, GET starts it too, and with ?detach the session is detached.
func serve(t testing.TB, r *run.Runner, generate func(context.Context) core.Stream, opts ...core.Option) (url string) {
	t.Helper()
	view := func(_ http.ResponseWriter, req *http.Request) core.Stream {
		if req.Method == http.MethodPost || req.URL.Query().Has("start") {
			return r.Start(req.Context(), req.URL.Path[1:], generate)
		}
		return r.Attach(req.Context(), req.URL.Path[1:])
	}
	attached := nethttpsse.Handler(view, opts...)
	detached := nethttpsse.Handler(view, append(opts, core.WithDetach())...)
	return ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Has("detach") {
			detached.ServeHTTP(w, req)
		} else {
			attached.ServeHTTP(w, req)
		}
	}))
}

// post starts a run.
func post(t testing.TB, url string) *ssetest.Stream {
	t.Helper()
	return ssetest.Request{URL: url, Method: http.MethodPost}.Open(t)
}

// want takes as many events as there are words, which are their data.
func want(t testing.TB, s *ssetest.Stream, words ...string) {
	t.Helper()
	for _, word := range words {
		if got := s.Next().Data; got != word {
			t.Fatalf("got %q, want %q", got, word)
		}
	}
}

// status sends a request with a last event ID, and returns the status.
func status(t testing.TB, url, lastEventID string) int {
	t.Helper()
	s := ssetest.Request{URL: url, Header: http.Header{"Last-Event-Id": {lastEventID}}}.Open(t)
	s.Close()
	return s.Status
}

// collect returns the data of a stream, and its error.
func collect(s core.Stream) (data []string, err error) {
	for e, err := range s {
		if err != nil {
			return data, err
		}
		data = append(data, e.Data)
	}
	return data, nil
}

// all is a generator of these words.
func all(words ...string) func(context.Context) core.Stream {
	return func(context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for _, word := range words {
				if !yield(core.Event{Data: word}, nil) {
					return
				}
			}
		}
	}
}

// never is a generator that waits for the end of its context.
func never(ctx context.Context) core.Stream {
	return func(func(core.Event, error) bool) { <-ctx.Done() }
}

// state returns the state of a run that is held.
func state(t testing.TB, r *run.Runner, key string) run.State {
	t.Helper()
	s, err := r.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return s
}

// pull runs a stream, one step at a time.
func pull(t testing.TB, s core.Stream) func() (core.Event, error, bool) {
	t.Helper()
	next, stop := iter.Pull2(s)
	t.Cleanup(stop)
	return next
}

// discardLog keeps the traces of panics out of the test's output.
func discardLog(t *testing.T) {
	t.Helper()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}

// exclusive starts a run that must not run already.
func exclusive(r *run.Runner) http.Handler {
	return nethttpsse.Handler(func(_ http.ResponseWriter, req *http.Request) core.Stream {
		return r.Start(req.Context(), "x", never, run.WithExclusive())
	})
}

func isError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got the error %v, want %v", got, want)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func list(t testing.TB, r *run.Runner) []run.State {
	t.Helper()
	states, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return states
}
