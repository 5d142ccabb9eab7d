package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestRelay(t *testing.T) {
	ssetest.NoLeaks(t)
	asked := make(chan string, 1) // the last event ID that the other server gets
	gone := make(chan error, 1)   // why its stream ended
	upstream := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		asked <- core.LastEventID(r.Context())
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{ID: "7", Type: "add", Data: " two\nlines "}, nil)
			<-r.Context().Done()
			gone <- context.Cause(r.Context())
		}
	}))
	relay := ssetest.Serve(t, router(upstream))

	s := ssetest.Request{URL: relay, Header: http.Header{"Last-Event-Id": {"~6"}}}.Open(t)
	if got, want := <-asked, "6"; got != want {
		t.Errorf("the other server got last event ID %q, want %q", got, want)
	}
	if got, want := s.Next(), (core.Event{ID: "~7", Type: "add", Data: " two\nlines "}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Close()
	select {
	case cause := <-gone:
		if !errors.Is(cause, core.ErrClientGone) {
			t.Errorf("the other stream ended with cause %v, want %v", cause, core.ErrClientGone)
		}
	case <-time.After(time.Minute):
		t.Error("the other stream did not end after the browser had left")
	}
}

// Whenever the browser loses the relay, it resumes at the other stream's position, even
// if that changed without an event.
func TestRelayResumes(t *testing.T) {
	for name, tt := range map[string]struct {
		wire   string
		events int // that the browser reads
		want   string
	}{
		"an event":                     {"id: 1\ndata: a\n\n", 1, "1"},
		"an ID without an event":       {"id: 1\ndata: a\n\nid: 7\n\n", 2, "7"},
		"a reset with an event":        {"id: 1\ndata: a\n\nid\ndata: b\n\n", 2, ""},
		"a reset without an event":     {"id: 1\ndata: a\n\nid\n\n", 2, ""},
		"a reset and an ID":            {"id: 1\ndata: a\n\nid\n\nid: 1\ndata: a\n\n", 3, "1"},
		"no IDs":                       {"data: a\n\ndata: b\n\n", 2, ""},
		"an ID that looks like marked": {"id: ~1\ndata: a\n\n", 1, "~1"},
	} {
		t.Run(name, func(t *testing.T) {
			ssetest.NoLeaks(t)
			asked := make(chan string, 2)
			upstream := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header.Get("Last-Event-ID")
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, tt.wire)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}))
			s := ssetest.Open(t, ssetest.Serve(t, router(upstream)))
			<-asked
			for range tt.events {
				if e := s.Next(); e.Type == "position" && e.Data != "" {
					t.Errorf("got %+v, want a position without data", e)
				}
			}
			s.Resume()
			select {
			case got := <-asked:
				if got != tt.want {
					t.Errorf("the other server got last event ID %q, want %q", got, tt.want)
				}
			case <-time.After(time.Minute):
				t.Fatal("the other server did not get a second request")
			}
		})
	}
}

func TestNoSuchServer(t *testing.T) {
	res, err := http.Get(ssetest.Serve(t, router("http://bad host/")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, want := res.StatusCode, http.StatusBadGateway; got != want {
		t.Errorf("got status %d for an invalid address, want %d", got, want)
	}
}
