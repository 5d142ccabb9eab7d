package frontends_test

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/run"
)

// An openAIChunk is the data of an event of OpenAI's chat completions.
type openAIChunk struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []openAIChoice `json:"choices"`
}

type openAIChoice struct {
	Index        int               `json:"index"`
	Delta        map[string]string `json:"delta"`
	FinishReason *string           `json:"finish_reason"` //nolint:tagliatelle // OpenAI's name
}

// openAI streams an answer as POST /v1/chat/completions does.
func openAI(tokens iter.Seq2[string, error]) core.Stream {
	id, created := "chatcmpl-"+rand.Text(), time.Now().Unix()
	chunk := func(delta map[string]string, finish *string) openAIChunk {
		return openAIChunk{id, "chat.completion.chunk", created, "echo", []openAIChoice{{0, delta, finish}}}
	}
	chunks := func(yield func(openAIChunk, error) bool) {
		if !yield(chunk(map[string]string{"role": "assistant", "content": ""}, nil), nil) {
			return
		}
		for token, err := range tokens {
			if !yield(chunk(map[string]string{"content": token}, nil), err) || err != nil {
				return
			}
		}
		stop := "stop"
		yield(chunk(map[string]string{}, &stop), nil)
	}
	return core.Then(core.EncodeJSON("", chunks), core.Event{Data: "[DONE]"})
}

func openAIError(error) core.Event {
	return core.Event{Data: `{"error":{"message":"the model has failed","type":"server_error"}}`}
}

// object is a JSON object.
type object = map[string]any

// anthropicEvent makes an event, whose type is in its data, too.
func anthropicEvent(typ string, data object) (core.Event, error) {
	data["type"] = typ
	return core.Event{Type: typ}.JSON(data)
}

// anthropicMessage streams an answer as POST /v1/messages does.
func anthropicMessage(tokens iter.Seq2[string, error]) core.Stream {
	return func(yield func(core.Event, error) bool) {
		message := object{
			"id": "msg_" + rand.Text(), "type": "message", "role": "assistant", "model": "echo", "content": []any{},
			"stop_reason": nil, "stop_sequence": nil, "usage": object{"input_tokens": 1, "output_tokens": 0},
		}
		block := object{"type": "text", "text": ""}
		if !yield(anthropicEvent("message_start", object{"message": message})) ||
			!yield(anthropicEvent("content_block_start", object{"index": 0, "content_block": block})) {
			return
		}
		said := 0
		for token, err := range tokens {
			if err != nil {
				yield(core.Event{}, err)
				return
			}
			said++
			delta := object{"type": "text_delta", "text": token}
			if !yield(anthropicEvent("content_block_delta", object{"index": 0, "delta": delta})) {
				return
			}
		}
		end := object{"stop_reason": "end_turn", "stop_sequence": nil}
		_ = yield(anthropicEvent("content_block_stop", object{"index": 0})) &&
			yield(anthropicEvent("message_delta", object{"delta": end, "usage": object{"output_tokens": said}})) &&
			yield(anthropicEvent("message_stop", object{}))
	}
}

func anthropicError(error) core.Event {
	return core.Event{Type: "error", Data: `{"type":"error","error":{"type":"api_error","message":"the model has failed"}}`}
}

// A part is one of a UI message of the AI SDK. Its fields depend on its type.
type part struct {
	Type         string `json:"type"`
	MessageID    string `json:"messageId,omitempty"`
	ID           string `json:"id,omitempty"`
	Delta        string `json:"delta,omitempty"`
	ToolCallID   string `json:"toolCallId,omitempty"`
	ToolName     string `json:"toolName,omitempty"`
	Input        any    `json:"input,omitempty"`
	Output       any    `json:"output,omitempty"`
	ErrorText    string `json:"errorText,omitempty"`
	FinishReason string `json:"finishReason,omitempty"`
}

// uiMessage streams an answer as the AI SDK's useChat reads it. messageID stays the same
// when the stream is read again.
func uiMessage(messageID string, tokens iter.Seq2[string, error]) core.Stream {
	parts := func(yield func(part, error) bool) {
		if !yield(part{Type: "start", MessageID: messageID}, nil) ||
			!yield(part{Type: "text-start", ID: "1"}, nil) {
			return
		}
		for token, err := range tokens {
			if !yield(part{Type: "text-delta", ID: "1", Delta: token}, err) || err != nil {
				return
			}
		}
		_ = yield(part{Type: "text-end", ID: "1"}, nil) &&
			yield(part{Type: "finish", FinishReason: "stop"}, nil)
	}
	return core.Then(core.EncodeJSON("", parts), core.Event{Data: "[DONE]"})
}

func uiError(error) core.Event {
	return core.Event{Data: `{"type":"error","errorText":"the model has failed"}`}
}

// withTool is an answer for which the model calls a tool.
func withTool(messageID string, tool func() (any, error)) core.Stream {
	parts := func(yield func(part, error) bool) {
		_ = yield(part{Type: "start", MessageID: messageID}, nil) &&
			callTool(yield, "call-1", "weather", object{"city": "Bonn"}, tool) &&
			yield(part{Type: "finish", FinishReason: "stop"}, nil)
	}
	return core.Then(core.EncodeJSON("", parts), core.Event{Data: "[DONE]"})
}

// callTool calls a tool, and tells of it. As yield does, it returns whether to go on.
func callTool(yield func(part, error) bool, id, name string, input any, tool func() (any, error)) bool {
	if !yield(part{Type: "tool-input-start", ToolCallID: id, ToolName: name}, nil) ||
		!yield(part{Type: "tool-input-available", ToolCallID: id, ToolName: name, Input: input}, nil) {
		return false
	}
	output, err := tool()
	if err != nil { // of this call only: the answer goes on
		return yield(part{Type: "tool-output-error", ToolCallID: id, ErrorText: "the tool has failed"}, nil)
	}
	return yield(part{Type: "tool-output-available", ToolCallID: id, Output: output}, nil)
}

var chats run.Runner

// startChat is the view of POST /api/chat.
func startChat(ctx context.Context, chat, messageID string, model func(context.Context) iter.Seq2[string, error]) core.Stream {
	return chats.Start(ctx, chat, func(ctx context.Context) core.Stream {
		return uiMessage(messageID, model(ctx))
	}, run.WithExclusive())
}

// resumeChat is the view of GET /api/chat/:id/stream, which useChat calls with resume: true.
func resumeChat(ctx context.Context, chat string) core.Stream {
	return chats.Attach(ctx, chat, run.WithOnlyRunning())
}

// stopChat is called by DELETE /api/chat/:id. useChat's own stop only stops reading.
func stopChat(ctx context.Context, chat string) error {
	err := chats.Stop(ctx, chat, core.Event{Data: `{"type":"abort"}`}, core.Event{Data: "[DONE]"})
	if errors.Is(err, run.ErrNotHeld) {
		return nil
	}
	return err
}
