package frontends_test

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
)

// chatViews returns the endpoints of a chat in which the model says "Be" and, after POST
// /say, "cause".
func chatViews(chat string) []hosts.View {
	goOn := make(chan struct{})
	model := func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if !yield("Be", nil) {
				return
			}
			for range core.Receive(ctx, goOn) {
				yield("cause", nil)
				return
			}
		}
	}
	n := 0
	return []hosts.View{
		{Method: http.MethodPost, Path: "/api/chat", Stream: func(ctx context.Context, _ string) core.Stream {
			n++
			return startChat(ctx, chat, "answer-"+strconv.Itoa(n), model)
		}},
		{Method: http.MethodGet, Path: "/api/chat/one/stream", Stream: func(ctx context.Context, _ string) core.Stream {
			return resumeChat(ctx, chat)
		}},
		{Method: http.MethodDelete, Path: "/api/chat/one", Stream: func(ctx context.Context, _ string) core.Stream {
			if err := stopChat(ctx, chat); err != nil {
				core.Refuse(ctx, err)
			}
			return nil
		}},
		{Method: http.MethodPost, Path: "/say", Stream: func(ctx context.Context, _ string) core.Stream {
			select {
			case goOn <- struct{}{}:
			case <-ctx.Done():
			}
			return nil
		}},
	}
}

// A chat of the AI SDK goes on after a reload, and a button stops it.
func testChat(t *testing.T, dir string) {
	t.Helper()
	var asked []result
	names := map[string]string{}
	for _, framework := range hosts.Frameworks() {
		for mode, opts := range map[string][]core.Option{"plain": nil, "detached": {core.WithDetach()}} {
			name := framework + ", " + mode
			base := hosts.ServeViews(t, framework, chatViews(name), opts...)
			names[base] = name
			asked = append(asked, result{Client: "chat", Base: base})
		}
	}
	results := askNode(t, dir, "chat.js", asked)
	if got, want := len(results), len(asked); got != want {
		t.Errorf("got %d results, want %d", got, want)
	}
	for _, got := range results {
		const want = "ready|0|Because|ready|2|Because|ready|2|Be|ready"
		if got.Text != want || got.Error != "" {
			t.Errorf("%s: got %s and %s, want %s", names[got.Base], got.Text, got.Error, want)
		}
	}
}
