package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestChat(t *testing.T) {
	base := hosttest.Serve(t, router())
	if got := hosttest.Get(t, base+"/"); !strings.Contains(got.Body, `new EventSource("chat")`) {
		t.Errorf("got page %q, want one that reads the chat", got.Body)
	}
	say := func(text string) {
		t.Helper()
		form := strings.NewReader(url.Values{"text": {text}}.Encode())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/chat", form)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got, want := hosttest.Do(t, req).Status, http.StatusNoContent; got != want {
			t.Errorf("got status %d, want %d", got, want)
		}
	}
	expect := func(s *ssetest.Stream, want ...string) {
		t.Helper()
		for _, text := range want {
			if got := s.Next(); got != (core.Event{ID: got.ID, Data: text}) || got.ID == "" {
				t.Errorf("got %+v, want %q with an ID", got, text)
			}
		}
	}

	stranger, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/chat", strings.NewReader("text=hi"))
	if err != nil {
		t.Fatal(err)
	}
	stranger.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := hosttest.Do(t, stranger).Status; got != http.StatusForbidden {
		t.Errorf("another site's page: got status %d, want 403", got)
	}
	if got := hosttest.Get(t, base+"/people?name=").Status; got != http.StatusBadRequest {
		t.Errorf("without a name: got status %d, want 400", got)
	}
	people := ssetest.Open(t, base+"/people?name=ann")
	people.Collect(2)
	ssetest.Open(t, base+"/people?name=bob").Close()
	for _, want := range []string{"join", "leave"} {
		if e := people.Next(); e.Type != want || !strings.Contains(e.Data, `"key":"bob"`) {
			t.Errorf("got %+v, want a %s of bob", e, want)
		}
	}

	first := ssetest.Open(t, base+"/chat")
	say("Hello, 世界\nand all")
	expect(first, "Hello, 世界\nand all")
	late := ssetest.Open(t, base+"/chat")
	expect(late, "Hello, 世界\nand all")
	first.Close()
	say("one")
	say("two")
	expect(late, "one", "two")
	first.Resume()
	expect(first, "one", "two")
}
