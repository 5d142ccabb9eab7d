package clients_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	anthropic "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	openai1 "github.com/openai/openai-go/packages/ssestream"
	openai3 "github.com/openai/openai-go/v3/packages/ssestream"
	r3labs "github.com/r3labs/sse/v2"
	goopenai "github.com/sashabaranov/go-openai"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A form is a way to send two events together with something that is not an event.
type form struct {
	name        string // a column of docs/clients.md
	body        string
	contentType string // text/event-stream; charset=utf-8 if empty
}

// The data is JSON, because some clients read nothing else.
const one, two = "data: 1\n\n", "data: \"☃\"\n\n"

var bothData = []string{"1", "\"☃\""}

// forms all mean the same to a client that conforms to the standard.
var forms = []form{
	{name: "no charset", body: one + two, contentType: "text/event-stream"},
	{name: "a comment and a blank line", body: ": x\n\n" + one + ": x\n\n" + two},
	{name: "a comment", body: ": x\n" + one + ": x\n" + two},
	{name: "`retry` and a blank line first", body: "retry: 50\n\n" + one + two},
	{name: "`retry` first", body: "retry: 50\n" + one + two},
	{name: "`retry` and a blank line last", body: one + two + "retry: 50\n\n"},
	{name: "`retry` last", body: one + two + "retry: 50\n"},
	{name: "an event `ping`", body: one + "event: ping\ndata: {}\n\n" + two},
}

// How a client reads a form.
const (
	right = "right"
	empty = "an empty event"
	wrong = "**wrong text**"
	loses = "**loses an event**"
	fails = "**fails**"
)

// serveForms serves each form at its index.
func serveForms(t *testing.T) (url string) {
	t.Helper()
	return ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		if err != nil || n >= len(forms) {
			http.NotFound(w, r)
			return
		}
		body := forms[n].body
		// Some clients need a field before the first event's data.
		body = strings.Replace(body, one, r.FormValue("first")+one, 1)
		for _, event := range []string{one, two} { // and in front of each event's
			body = strings.Replace(body, event, r.FormValue("each")+event, 1)
		}
		w.Header().Set("Content-Type", cmp.Or(forms[n].contentType, "text/event-stream; charset=utf-8"))
		_, _ = io.WriteString(w, body)
	}))
}

// A reader reads a body and returns the data of the events that its user gets.
type reader func(ctx context.Context, url string) (got []string, err error)

// readers are the clients in Go. Those by hand are what people usually write.
var readers = map[string]reader{
	"tmaxmax/go-sse":                   readTmaxmax,
	"launchdarkly/eventsource":         readLaunchDarkly,
	"r3labs/sse":                       readR3labs,
	"modelcontextprotocol/go-sdk, SSE": connectMCP,
	"openai-go v1": func(ctx context.Context, url string) ([]string, error) {
		res, err := get(ctx, url)
		return readSDK(openai1.NewStream[json.RawMessage](openai1.NewDecoder(res), err))
	},
	"openai-go v3": func(ctx context.Context, url string) ([]string, error) {
		res, err := get(ctx, url)
		return readSDK(openai3.NewStream[json.RawMessage](openai3.NewDecoder(res), err))
	},
	"anthropic-sdk-go": func(ctx context.Context, url string) ([]string, error) {
		res, err := get(ctx, url+"?each=event:completion%0A") // it reads no others
		return readSDK(anthropic.NewStream[json.RawMessage](anthropic.NewDecoder(res), err))
	},
	"sashabaranov/go-openai": readGoOpenAI,
	"yieldsse": func(ctx context.Context, url string) (got []string, err error) {
		res, err := get(ctx, url)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		for e, err := range core.Read(res.Body) {
			if err != nil {
				return got, err
			}
			got = append(got, e.Data)
		}
		return got, nil
	},
	"by hand: splits at blank lines, takes blocks that begin with `data:`": byHand(func(body string) (got []string) {
		for block := range strings.SplitSeq(body, "\n\n") {
			if data, ok := strings.CutPrefix(block, "data: "); ok {
				got = append(got, data)
			}
		}
		return got
	}),
	"by hand: by lines, an event at each blank line": byHand(func(body string) (got []string) {
		data := ""
		for line := range strings.Lines(body) {
			if value, ok := strings.CutPrefix(line, "data: "); ok {
				data += strings.TrimSuffix(value, "\n")
			} else if line == "\n" {
				got, data = append(got, data), ""
			}
		}
		return got
	}),
	"by hand: by lines, an event for each line of data": byHand(func(body string) (got []string) {
		for line := range strings.Lines(body) {
			if value, ok := strings.CutPrefix(line, "data: "); ok {
				got = append(got, strings.TrimSuffix(value, "\n"))
			}
		}
		return got
	}),
}

func byHand(read func(body string) []string) reader {
	return func(ctx context.Context, url string) ([]string, error) {
		res, err := get(ctx, url)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return read(string(body)), err
	}
}

func get(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}

func readTmaxmax(ctx context.Context, url string) (got []string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	c := (&tmaxmax.Client{Backoff: tmaxmax.Backoff{MaxRetries: -1}}).NewConnection(r)
	c.SubscribeToAll(func(e tmaxmax.Event) { got = append(got, e.Data) })
	if err = c.Connect(); errors.Is(err, io.EOF) {
		err = nil
	}
	return got, err
}

func readLaunchDarkly(ctx context.Context, url string) (got []string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	s, err := launchdarkly.SubscribeWithRequestAndOptions(r, launchdarkly.StreamOptionInitialRetry(time.Hour))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for {
		select {
		case e := <-s.Events:
			got = append(got, e.Data())
		case <-s.Errors: //nolint:errcheck // the end, which it reports in two ways
			return got, nil
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

// readR3labs gives the first event an ID, because r3labs reads an empty block in
// another way once it has had an ID, and clients that resume have one.
func readR3labs(ctx context.Context, url string) (got []string, err error) {
	err = r3labs.NewClient(url+"?first=id:1%0A").SubscribeRawWithContext(ctx, func(e *r3labs.Event) { got = append(got, string(e.Data)) })
	return got, err
}

// readSDK reads a stream of an SDK for language models.
func readSDK(s interface {
	Next() bool
	Current() json.RawMessage
	Err() error
	Close() error
},
) (got []string, err error) {
	defer func() { _ = s.Close() }()
	for s.Next() {
		got = append(got, string(s.Current()))
	}
	return got, s.Err()
}

// readGoOpenAI reads a stream. The client appends its own path to the form's.
func readGoOpenAI(ctx context.Context, url string) (got []string, err error) {
	config := goopenai.DefaultConfig("key")
	config.BaseURL = url
	s, err := goopenai.NewClientWithConfig(config).CreateChatCompletionStream(ctx, goopenai.ChatCompletionRequest{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	for {
		data, err := s.RecvRaw()
		if errors.Is(err, io.EOF) {
			return got, nil
		} else if err != nil {
			return got, err
		}
		got = append(got, string(data))
	}
}

// connectMCP only connects.
func connectMCP(ctx context.Context, url string) (got []string, err error) {
	c, err := (&mcp.SSEClientTransport{Endpoint: url + "?first=event:endpoint%0A"}).Connect(ctx)
	if err != nil {
		return nil, err
	}
	return bothData, c.Close()
}

// outcome says how a client has read a form.
func outcome(got []string, err error) string {
	got = slices.DeleteFunc(slices.Clone(got), func(data string) bool { return data == "{}" }) // of ping
	switch {
	case err != nil:
		return fails
	case slices.Equal(got, bothData):
		return right
	case slices.Contains(got, ""):
		return empty
	case len(got) < 2:
		return loses
	case len(got) == 2:
		return wrong
	}
	return fmt.Sprintf("%q", got)
}

// checkRow checks that the table in docs/clients.md has a row.
func checkRow(t *testing.T, client string, made []string) {
	t.Helper()
	document, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	if row := "| " + client + " | " + strings.Join(made, " | ") + " |"; !strings.Contains(string(document), row+"\n") {
		t.Errorf("docs/clients.md does not have the row\n%s", row)
	}
}

// What is not an event must not look like one. The table in docs/clients.md holds the
// results, which decide what a session sends besides events. [TestClients] checks those on
// npm.
func TestFrames(t *testing.T) {
	url := serveForms(t)
	t.Run("head", func(t *testing.T) {
		var names []string
		for _, f := range forms {
			names = append(names, f.name)
		}
		checkRow(t, "client", names)
	})
	for client, read := range readers {
		t.Run(client, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var made []string
			for i := range forms {
				made = append(made, outcome(read(ctx, fmt.Sprintf("%s/%d", url, i))))
			}
			checkRow(t, client, made)
		})
	}
	t.Run("Python", func(t *testing.T) { checkScript(t, "testdata", withRequests(t), "forms.py") })
}

// checkScript runs a program that reads each form with several clients, and checks their rows.
func checkScript(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], serveForms(t), strconv.Itoa(len(forms)))...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var all struct {
			Client string     `json:"client"`
			Got    [][]string `json:"got"`
		}
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		var made []string
		for _, got := range all.Got {
			made = append(made, outcome(got, nil))
		}
		checkRow(t, all.Client, made)
	}
}
