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
	got := ssetest.Request{URL: base + "/messages", Body: `{"text":"a < b"}`}.Open(t).All()
	if len(got) != 1 || got[0].Type != "datastar-patch-signals" {
		t.Errorf("got %+v, want that the field is emptied", got)
	}
	e := s.Next()
	if got, want := e.Data, "selector #list\nmode prepend\nelements <li>a &lt; b</li>"; got != want || e.Type != "datastar-patch-elements" {
		t.Errorf("got %q of type %q, want %q", got, e.Type, want)
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
