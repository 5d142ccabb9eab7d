package main

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A question is what useChat posts: a chat with a new message at its end.
type question struct {
	ID       string    `json:"id"`
	Messages []message `json:"messages"`
}

// A message is one of useChat's.
type message struct {
	ID    string `json:"id"`
	Role  string `json:"role"`
	Parts []part `json:"parts"`
}

// A part is one of a message, or of the stream of an answer. Its fields depend on its type.
type part struct {
	Type      string `json:"type"`
	Text      string `json:"text,omitempty"`
	MessageID string `json:"messageId,omitempty"`
	ID        string `json:"id,omitempty"`
	Delta     string `json:"delta,omitempty"`
}

// A model yields the tokens of the answer to the last message, until ctx ends.
type model func(ctx context.Context, messages []message) iter.Seq2[string, error]

// echo is a model that repeats the last message, slowly.
func echo(ctx context.Context, messages []message) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		words := []string{"You", "have", "said:"}
		if len(messages) > 0 && len(messages[len(messages)-1].Parts) > 0 {
			words = append(words, strings.Fields(messages[len(messages)-1].Parts[0].Text)...)
		}
		for range core.Every(ctx, 400*time.Millisecond) {
			if !yield(words[0]+" ", nil) {
				return
			}
			if words = words[1:]; len(words) == 0 {
				return
			}
		}
	}
}
