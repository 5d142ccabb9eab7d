package main

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// e2e/frontends uses the page in a browser.
func TestChat(t *testing.T) {
	tokens := make(chan string, 10)
	base := hosttest.Serve(t, new(server).handler(func(ctx context.Context, _ []message) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for token := range core.Receive(ctx, tokens) {
				if !yield(token, nil) {
					return
				}
			}
		}
	}))
	url := base + "/api/chat"
	if got, want := hosttest.Get(t, url+"/one").Body, "[]\n"; got != want {
		t.Errorf("got the messages %s, want %s", got, want)
	}
	if got, want := hosttest.Get(t, url+"/one/stream").Status, http.StatusNoContent; got != want {
		t.Errorf("nothing to resume: got status %d, want %d", got, want)
	}
	question := ssetest.Request{URL: url, Body: `{"id":"one","messages":[{"id":"q","role":"user","parts":[{"type":"text","text":"Why?"}]}]}`}
	asker := question.Open(t)
	tokens <- "Be"
	asker.Collect(3)
	if got, want := question.Open(t).Status, http.StatusConflict; got != want {
		t.Errorf("another question: got status %d, want %d", got, want)
	}
	asker.Close() // the page is reloaded
	if got := hosttest.Get(t, url+"/one").Body; !strings.Contains(got, "Why?") || strings.Contains(got, "Be") {
		t.Errorf("got the messages %s, want only the question", got)
	}
	resumed := ssetest.Open(t, url+"/one/stream")
	if got, want := resumed.Collect(3)[2].Data, `{"type":"text-delta","id":"1","delta":"Be"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tokens <- "cause"
	close(tokens)
	if rest := resumed.All(); len(rest) != 4 || rest[3].Data != "[DONE]" {
		t.Errorf("got %+v, want a token and the end", rest)
	}
	if got, want := hosttest.Get(t, url+"/one").Body, `"text":"Because"`; !strings.Contains(got, want) {
		t.Errorf("got the messages %s, want %s in them", got, want)
	}
	if got, want := question.Open(t).Status, http.StatusOK; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
}

func TestStop(t *testing.T) {
	base := hosttest.Serve(t, new(server).handler(func(ctx context.Context, _ []message) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if yield("Be", nil) {
				<-ctx.Done()
				yield("", ctx.Err())
			}
		}
	}))
	asker := ssetest.Request{URL: base + "/api/chat", Body: `{"id":"two","messages":[]}`}.Open(t)
	asker.Collect(3)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, base+"/api/chat/two", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hosttest.Do(t, req).Status, http.StatusOK; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
	if rest := asker.All(); len(rest) != 2 || rest[0].Data != `{"type":"abort"}` || rest[1].Data != "[DONE]" {
		t.Errorf("got %+v, want an abort and the end", rest)
	}
	if got, want := hosttest.Get(t, base+"/api/chat/two").Body, `"text":"Be"`; !strings.Contains(got, want) {
		t.Errorf("got the messages %s, want %s in them", got, want)
	}
}

// An answer that a shutdown has cut is not stored.
func TestShutdown(t *testing.T) {
	s := new(server)
	base := hosttest.Serve(t, s.handler(func(ctx context.Context, _ []message) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if yield("Be", nil) {
				<-ctx.Done()
			}
		}
	}))
	asker := ssetest.Request{URL: base + "/api/chat", Body: `{"id":"three","messages":[]}`}.Open(t)
	asker.Collect(3)
	ended, end := context.WithCancel(t.Context())
	end()
	_ = s.answers.Shutdown(ended) // says which runs it has ended
	if _, err := asker.Rest(); err == nil {
		t.Error("the answer ends well, want a failure")
	}
	if got, want := hosttest.Get(t, base+"/api/chat/three").Body, "[]\n"; got != want {
		t.Errorf("got the messages %s, want %s", got, want)
	}
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got strings.Builder
		for token, err := range echo(t.Context(), []message{{Parts: []part{{Text: "so it is"}}}}) {
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(token)
		}
		if want := "You have said: so it is "; got.String() != want {
			t.Errorf("got %q, want %q", got.String(), want)
		}
	})
}

// A chat that nobody has begun is empty, and reading it stores nothing.
func TestUnknownChat(t *testing.T) {
	s := new(server)
	h := s.handler(echo)
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/api/chat/x", nil))
	if got, want := res.Body.String(), "[]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, ok := s.stored.Load("x"); ok {
		t.Error("the chat is stored, want nothing")
	}
}
