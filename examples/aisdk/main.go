// A chat with useChat of the AI SDK, on a stand-in for a model. An answer goes on when the
// page is reloaded, and a button stops it.
//
//	go run ./examples/aisdk
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log"
	"net/http"
	"sync"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

//go:embed index.html page.js style.css
var page embed.FS

type server struct {
	answers run.Runner
	stored  sync.Map // the messages of each chat, without an answer that is being written; a real server has a database
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s, ask something, and reload the page.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, new(server).handler(echo)))
}

func (s *server) handler(say model) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.HandleFunc("GET /api/chat/{id}", func(w http.ResponseWriter, r *http.Request) {
		messages, ok := s.stored.Load(r.PathValue("id"))
		if !ok {
			messages = []message{}
		}
		_ = json.NewEncoder(w).Encode(messages)
	})
	mux.Handle("POST /api/chat", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		var chat question
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&chat); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		}
		return s.answers.Start(r.Context(), chat.ID, func(ctx context.Context) core.Stream {
			return core.Then(core.EncodeJSON("", s.answer(ctx, chat.ID, chat.Messages, say)), core.Event{Data: "[DONE]"})
		}, run.WithExclusive())
	}))
	mux.Handle("GET /api/chat/{id}/stream", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return s.answers.Attach(r.Context(), r.PathValue("id"), run.WithOnlyRunning())
	}))
	mux.HandleFunc("DELETE /api/chat/{id}", func(w http.ResponseWriter, r *http.Request) {
		err := s.answers.Stop(r.Context(), r.PathValue("id"), core.Event{Data: `{"type":"abort"}`}, core.Event{Data: "[DONE]"})
		if err != nil && !errors.Is(err, run.ErrNotHeld) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages may not post
}

// answer yields the parts of an answer, and stores it if it is whole or somebody has stopped it.
func (s *server) answer(ctx context.Context, chat string, messages []message, say model) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		s.stored.Store(chat, messages)
		said := message{rand.Text(), "assistant", []part{{Type: "text"}}}
		ok := yield(part{Type: "start", MessageID: said.ID}, nil) && yield(part{Type: "text-start", ID: "1"}, nil)
		if !ok {
			return
		}
		var failed error
		for token, err := range say(ctx, messages) {
			if failed, ok = err, err == nil && yield(part{Type: "text-delta", ID: "1", Delta: token}, nil); !ok {
				break
			}
			said.Parts[0].Text += token
		}
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, run.ErrStopped): // somebody has read enough
		case failed != nil:
			yield(part{}, failed)
			return
		case cause != nil:
			return
		}
		s.stored.Store(chat, append(messages, said))
		_ = ok && yield(part{Type: "text-end", ID: "1"}, nil) && yield(part{Type: "finish"}, nil)
	}
}
