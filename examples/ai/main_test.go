package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The test binary also runs as the program itself.
func TestMain(m *testing.M) {
	if os.Getenv(envProgram) != "" {
		main()
	}
	testenv.ShareCPUs()
	ssetest.Main(m)
}

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
			switch token {
			case "fail":
				yield("", d.err)
				return
			case "cut":
				yield("", &cutError{"length"})
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
	s := &chat{model: d.model, turns: hub.New(), answers: run.New()}
	t.Cleanup(func() {
		if err := finish(context.Background(), s.answers, grace{0, hosttest.Patience}); err != nil {
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
		case <-time.After(hosttest.Patience):
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

// text returns the tokens among events.
func text(events []core.Event) string {
	var all strings.Builder
	for _, e := range events {
		if e.Type == "" {
			all.WriteString(e.Data)
		}
	}
	return all.String()
}

// ends fails the test unless the last event says how the answer has ended.
func ends(t *testing.T, events []core.Event, state string) {
	t.Helper()
	if n := len(events); n == 0 || events[n-1].Type != state {
		t.Errorf("got %+v, want that it is %s at the end", events, state)
	}
}

// logged returns what is logged from now on.
func logged(t *testing.T) *hosttest.Logbook {
	t.Helper()
	book := new(hosttest.Logbook)
	log.SetOutput(book)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return book
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
	if got := asker.Next(); got.Type != "asked" || got.Data != question.ID {
		t.Errorf("got %+v, want that the question is kept", got)
	}
	d.say(t, "Be", "cause")
	if got, want := text(asker.Collect(2)), "Because"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	asker.Close() // the page is reloaded
	reader := ssetest.Open(t, base+"/answers/"+question.ID)
	if got, want := text(reader.Collect(3)), "Because"; got != want {
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
	if rest := reader.All(); len(rest) != 1 {
		t.Errorf("got %+v, want only the end", rest)
	} else {
		ends(t, rest, "done")
	}
	late := ssetest.Open(t, base+"/turns")
	next(t, late, "question")
	if got := next(t, late, "answer"); got != want {
		t.Errorf("a late window got %+v, want %+v", got, want)
	}

	// The model gets the whole conversation.
	hosttest.Receive(t, d.asked, "a question to the model")
	second := ask(base, "Really?").Open(t)
	history := []said{{"user", "Why?"}, {"assistant", want.Text}, {"user", "Really?"}}
	if got := hosttest.Receive(t, d.asked, "a question to the model"); !slices.Equal(got, history) {
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
	asker.Collect(2)
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
	ends(t, asker.All(), "stopped") // the end is clean
}

// An answer that fails, or that the model may not finish, does not look whole, and its error
// is logged.
func TestNotWhole(t *testing.T) {
	for _, test := range []struct{ token, state, log string }{
		{"fail", "failed", "no more paper"},
		{"cut", "cut", "length"},
	} {
		t.Run(test.state, func(t *testing.T) {
			book := logged(t)
			base, d := serveChat(t)
			turns, asker := ssetest.Open(t, base+"/turns"), ask(base, "Why?").Open(t)
			id := next(t, turns, "question").ID
			reader := ssetest.Open(t, base+"/answers/"+id)
			d.say(t, "Be", test.token)
			events, err := asker.Rest()
			if got, want := text(events), "Be"; got != want || err == nil {
				t.Errorf("got %q and the end %v, want %q and a broken response", got, err, want)
			}
			ends(t, reader.All(), test.state)
			if got, want := next(t, turns, "answer"), (turn{id, "Be", test.state}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got := book.String(); !strings.Contains(got, test.state) || !strings.Contains(got, test.log) {
				t.Errorf("got the log %q, want %q and %q in it", got, test.state, test.log)
			}
		})
	}
}

// A question that cannot be kept is not taken: its response breaks before it is "asked".
func TestQuestionIsLost(t *testing.T) {
	book := logged(t)
	s := &chat{model: builtIn, turns: hub.New(hub.WithMaxBytes(100)), answers: run.New()}
	asker := ask(hosttest.Serve(t, s.router())+"/chats/one", strings.Repeat("Why? ", 100)).Open(t)
	if events, err := asker.Rest(); len(events) > 0 || err == nil {
		t.Errorf("got %+v and the end %v, want a broken response", events, err)
	}
	if got, want := book.String(), "a question is not kept"; !strings.Contains(got, want) {
		t.Errorf("got the log %q, want %q in it", got, want)
	}
}

// keep publishes turns, of which answers have a state, and returns the ID of the last one.
func keep(t *testing.T, s *chat, turns ...turn) (last string) {
	t.Helper()
	for _, one := range turns {
		typ := "answer"
		if one.State == "" {
			typ = "question"
		}
		id, err := s.publish(t.Context(), "one", typ, one)
		if err != nil {
			t.Fatal(err)
		}
		last = id
	}
	return last
}

// An answer whose question was dropped is not told to the model.
func TestHistory(t *testing.T) {
	s := &chat{model: builtIn, turns: hub.New(hub.WithMaxEvents(4)), answers: run.New()}
	last := keep(t, s, turn{"1", "Why?", ""}, // dropped
		turn{"1", "Because.", "done"}, turn{"2", "Who?", ""}, turn{"2", "He.", "stopped"}, turn{"3", "And?", ""})
	got, err := s.history(t.Context(), "one", last)
	if want := []said{{"user", "Who?"}, {"assistant", "He."}, {"user", "And?"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
}

// Turns that are dropped while the history is read are left out. If the question itself is
// one of them, the answer fails instead of waiting for it.
func TestHistoryIsDropped(t *testing.T) {
	for _, test := range []struct {
		name    string
		dropped int
		want    []said
		fails   string
	}{
		{"turns", 2, []said{{"user", "And?"}}, ""},
		{"the question", 3, nil, "the question was lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *chat
				drop := func(ctx context.Context, name string) { // when the history begins to be read
					for range test.dropped {
						if _, err := s.publish(ctx, name, "answer", turn{"0", "Other.", "done"}); err != nil {
							t.Error(err)
						}
					}
				}
				s = &chat{model: builtIn, turns: hub.New(hub.WithMaxEvents(3), hub.WithJoin(drop)), answers: run.New()}
				last := keep(t, s, turn{"1", "Why?", ""}, turn{"1", "Because.", "done"}, turn{"2", "And?", ""})
				got, err := s.history(t.Context(), "one", last)
				if !slices.Equal(got, test.want) || (err == nil) != (test.fails == "") || !strings.Contains(fmt.Sprint(err), test.fails) {
					t.Errorf("got %q and %v, want %q and %q", got, err, test.want, test.fails)
				}
			})
		})
	}
}

// An answer that takes too long is ended, and what it has said is kept.
func TestEndlessAnswer(t *testing.T) {
	book := logged(t)
	synctest.Test(t, func(t *testing.T) {
		s := newChat(func(ctx context.Context, _ []said) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for range core.Every(ctx, time.Minute) {
					if !yield("no ", nil) {
						return
					}
				}
			}
		}, shared{})
		began := time.Now()
		var events []core.Event
		var end error
		for e, err := range s.begin(t.Context(), "one", turn{ID: "1", Text: "Why?"}) {
			if end = err; err == nil {
				events = append(events, e)
			}
		}
		var limit *run.LimitError
		if !errors.As(end, &limit) || limit.Limit != run.LimitDuration {
			t.Errorf("got the end %v, want that it has taken too long", end)
		}
		if got := time.Since(began); got != maxAnswer {
			t.Errorf("it has ended after %v, want %v", got, maxAnswer)
		}
		if err := s.answers.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		got, err := s.history(t.Context(), "one", keep(t, s, turn{"2", "And?", ""}))
		if want := []said{{"user", "Why?"}, {"assistant", text(events)}, {"user", "And?"}}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got the history %q and %v, want %q", got, err, want)
		}
	})
	if got := book.String(); !strings.Contains(got, "an answer has failed") {
		t.Errorf("got the log %q, want the failure", got)
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
		{http.MethodPost, base + "/questions", "text=Why?&more=" + strings.Repeat("a", 4*maxQuestion), http.StatusBadRequest},
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
	other := ask(base, "Why?")
	other.Header.Set("Sec-Fetch-Site", "cross-site")
	if got, want := other.Open(t).Status, http.StatusForbidden; got != want {
		t.Errorf("a page of another site: got status %d, want %d", got, want)
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
	finish := func(reason string) core.Event {
		return core.Event{Data: `{"choices":[{"delta":{},"finish_reason":"` + reason + `"}]}`}
	}
	done := core.Event{Data: "[DONE]"}
	for _, test := range []struct {
		name   string
		events []core.Event
		want   string
		fails  string
	}{
		{"whole", []core.Event{piece("Be"), piece(""), {Data: `{"choices":[],"usage":{}}`}, piece(" cause"), done, piece("no")}, "Be cause", ""},
		{"whole, with a reason", []core.Event{piece("Be"), finish("stop"), {Data: `{"choices":[{"delta":{},"finish_reason":null}]}`}, done}, "Be", ""},
		{"too long", []core.Event{piece("Be"), finish("length"), done}, "Be", "length"},
		{"filtered", []core.Event{piece("Be"), finish("content_filter"), {Data: `{"choices":[]}`}, done}, "Be", "content_filter"},
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
			u := upstream{base + "/v1/chat/completions", "m", "k", hosttest.Patience}
			var got strings.Builder
			var err error
			for token, fault := range u.answer(t.Context(), []said{{"user", "Why?"}}) {
				got.WriteString(token)
				err = fault
			}
			if got.String() != test.want || (err == nil) != (test.fails == "") || !strings.Contains(fmt.Sprint(err), test.fails) {
				t.Errorf("got %q and %v, want %q and %q", got.String(), err, test.want, test.fails)
			}
			want := `/v1/chat/completions Bearer k {"messages":[{"role":"user","content":"Why?"}],"model":"m","stream":true}`
			if got := hosttest.Receive(t, asked, "a request"); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		})
	}
}

// A server that says nothing is given up.
func TestSilentUpstream(t *testing.T) {
	url := hosttest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		_, _ = io.Copy(io.Discard, r.Body)
		return func(func(core.Event, error) bool) { <-r.Context().Done() }
	}, core.WithHeartbeat(0)))
	var got error
	for _, err := range (upstream{url, "m", "", time.Millisecond}).answer(t.Context(), []said{{"user", "Why?"}}) {
		got = err
	}
	if !errors.Is(got, client.ErrIdle) {
		t.Errorf("got %v, want %v", got, client.ErrIdle)
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
		{"-upstream localhost", 2, "-upstream wants a URL such as"},
		{"-redis 127.0.0.1:6379", 2, "-redis wants a URL such as redis://"},
		{"-nats 127.0.0.1:4222", 2, "-nats wants a URL such as nats://"},
		{"-redis redis://127.0.0.1:6379 -nats nats://127.0.0.1:4222", 2, "choose one"},
		{"-redis http://127.0.0.1:6379", 1, "-redis: redis: invalid URL scheme"},
		{"-addr 127.0.0.1", 1, "missing port"},
	} {
		var out strings.Builder
		if got := start(t.Context(), strings.Fields(test.args), io.Discard, &out); got != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", test.args, got, out.String(), test.code, test.want)
		}
	}
}

// serveUntil serves a conversation until stop is called, and returns its URL and what
// serve will return.
func serveUntil(t *testing.T, ask model, g grace) (base string, stop func(), ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out, in := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, "127.0.0.1:0", ask, shared{}, g, in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ = strings.Cut(strings.TrimPrefix(line, "Open "), ",")
	return base + "/chats/one", cancel, served
}

// A shutdown lets the answers finish, and ends the streams.
func TestShutdown(t *testing.T) {
	d := &dictated{tokens: make(chan string), asked: make(chan []said, 1)}
	base, stop, ended := serveUntil(t, d.model, grace{hosttest.Patience, hosttest.Patience})
	turns, asker := ssetest.Open(t, base+"/turns"), ask(base, "Why?").Open(t)
	next(t, turns, "question")
	stop()
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

// A shutdown ends an answer that takes too long, and keeps what it has said.
func TestShutdownOfEndlessAnswer(t *testing.T) {
	book := logged(t)
	slow := make(chan struct{})
	endless := func(ctx context.Context, _ []said) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if !yield("Be", nil) {
				return
			}
			<-ctx.Done()
			<-slow // it does not return at once
		}
	}
	base, stop, ended := serveUntil(t, endless, grace{0, hosttest.Patience})
	turns, asker := ssetest.Open(t, base+"/turns"), ask(base, "Why?").Open(t)
	id := next(t, turns, "question").ID
	asker.Collect(2)
	stop()
	if _, err := asker.Rest(); err == nil {
		t.Error("got a clean end, want a broken response")
	}
	close(slow)
	if got, want := next(t, turns, "answer"), (turn{id, "Be", "failed"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if rest := turns.All(); len(rest) > 0 {
		t.Errorf("got %+v, want the end", rest)
	}
	var unfinished *run.ShutdownError
	if err := hosttest.Receive(t, ended, "the end"); !errors.As(err, &unfinished) {
		t.Errorf("got %v, want the answer that has not finished", err)
	}
	if got, want := book.String(), "an answer has failed"; !strings.Contains(got, want) {
		t.Errorf("got the log %q, want %q in it", got, want)
	}
}
