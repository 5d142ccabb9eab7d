package ssetest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// wire answers with a stream of these bytes, and then ends, breaks off or waits.
func wire(text, end string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		switch end {
		case "break":
			panic(http.ErrAbortHandler)
		case "wait":
			<-r.Context().Done()
		}
	})
}

func TestStream(t *testing.T) {
	NoLeaks(t)
	s := Open(t, Serve(t, wire("id: 1\nevent: add\ndata: a\n\n: note\n\ndata: b\n\nretry: 5\ndata: c\n\n", "")))
	if s.Status != 200 || s.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got status %d and headers %v", s.Status, s.Header)
	}
	if got, want := s.Next(), (core.Event{ID: "1", Type: "add", Data: "a"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	Equal(t, s.Collect(1), []core.Event{{ID: "1", Data: "b"}})
	Equal(t, s.All(), []core.Event{{ID: "1", Data: "c", Retry: 5 * time.Millisecond}})
	Equal(t, s.All(), nil)
}

func TestStreamComments(t *testing.T) {
	NoLeaks(t)
	s := Request{URL: Serve(t, wire(": note\n\nretry: 5\n\n", "")), Comments: true}.Open(t)
	Equal(t, s.All(), []core.Event{{Comment: "note"}, {Retry: 5 * time.Millisecond}})
}

func TestRest(t *testing.T) {
	NoLeaks(t)
	for _, test := range []struct {
		name, rest, end string
		broken          bool
	}{{"clean", "", "", false}, {"a comment", ": bye", "", false}, {"within an event", "data: lost", "", true}, {"broken", "", "break", true}} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Open(t, Serve(t, wire("data: a\n\n"+test.rest, test.end))).Rest()
			Equal(t, got, []core.Event{{Data: "a"}})
			if broken := err != nil; broken != test.broken {
				t.Errorf("got error %v, want one: %v", err, test.broken)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	NoLeaks(t)
	url := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, r.Method, " ", string(body), " ", r.Header.Get("Accept"), " ", r.Header.Get("X-Own"),
			" ", r.Header.Get("Last-Event-ID"))
	}))
	for _, test := range []struct {
		name    string
		request Request
		want    string
	}{
		{"zero", Request{}, "GET  text/event-stream  "},
		{"body", Request{Body: "hello"}, "POST hello text/event-stream  "},
		{"method", Request{Method: "PUT", Body: "hello"}, "PUT hello text/event-stream  "},
		{"headers", Request{Header: http.Header{"Accept": {"*/*"}, "X-Own": {"own"}}}, "GET  */* own "},
		{"ID", Request{Header: http.Header{"Last-Event-Id": {"7"}}}, "GET  text/event-stream  7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.URL = url
			if got := test.request.Open(t).Body(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func wantSoon(t *testing.T, ch <-chan string, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(time.Second):
		t.Fatalf("%s did not come within a second", what)
	}
}

func TestResume(t *testing.T) {
	NoLeaks(t)
	gone := make(chan string, 10)
	s := Open(t, Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
		if last == 5 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for n := last + 1; n <= 5; n++ {
			_, _ = fmt.Fprintf(w, "id: %d\ndata: %d\n\n", n, n)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		gone <- "gone"
	})))
	want := []core.Event{{ID: "1", Data: "1"}, {ID: "2", Data: "2"}, {ID: "3", Data: "3"}, {ID: "4", Data: "4"}, {ID: "5", Data: "5"}}
	Equal(t, s.Collect(2), want[:2])
	s.Resume()
	wantSoon(t, gone, "the end of the first connection")
	Equal(t, s.Collect(1), want[2:3])
	s.Close()
	s.Close()
	wantSoon(t, gone, "the end of the second connection")
	s.Resume()
	Equal(t, s.Collect(2), want[3:])
	s.Resume()
	if got, want := s.Status, http.StatusNoContent; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
}

func TestFailures(t *testing.T) {
	NoLeaks(t)
	forbidden := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no entry", 403) })
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, test := range []struct {
		name    string
		handler http.Handler
		run     func(s *Stream)
		want    []string
	}{
		{"Next after the end", wire("data: a\n\n", ""), func(s *Stream) { s.Collect(2) }, []string{"GET http://", "has ended", "after 1 events", `data "a"`}},
		{"Next of a broken stream", wire("data: a\n\n", "break"), func(s *Stream) { s.Collect(2) }, []string{"is broken", "after 1 events"}},
		{"Next in vain", wire("data: a\n\n", "wait"), func(s *Stream) { s.Collect(2) }, []string{"no event and no end within 1s", "after 1 events"}},
		{"All in vain", wire("", "wait"), func(s *Stream) { s.All() }, []string{"no event and no end within 1s", "before any event"}},
		{"All of a broken stream", wire(strings.Repeat("data: a\n\n", 20), "break"), func(s *Stream) { s.All() }, []string{"is broken", "after 20 events, the last of them"}},
		{"Rest in vain", wire("", "wait"), func(s *Stream) { _, _ = s.Rest() }, []string{"no event and no end"}},
		{"Body in vain", wire("data: a\n\n", "wait"), func(s *Stream) { s.Body() }, []string{"no end of the body within 1s", `"data: a\n\n"`}},
		{"Body of a broken response", wire("data: a\n\n", "break"), func(s *Stream) { s.Body() }, []string{"the body is broken", `"data: a\n\n"`}},
		{"no stream", forbidden, func(s *Stream) { s.Next() }, []string{"status 403", `"text/plain`, "no entry"}},
		{"headers in vain", silent, func(*Stream) {}, []string{"no headers within 1s"}},
		{"after Close", wire("", "wait"), func(s *Stream) { s.Close(); s.Next() }, []string{"the test has closed the stream"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := Request{URL: Serve(t, test.handler)}
			if strings.HasSuffix(test.name, "in vain") {
				r.Timeout = time.Second
			}
			got := hosttest.Failed(t, func(t testing.TB) { test.run(r.Open(t)) })
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got failure %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	NoLeaks(t)
	for _, test := range []struct{ name, url, want string }{
		{"nobody there", "http://" + testenv.Addr(t), "connection refused"},
		{"no URL", ":", "missing protocol scheme"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := hosttest.Failed(t, func(t testing.TB) { Open(t, test.url) }); !strings.Contains(got, test.want) {
				t.Errorf("got failure %q, want %q in it", got, test.want)
			}
		})
	}
}

func TestServeEndsWithOpenStreams(t *testing.T) {
	NoLeaks(t)
	got := hosttest.Failed(t, func(t testing.TB) {
		url := serve(t, wire("data: a\n\n", "wait"), 5*time.Second)
		for range 20 {
			Open(t, url).Next()
		}
	})
	if got != "" {
		t.Errorf("got failure %q, want none", got)
	}
}

func TestServeTellsOfAHandlerThatStays(t *testing.T) {
	NoLeaks(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	got := hosttest.Failed(t, func(t testing.TB) {
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wire("data: a\n\n", "").ServeHTTP(w, r)
			<-release
		}), 50*time.Millisecond)
		Open(t, url).Next()
	})
	if want := "a handler still runs 50ms after its connection was closed"; !strings.Contains(got, want) {
		t.Errorf("got failure %q, want %q in it", got, want)
	}
}
