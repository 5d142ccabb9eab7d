// Package frontends_test runs the clients that people use in pages and programs against
// streams of this library. docs/frontends.md has its code.
package frontends_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) { browsertest.Main(m, nil, nil) }

// patience bounds each wait.
const patience = time.Minute

// How a model's answer ends.
const (
	whole   = "whole"   // with everything that its format wants at the end
	broken  = "broken"  // the generator fails, and the response is broken off
	short   = "short"   // the response ends cleanly, but nothing in it says that the answer is whole
	told    = "told"    // the generator fails, and the last event says so
	refused = "refused" // with 503, before the stream
)

var endings = []string{whole, broken, short, told, refused}

// The clients are installed once for all tests that run them.
func TestClients(t *testing.T) {
	dir := testenv.NPM(t, os.DirFS("testdata"))
	for name, test := range map[string]func(t *testing.T, dir string){
		"models": testModels, "chat": testChat, "mcp": testMCP, "pages": testPages,
	} {
		t.Run(name, func(t *testing.T) { test(t, dir) })
	}
}

var errOut = errors.New("no more paper")

// answer yields tokens, and fails if the ending says so.
func answer(ending string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, token := range []string{"Be", "cause", " of\nthat."} {
			if !yield(token, nil) {
				return
			}
		}
		if ending != whole {
			yield("", errOut)
		}
	}
}

// cut drops the error of a stream, as a careless generator does.
func cut(s core.Stream) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for e, err := range s {
			if err != nil || !yield(e, nil) {
				return
			}
		}
	}
}

// models returns the endpoints of models, for each ending.
func models() []hosts.View {
	var views []hosts.View
	for _, ending := range endings {
		for _, f := range []struct {
			path   string
			format func(iter.Seq2[string, error]) core.Stream
			err    func(error) core.Event
		}{
			{"/v1/chat/completions", openAI, openAIError},
			{"/v1/messages", anthropicMessage, anthropicError},
			{"/api/chat", func(tokens iter.Seq2[string, error]) core.Stream { return uiMessage("answer-1", tokens) }, uiError},
		} {
			v := hosts.View{Method: http.MethodPost, Path: "/" + ending + f.path}
			v.Stream = func(ctx context.Context, _ string) core.Stream {
				stream := f.format(answer(ending))
				switch ending {
				case short:
					stream = cut(stream)
				case refused:
					core.Refuse(ctx, errOut)
				}
				return stream
			}
			if ending == told {
				v.Options = []core.Option{core.WithErrorEvent(f.err)}
			}
			views = append(views, v)
		}
	}
	tool := func(context.Context, string) core.Stream {
		return core.Then(core.EncodeJSON("", withTool), core.Event{Data: "[DONE]"})
	}
	return append(views, hosts.View{Method: http.MethodPost, Path: "/tool/api/chat", Stream: tool})
}

// A result is what a client has made of an answer.
type result struct {
	Client       string `json:"client"`
	Base         string `json:"base"`
	Text         string `json:"text"`
	Error        string `json:"error"`
	Status       string `json:"status"`       // of a chat of the AI SDK
	FinishReason string `json:"finishReason"` // likewise
	Tool         string `json:"tool"`         // likewise

	// Blind says that the client's fetch takes a response with Connection: close for whole if
	// it is broken off, as Node before the summer of 2026 does (nodejs/undici#5273).
	Blind bool `json:"blind"`
}

const all = "Because of\nthat."

// wanted has a part of each client's error for each ending, or "" for no error. Many clients
// take a short answer for a whole one: so a stream that has failed must not end cleanly.
var wanted = map[string]map[string]string{
	"openai":            {whole: "", broken: "terminated", short: "", told: "the model has failed", refused: "503"},
	"openai, runner":    {whole: "", broken: "", short: "missing finish_reason", told: "the model has failed", refused: "503"},
	"openai-go":         {whole: "", broken: "unexpected EOF", short: "", told: "the model has failed", refused: "503"},
	"anthropic":         {whole: "", broken: "terminated", short: "", told: "the model has failed", refused: "503"},
	"anthropic, helper": {whole: "", broken: "", short: "stream ended without", told: "the model has failed", refused: "503"},
	"anthropic-sdk-go":  {whole: "", broken: "unexpected EOF", short: "", told: "the model has failed", refused: "503"},
	"ai":                {whole: "", broken: "terminated", short: "", told: "the model has failed", refused: "no more paper"},
	"client, openai":    {whole: "", broken: "unexpected EOF", short: "[DONE]", told: "the model has failed", refused: "503"},
	"client, anthropic": {whole: "", broken: "unexpected EOF", short: "message_stop", told: "the model has failed", refused: "503"},
}

// The clients get the same answer from all frameworks, plain and detached, and an answer that
// has failed looks whole to none.
func testModels(t *testing.T, dir string) {
	t.Helper()
	bases := map[string]string{} // to the framework and mode
	for _, framework := range hosts.Frameworks() {
		for mode, opts := range map[string][]core.Option{"plain": nil, "detached": {core.WithDetach()}} {
			bases[hosts.ServeViews(t, framework, models(), opts...)] = framework + ", " + mode
		}
	}
	var asked []result
	for base := range bases {
		for _, ending := range endings {
			for name := range wanted {
				asked = append(asked, result{Client: name, Base: base + "/" + ending})
			}
		}
		asked = append(asked, result{Client: "ai", Base: base + "/tool"})
	}
	results := append(askNode(t, dir, "models.js", asked), askGo(t, asked)...)
	if got, want := len(results), len(asked); got != want {
		t.Errorf("got %d answers, want %d", got, want)
	}
	for _, got := range results {
		host, ending, _ := strings.Cut(strings.TrimPrefix(got.Base, "http://"), "/")
		mode := bases["http://"+host]
		where := fmt.Sprintf("%s, %s, %s: got %+v", got.Client, ending, mode, got)
		if ending == "tool" {
			if want := `tool-weather output-available {"city":"Bonn"} {"sky":"blue"}`; got.Tool != want || got.Error != "" {
				t.Errorf("%s, want %s", where, want)
			}
			continue
		}
		text, part := all, wanted[got.Client][ending]
		if ending == refused {
			text = ""
		}
		if got.Text != text {
			t.Errorf("%s, want the text %q", where, text)
		}
		closes := strings.Contains(mode, "fiber") || strings.Contains(mode, "detached")
		switch fails := ending != whole && (part != "" || ending == broken); {
		case ending == broken && closes && got.Blind:
			// This version of Node's fetch takes it for whole; some clients notice what is missing.
		case fails != (got.Error != ""), !strings.Contains(got.Error, part):
			t.Errorf("%s, want an error: %t, with %q in it", where, fails, part)
		}
		if want := cmp.Or(map[bool]string{true: "ready"}[got.Error == ""], "error"); got.Client == "ai" && got.Status != want {
			t.Errorf("%s, want the status %s", where, want)
		}
		if got.Client == "ai" && ending != whole && got.FinishReason != "" {
			t.Errorf("%s, want no reason: it has not finished", where)
		}
	}
}

// askNode has the npm clients ask, in one process.
func askNode(t *testing.T, dir, script string, asked []result) []result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Program(t, "node"), script)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var in, stderr bytes.Buffer
	for _, a := range asked {
		if askers[a.Client] == nil {
			line, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			in.Write(append(line, '\n'))
		}
	}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var results []result
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, lines.Bytes())
		}
		results = append(results, r)
	}
	return results
}

// askers are the clients in Go.
var askers = map[string]func(ctx context.Context, base string, say func(string)) error{
	"openai-go": func(ctx context.Context, base string, say func(string)) error {
		c := openai.NewClient(option.WithBaseURL(base+"/v1"), option.WithAPIKey("key"), option.WithMaxRetries(0))
		stream := c.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
			Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Why?")},
		})
		for stream.Next() {
			for _, choice := range stream.Current().Choices {
				say(choice.Delta.Content)
			}
		}
		return cmp.Or(stream.Err(), stream.Close())
	},
	"anthropic-sdk-go": func(ctx context.Context, base string, say func(string)) error {
		c := anthropic.NewClient(anthropicoption.WithBaseURL(base), anthropicoption.WithAPIKey("key"), anthropicoption.WithMaxRetries(0))
		stream := c.Messages.NewStreaming(ctx, anthropic.MessageNewParams{
			Model: "m", MaxTokens: 9, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Why?"))},
		})
		for stream.Next() {
			say(stream.Current().Delta.Text)
		}
		return cmp.Or(stream.Err(), stream.Close())
	},
	"client, openai": func(ctx context.Context, base string, say func(string)) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		return readOpenAI(req, say)
	},
	"client, anthropic": func(ctx context.Context, base string, say func(string)) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/messages", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		return readAnthropic(req, say)
	},
}

// askGo asks with the clients in Go.
func askGo(t *testing.T, asked []result) []result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var results []result
	for _, r := range asked {
		if askers[r.Client] == nil {
			continue
		}
		if err := askers[r.Client](ctx, r.Base, func(text string) { r.Text += text }); err != nil {
			r.Error = err.Error()
		}
		results = append(results, r)
	}
	return results
}

// readOpenAI reads an answer of OpenAI's API. Without a [DONE], or if the response is broken
// off, it returns an error.
func readOpenAI(req *http.Request, say func(string)) error {
	type chunk struct {
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
		} `json:"choices"`
		Error *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	for c, err := range core.DecodeJSON[chunk](client.Stream(req, client.WithOnce("[DONE]"))) {
		switch {
		case err != nil:
			return err
		case c.Error != nil:
			return errors.New(c.Error.Message)
		}
		for _, choice := range c.Choices {
			say(choice.Delta.Content)
		}
	}
	return nil
}

// readAnthropic reads an answer of Anthropic's API.
func readAnthropic(req *http.Request, say func(string)) error {
	for e, err := range client.Stream(req, client.WithOnce("")) {
		if err != nil {
			return err
		}
		var data struct {
			Delta struct {
				Text string `json:"text"`
			} `json:"delta"`
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
			return err
		}
		switch e.Type {
		case "content_block_delta":
			say(data.Delta.Text)
		case "error":
			return errors.New(data.Error.Message)
		case "message_stop":
			return nil
		}
	}
	return errors.New("the response has ended without a message_stop")
}
