package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestRelay(t *testing.T) {
	ssetest.NoLeaks(t)
	asked := make(chan string, 1) // the last event ID that the other server was sent
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

	s := ssetest.Request{URL: relay, Header: http.Header{"Last-Event-Id": {"6"}}}.Open(t)
	if got, want := <-asked, "6"; got != want {
		t.Errorf("the other server was asked for what comes after %q, want %q", got, want)
	}
	if got, want := s.Next(), (core.Event{ID: "7", Type: "add", Data: " two\nlines "}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Close()
	select {
	case cause := <-gone:
		if !errors.Is(cause, core.ErrClientGone) {
			t.Errorf("the other stream ended with %v, want %v", cause, core.ErrClientGone)
		}
	case <-time.After(10 * time.Second):
		t.Error("the browser has left, and the other stream has not ended")
	}
}

func TestNoSuchServer(t *testing.T) {
	res, err := http.Get(ssetest.Serve(t, router("http://bad host/")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, want := res.StatusCode, http.StatusBadGateway; got != want {
		t.Errorf("got status %d for an address that is none, want %d", got, want)
	}
}
