// A server that speaks as Anthropic's does, with a stand-in for a model, and a chat that reads
// it with the package @anthropic-ai/sdk. Any other client of Anthropic can use it, too.
//
//	go run ./examples/anthropic
//	ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY=none your-program
package main

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"log"
	"net/http"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

//go:embed index.html page.js style.css
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s, or give it to a client of Anthropic.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, handler(echo)))
}

func handler(say model) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("POST /v1/messages", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		var q question
		switch err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		case !q.Stream:
			http.Error(w, "this server only streams: set stream to true", http.StatusBadRequest)
			return nil
		}
		return anthropicMessage(say(r.Context(), q.Messages))
	}, core.WithErrorEvent(anthropicError)))
	return mux
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
