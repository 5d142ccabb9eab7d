package main

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// e2e/frontends uses it with Anthropic's client, and the page in a browser.
func TestAnswer(t *testing.T) {
	tests := []struct {
		name string
		err  error
		last string
	}{
		{"whole", nil, `{"type":"message_stop"}`},
		{"fails", errors.New("no more paper"), `{"type":"error","error":{"type":"api_error","message":"the model has failed"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := hosttest.Serve(t, handler(func(_ context.Context, messages []message) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					_ = yield(messages[0].text(), nil) && tt.err != nil && yield("", tt.err)
				}
			}))
			got := ssetest.Request{
				URL:  base + "/v1/messages",
				Body: `{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"Why?"}]}]}`,
			}.Open(t).All()
			if len(got) < 4 || !strings.Contains(got[2].Data, `"text":"Why?"`) || got[len(got)-1].Data != tt.last {
				t.Errorf("got %+v, want the question and %s", got, tt.last)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	base := hosttest.Serve(t, handler(echo))
	for _, body := range []string{`{`, `{"messages":[]}`} {
		got := ssetest.Request{URL: base + "/v1/messages", Body: body}.Open(t)
		if want := http.StatusBadRequest; got.Status != want {
			t.Errorf("%s: got status %d, want %d", body, got.Status, want)
		}
	}
	if got := hosttest.Get(t, base+"/"); got.Status != http.StatusOK || !strings.Contains(got.Body, "<form>") {
		t.Errorf("got %+v, want the page", got)
	}
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got strings.Builder
		for token, err := range echo(t.Context(), []message{{Content: []byte(`"so it is"`)}}) {
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(token)
		}
		if want := "You have said: so it is "; got.String() != want {
			t.Errorf("got %q, want %q", got.String(), want)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		for _, err := range echo(ended, nil) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got the error %v, want %v", err, context.Canceled)
			}
		}
	})
}
