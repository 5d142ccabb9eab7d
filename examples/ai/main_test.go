package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) { ssetest.Main(m) }

// dictated is a model that says what the test tells it, and records what it was asked.
type dictated struct {
	tokens chan string // closed at the end of an answer
	err    error       // at the end
	asked  chan []said
}

func (d *dictated) model(ctx context.Context, history []said) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		d.asked <- history
		for token := range core.Receive(ctx, d.tokens) {
			if token == "fail" {
				yield("", d.err)
				return
			}
			if token == "end" || !yield(token, nil) {
				return
			}
		}
	}
}

// serveChat serves a conversation with a dictated model, and returns its URL.
func serveChat(t *testing.T) (base string, d *dictated) {
	t.Helper()
	d = &dictated{tokens: make(chan string), err: errors.New("no more paper"), asked: make(chan []said, 10)}
	s := &chat{d.model, hub.New(), run.New()}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.answers.Shutdown(ctx); err != nil {
			t.Log(err)
		}
	})
	return hosttest.Serve(t, s.router()) + "/chats/one", d
}

func (d *dictated) say(t *testing.T, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		select {
		case d.tokens <- token:
		case <-t.Context().Done():
			t.Fatal("the model was not asked")
		}
	}
}

func ask(base, text string) ssetest.Request {
	return ssetest.Request{
		Method: http.MethodPost, URL: base + "/questions", Body: url.Values{"text": {text}}.Encode(),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
}

func next(t *testing.T, s *ssetest.Stream, typ string) turn {
	t.Helper()
	e := s.Next()
	var got turn
	if err := json.Unmarshal([]byte(e.Data), &got); err != nil || e.Type != typ {
		t.Fatalf("got %+v, want a %s", e, typ)
	}
	return got
}

func text(events []core.Event) string {
	var all strings.Builder
	for _, e := range events {
		all.WriteString(e.Data)
	}
	return all.String()
}

// An answer goes on without the window that has asked, and all others see it whole.
func TestAnswer(t *testing.T) {
	base, d := serveChat(t)
	turns := ssetest.Open(t, base+"/turns")
	asker := ask(base, " Why? ").Open(t)
	question := next(t, turns, "question")
	if question.Text != "Why?" || question.ID == "" {
		t.Errorf("got %+v, want the question with an ID", question)
	}
	d.say(t, "Be", "cause")
	if got, want := text(asker.Collect(2)), "Because"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	asker.Close() // the page is reloaded
	reader := ssetest.Open(t, base+"/answers/"+question.ID)
	if got, want := text(reader.Collect(2)), "Because"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	reader.Close()
	d.say(t, " of", "\n\nthat.")
	reader.Resume()
	if got, want := text(reader.Collect(2)), " of\n\nthat."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.say(t, "end")
	want := turn{question.ID, "Because of\n\nthat.", "done"}
	if got := next(t, turns, "answer"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if rest := reader.All(); len(rest) > 0 {
		t.Errorf("got %+v, want the end", rest)
	}
	late := ssetest.Open(t, base+"/turns")
	next(t, late, "question")
	if got := next(t, late, "answer"); got != want {
		t.Errorf("a late window got %+v, want %+v", got, want)
	}

	// The model gets the whole conversation.
	<-d.asked
	second := ask(base, "Really?").Open(t)
	history := []said{{"user", "Why?"}, {"assistant", want.Text}, {"user", "Really?"}}
	if got := <-d.asked; !slices.Equal(got, history) {
		t.Errorf("got the history %q, want %q", got, history)
	}
	d.say(t, "Yes.", "end")
	if got, want := text(second.All()), "Yes."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStop(t *testing.T) {
	base, d := serveChat(t)
	turns, asker := ssetest.Open(t, base+"/turns"), ask(base, "Why?").Open(t)
	id := next(t, turns, "question").ID
	d.say(t, "Be")
	asker.Next()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, base+"/answers/"+id, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hosttest.Do(t, req).Status, http.StatusNoContent; got != want {
		t.Errorf("got status %d, want %d", got, want)
	}
	if got, want := next(t, turns, "answer"), (turn{id, "Be", "stopped"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	rest := asker.All() // the end is clean
	if len(rest) != 1 || rest[0].Type != "stopped" {
		t.Errorf("got %+v, want that it was stopped", rest)
	}
}

// An answer that fails does not look whole.
func TestFailure(t *testing.T) {
	base, d := serveChat(t)
	turns, asker := ssetest.Open(t, base+"/turns"), ask(base, "Why?").Open(t)
	id := next(t, turns, "question").ID
	d.say(t, "Be", "fail")
	events, err := asker.Rest()
	if got, want := text(events), "Be"; got != want || err == nil {
		t.Errorf("got %q and the end %v, want %q and a broken response", got, err, want)
	}
	if got, want := next(t, turns, "answer"), (turn{id, "Be", "failed"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRefusals(t *testing.T) {
	base, _ := serveChat(t)
	root := strings.TrimSuffix(base, "/chats/one")
	for _, test := range []struct {
		method, url, body string
		status            int
	}{
		{http.MethodPost, base + "/questions", "text=+", http.StatusBadRequest},
		{http.MethodPost, base + "/questions", "text=" + strings.Repeat("a", maxQuestion+1), http.StatusBadRequest},
		{http.MethodGet, base + "/answers/none", "", http.StatusNoContent},
		{http.MethodDelete, base + "/answers/none", "", http.StatusNotFound},
		{http.MethodGet, root + "/chats/%3E/turns", "", http.StatusNotFound}, // a pattern: all conversations
		{http.MethodGet, root + "/chats/" + strings.Repeat("a", 65) + "/turns", "", http.StatusNotFound},
		{http.MethodGet, root + "/page/style.css", "", http.StatusOK},
		{http.MethodGet, base, "", http.StatusOK},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, test.url, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := hosttest.Do(t, req).Status; got != test.status {
			t.Errorf("%s %.60s: got status %d, want %d", test.method, test.url, got, test.status)
		}
	}
	if got := hosttest.Get(t, root+"/"); !strings.HasPrefix(got.Header.Get("Location"), "/chats/") {
		t.Errorf("got status %d and location %q, want a new conversation", got.Status, got.Header.Get("Location"))
	}
}

func TestBuiltIn(t *testing.T) {
	history := []said{{"user", "Hi"}, {"assistant", "Ho"}, {"user", "a *b*\nc"}}
	synctest.Test(t, func(t *testing.T) {
		var all strings.Builder
		for token, err := range builtIn(t.Context(), history) {
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(token)
		}
		if got, want := all.String(), reply(history); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if want := "You have asked: **a b c**"; !strings.Contains(all.String(), want) {
			t.Errorf("got %q, want %q in it", all.String(), want)
		}
	})
}

// What a server that speaks OpenAI's protocol sends, and what becomes of it.
func TestUpstream(t *testing.T) {
	piece := func(s string) core.Event {
		e, _ := core.Event{}.JSON(map[string]any{"choices": []any{map[string]any{"delta": map[string]string{"content": s}}}})
		return e
	}
	done := core.Event{Data: "[DONE]"}
	for _, test := range []struct {
		name   string
		events []core.Event
		want   string
		fails  string
	}{
		{"whole", []core.Event{piece("Be"), piece(""), {Data: `{"choices":[],"usage":{}}`}, piece(" cause"), done, piece("no")}, "Be cause", ""},
		{"without an end", []core.Event{piece("Be")}, "Be", "[DONE]"},
		{"an error", []core.Event{piece("Be"), {Data: `{"error":{"message":"overloaded"}}`}}, "Be", "overloaded"},
		{"not JSON", []core.Event{{Data: "?"}}, "", "is not a"},
		{"refused", nil, "", "no such key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan string, 1)
			base := hosttest.Serve(t, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
				body, _ := io.ReadAll(r.Body)
				asked <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body)
				if test.events == nil {
					http.Error(w, "no such key", http.StatusUnauthorized)
					return nil
				}
				return func(yield func(core.Event, error) bool) {
					for _, e := range test.events {
						if !yield(e, nil) {
							return
						}
					}
				}
			}))
			var got strings.Builder
			var err error
			for token, fault := range upstreamModel(base+"/v1/chat/completions", "m", "k")(t.Context(), []said{{"user", "Why?"}}) {
				got.WriteString(token)
				err = fault
			}
			if got.String() != test.want || (err == nil) != (test.fails == "") || !strings.Contains(fmt.Sprint(err), test.fails) {
				t.Errorf("got %q and %v, want %q and %q", got.String(), err, test.want, test.fails)
			}
			want := `/v1/chat/completions Bearer k {"messages":[{"role":"user","content":"Why?"}],"model":"m","stream":true}`
			if got := <-asked; got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		})
	}
}

func TestStart(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want string // part of its output
	}{
		{"-help", 0, "-upstream"},
		{"-up", 2, "-up"},
		{"now", 2, `unexpected argument "now"`},
		{"-upstream localhost", 2, `-upstream "localhost" is not a URL`},
		{"-addr 127.0.0.1", 1, "missing port"},
	} {
		var out strings.Builder
		if got := start(t.Context(), strings.Fields(test.args), io.Discard, &out); got != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", test.args, got, out.String(), test.code, test.want)
		}
	}
}

// A shutdown lets the answers finish, and ends the streams.
func TestShutdown(t *testing.T) {
	d := &dictated{tokens: make(chan string), asked: make(chan []said, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, "127.0.0.1:0", d.model, in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(strings.TrimPrefix(line, "Open "), ",")
	turns, asker := ssetest.Open(t, base+"/chats/one/turns"), ask(base+"/chats/one", "Why?").Open(t)
	next(t, turns, "question")
	cancel()
	d.say(t, "Because.", "end")
	if got, want := text(asker.All()), "Because."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	next(t, turns, "answer")
	if rest := turns.All(); len(rest) > 0 {
		t.Errorf("got %+v, want the end", rest)
	}
	if err := hosttest.Receive(t, ended, "the end"); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
