package frontends_test

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
)

// chatViews returns the endpoints of a chat in which the model says "Be" and, after POST
// /say, "cause", or fails after POST /fail.
func chatViews(chat string) []hosts.View {
	goOn := make(chan error)
	model := func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if !yield("Be", nil) {
				return
			}
			for err := range core.Receive(ctx, goOn) {
				yield("cause", err)
				return
			}
			yield("", context.Cause(ctx))
		}
	}
	proceed := func(err error) func(context.Context, string) core.Stream {
		return func(ctx context.Context, _ string) core.Stream {
			select {
			case goOn <- err:
			case <-ctx.Done():
			}
			return nil
		}
	}
	var n atomic.Int64
	return []hosts.View{
		{Method: http.MethodPost, Path: "/api/chat", Stream: func(ctx context.Context, _ string) core.Stream {
			return startChat(ctx, chat, "answer-"+strconv.FormatInt(n.Add(1), 10), model)
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
		{Method: http.MethodPost, Path: "/say", Stream: proceed(nil)},
		{Method: http.MethodPost, Path: "/fail", Stream: proceed(errOut)},
	}
}

// A chat of the AI SDK goes on after a reload, a button stops it, and a failure stays one.
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
		failed := "error"
		if got.Blind && closes(names[got.Base]) {
			failed = "ready" // the break looks like an end
		}
		want := "ready|0|Because|ready|2|Because|ready|2|Be|ready|aborted: false, reason: undefined|" + failed + "|Be|" + failed
		if got.Text != want || got.Error != "" {
			t.Errorf("%s: got %s and %s, want %s", names[got.Base], got.Text, got.Error, want)
		}
	}
}
