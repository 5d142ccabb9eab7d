//go:build sdks

package frontends_test

import (
	"cmp"
	"context"

	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// sdks are the clients of OpenAI and Anthropic in Go. They take minutes to compile, so only
// the tag sdks brings them in.
var sdks = map[string]goClient{
	"openai-go": {
		func(ctx context.Context, base string, say func(string)) error {
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
		ends{broken: "unexpected EOF", short: "", told: "the model has failed", refused: "503"},
	},
	"anthropic-sdk-go": {
		func(ctx context.Context, base string, say func(string)) error {
			c := anthropic.NewClient(anthropicoption.WithBaseURL(base), anthropicoption.WithAPIKey("key"), anthropicoption.WithMaxRetries(0))
			stream := c.Messages.NewStreaming(ctx, anthropic.MessageNewParams{
				Model: "m", MaxTokens: 9, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Why?"))},
			})
			for stream.Next() {
				say(stream.Current().Delta.Text)
			}
			return cmp.Or(stream.Err(), stream.Close())
		},
		ends{broken: "unexpected EOF", short: "", told: "the model has failed", refused: "503"},
	},
}
