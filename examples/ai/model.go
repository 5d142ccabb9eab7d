package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
)

// A model yields the tokens of the answer to the last of these, until ctx ends.
type model func(ctx context.Context, history []said) iter.Seq2[string, error]

// said is a message of a conversation, as OpenAI's protocol has it.
type said struct {
	Role    string `json:"role"` // user or assistant
	Content string `json:"content"`
}

// An upstream is a model on a server that speaks OpenAI's protocol.
type upstream struct {
	url, name, key string
	silent         time.Duration // how long the server may be
}

// A cutError means that an answer is not whole, although nothing has failed.
type cutError struct{ reason string }

func (e *cutError) Error() string { return "the model was not allowed to say more: " + e.reason }

// answer is a [model].
func (u upstream) answer(ctx context.Context, history []said) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		req, err := u.request(ctx, history)
		if err != nil {
			yield("", err)
			return
		}
		reason := ""
		// With WithOnce, a response without [DONE] is an error, and not the end of an answer.
		for c, err := range core.DecodeJSON[chunk](client.Stream(req, client.WithOnce("[DONE]"), client.WithIdleTimeout(u.silent))) {
			if err == nil && c.Error != nil {
				err = fmt.Errorf("the model has failed: %s", c.Error.Message)
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, choice := range c.Choices {
				reason = cmp.Or(choice.FinishReason, reason)
				if choice.Delta.Content != "" && !yield(choice.Delta.Content, nil) {
					return
				}
			}
		}
		if reason != "" && reason != "stop" { // such as length or content_filter
			yield("", &cutError{reason})
		}
	}
}

// request returns the request for an answer.
func (u upstream) request(ctx context.Context, history []said) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{"model": u.name, "messages": history, "stream": true})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if u.key != "" {
		req.Header.Set("Authorization", "Bearer "+u.key)
	}
	return req, nil
}

// A chunk is the data of an event of that server.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"` //nolint:tagliatelle // OpenAI's name
	} `json:"choices"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"` // sent instead of the rest
}

// pace is the time between two tokens of the built-in model.
const pace = 40 * time.Millisecond

// builtIn is a model for trying: it knows one thing, and says it slowly.
func builtIn(ctx context.Context, history []said) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if len(history) == 0 {
			yield("", errors.New("there is no question"))
			return
		}
		tokens := pieces.FindAllString(reply(history), -1)
		for range core.Every(ctx, pace) {
			if !yield(tokens[0], nil) {
				return
			}
			if tokens = tokens[1:]; len(tokens) == 0 {
				return
			}
		}
	}
}

// pieces matches text of a token's usual size. Most words include the space before them.
var pieces = regexp.MustCompile(`(?s) ?[\pL\pN]{1,7}|\n+|\s+|.`)

func reply(history []said) string {
	question := strings.Join(strings.Fields(history[len(history)-1].Content), " ")
	before := ""
	if n := (len(history) - 1) / 2; n == 1 {
		before = "I remember what you have asked before. "
	} else if n > 1 {
		before = fmt.Sprintf("I remember the %d things that you have asked before. ", n)
	}
	return before + "You have asked: **" + strings.ReplaceAll(question, "*", "") + `**

I am only a small model that is built into this example, so I cannot tell you much. But while I type, you can try three things:

1. **Reload the page.** I go on, and you miss nothing.
2. **Open this address in a second window**, or on a phone. It shows the same words at the same time.
3. **Press stop.** I stop in all windows, and what I have said so far stays.

The answer is a generator that no request owns:

` + "```go" + `
func answer(ctx context.Context, question string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for token, err := range model(ctx, question) {
			if !yield(core.Event{Data: token}, err) {
				return // it was stopped
			}
		}
	}
}
` + "```" + `

Package ` + "`run`" + ` keeps its events, so that any number of windows may read them from the beginning: 你好, καλημέρα, مرحبا 👋🏽

To hear a real model, start me again with ` + "`-upstream`" + `.
`
}
