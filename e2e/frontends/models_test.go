// Package frontends_test runs the clients that people use in pages and programs against
// streams of this library. docs/frontends.md has its code.
package frontends_test

import (
	"bufio"
	"bytes"
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

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/e2e/internal/hosts"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) { browsertest.Main(m, "") }

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
					core.Refuse(ctx, &core.RefusedError{Message: errOut.Error()})
				}
				return stream
			}
			if ending == told {
				v.Options = []core.Option{core.WithErrorEvent(f.err)}
			}
			views = append(views, v)
		}
	}
	for path, err := range map[string]error{"/tool/api/chat": nil, "/broken-tool/api/chat": errOut} {
		views = append(views, hosts.View{Method: http.MethodPost, Path: path, Stream: func(context.Context, string) core.Stream {
			return withTool("answer-1", func() (any, error) { return object{"sky": "blue"}, err })
		}})
	}
	return views
}

// toolsOf has what the AI SDK makes of calls of tools.
var toolsOf = map[string]string{
	"/tool":        `tool-weather output-available {"city":"Bonn"} {"sky":"blue"}`,
	"/broken-tool": `tool-weather output-error {"city":"Bonn"} the tool has failed`,
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
	Aborted      bool   `json:"isAbort"`      // likewise
	Role         string `json:"role"`         // of a whole message of OpenAI's runner
	Timeout      int64  `json:"timeout"`      // in ms, of a call of MCP
	Revision     string `json:"revision"`     // of MCP

	// Blind says that the client's fetch takes a response with Connection: close for whole if
	// it is broken off, as Node before the summer of 2026 does (nodejs/undici#5273).
	Blind bool `json:"blind"`
}

const all = "Because of\nthat."

// ends has a part of a client's error for each ending, or "" for no error. Many clients take a
// short answer for a whole one: so a stream that has failed must not end cleanly.
type ends map[string]string

// npm has the clients in JavaScript.
var npm = map[string]ends{
	"openai":            {broken: "terminated", short: "", told: "the model has failed", refused: "503"},
	"openai, runner":    {broken: "terminated", short: "missing finish_reason", told: "the model has failed", refused: "503"},
	"anthropic":         {broken: "terminated", short: "", told: "the model has failed", refused: "503"},
	"anthropic, helper": {broken: "terminated", short: "stream ended without", told: "the model has failed", refused: "503"},
	"ai":                {broken: "terminated", short: "", told: "the model has failed", refused: "no more paper"},
}

// serveModels serves models on all frameworks, plain and detached, and returns what is behind
// each URL.
func serveModels(t *testing.T) (modes map[string]string) {
	t.Helper()
	modes = map[string]string{}
	for _, framework := range hosts.Frameworks() {
		for mode, opts := range map[string][]core.Option{"plain": nil, "detached": {core.WithDetach()}} {
			modes[hosts.ServeViews(t, framework, models(), opts...)] = framework + ", " + mode
		}
	}
	return modes
}

// ask returns what each client is asked.
func ask[T any](modes map[string]string, clients map[string]T) []result {
	var asked []result
	for base := range modes {
		for _, ending := range endings {
			for name := range clients {
				asked = append(asked, result{Client: name, Base: base + "/" + ending})
			}
		}
	}
	return asked
}

// testModels has the clients in JavaScript get the same answer everywhere.
func testModels(t *testing.T, dir string) {
	t.Helper()
	modes := serveModels(t)
	asked := ask(modes, npm)
	for base := range modes {
		for tool := range toolsOf {
			asked = append(asked, result{Client: "ai", Base: base + tool})
		}
	}
	results := askNode(t, dir, "models.js", asked)
	if got, want := len(results), len(asked); got != want {
		t.Fatalf("got %d answers, want %d", got, want)
	}
	if results[0].Blind {
		t.Log("this version of Node takes a response with Connection: close for whole if it is broken off")
	}
	for _, got := range results {
		want, tool := toolsOf[got.Base[strings.LastIndexByte(got.Base, '/'):]]
		if !tool {
			check(t, modes, got, npm[got.Client])
		} else if got.Tool != want || got.Error != "" || got.Status != "ready" || got.FinishReason != "stop" {
			t.Errorf("%s: got %+v, want %s", got.Base, got, want)
		}
	}
}

// check checks what a client has made of an answer. One that has failed must not look whole.
func check(t *testing.T, modes map[string]string, got result, wanted ends) {
	t.Helper()
	host, ending, _ := strings.Cut(strings.TrimPrefix(got.Base, "http://"), "/")
	mode := modes["http://"+host]
	where := fmt.Sprintf("%s, %s, %s: got %+v", got.Client, ending, mode, got)
	text, part := all, wanted[ending]
	if ending == refused {
		text = ""
	}
	if got.Text != text {
		t.Errorf("%s, want the text %q", where, text)
	}
	if ending == broken && got.Blind && closes(mode) {
		part = wanted[short] // the break looks like an end
	}
	if (part != "") != (got.Error != "") || !strings.Contains(got.Error, part) {
		t.Errorf("%s, want an error with %q in it, or none if that is empty", where, part)
	}
	if got.Client == "openai, runner" && ending == whole && got.Role != "assistant" {
		t.Errorf("%s, want the role assistant", where)
	}
	if got.Client != "ai" {
		return
	}
	status, reason := "ready", ""
	if part != "" {
		status = "error"
	}
	if ending == whole {
		reason = "stop"
	}
	if got.Status != status || got.FinishReason != reason || got.Aborted {
		t.Errorf("%s, want the status %s and the reason %q, and no abort", where, status, reason)
	}
}

// closes reports whether responses say Connection: close in a mode, which names the framework.
func closes(mode string) bool {
	return strings.Contains(mode, "fiber") || strings.Contains(mode, "detached")
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
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
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
