package main

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A question is the body of a request.
type question struct {
	Stream   bool      `json:"stream"`
	Messages []message `json:"messages"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string, or a list of parts
}

// text returns the text of a message.
func (m message) text() string {
	var text string
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(m.Content, &text) != nil && json.Unmarshal(m.Content, &parts) == nil {
		for _, p := range parts {
			text += p.Text
		}
	}
	return text
}

// A model yields the tokens of the answer to the last message, until ctx ends.
type model func(ctx context.Context, messages []message) iter.Seq2[string, error]

// echo is a model that repeats the last message, slowly.
func echo(ctx context.Context, messages []message) iter.Seq2[string, error] {
	words := []string{"You", "have", "said:"}
	if len(messages) > 0 {
		words = append(words, strings.Fields(messages[len(messages)-1].text())...)
	}
	return func(yield func(string, error) bool) {
		left := words
		for range core.Every(ctx, 200*time.Millisecond) {
			if !yield(left[0]+" ", nil) {
				return
			}
			if left = left[1:]; len(left) == 0 {
				return
			}
		}
		yield("", context.Cause(ctx))
	}
}
