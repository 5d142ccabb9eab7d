package main

import (
	"net/http"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// e2e/frontends uses the page in a browser.
func TestMessages(t *testing.T) {
	base := hosttest.Serve(t, handler())
	s := ssetest.Open(t, base+"/messages")
	post := ssetest.Request{
		URL: base + "/messages", Body: "text=a+%3C+b",
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	if got, want := post.Open(t).Status, http.StatusNoContent; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
	if got, want := s.Next().Data, "<li>a &lt; b</li>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A page of another site posts nothing.
func TestOtherSite(t *testing.T) {
	base := hosttest.Serve(t, handler())
	s := ssetest.Request{URL: base + "/messages", Body: "text=x", Header: http.Header{"Origin": {"http://other.example"}}}.Open(t)
	if s.Status != http.StatusForbidden {
		t.Errorf("got status %d, want 403", s.Status)
	}
}
