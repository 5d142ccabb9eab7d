// Messages that appear in all windows, on htmx, without any JavaScript of the page's own.
//
//	go run ./examples/htmx
package main

import (
	"flag"
	"fmt"
	"html"
	"log"
	"net/http"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Messages</title>
<script src="https://cdn.jsdelivr.net/npm/htmx.org@2.0.11/dist/htmx.min.js"></script>
<script src="https://cdn.jsdelivr.net/npm/htmx-ext-sse@2.2.4/dist/sse.min.js"></script>
<form hx-post="messages" hx-swap="none" hx-on::after-request="if (event.detail.successful) this.reset()">
	<input name="text" aria-label="Message" required autofocus autocomplete="off"> <button>Send</button>
</form>
<div hx-ext="sse" sse-connect="messages">
	<ul sse-swap="message" hx-swap="afterbegin" aria-live="polite"></ul>
</div>`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s in two windows.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, handler()))
}

func handler() http.Handler {
	room := hub.New(hub.WithMaxEvents(100))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	mux.Handle("GET /messages", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return room.SubscribeFrom(r.Context(), hub.Oldest, "messages")
	}))
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		item := "<li>" + html.EscapeString(r.PostFormValue("text")) + "</li>"
		if _, err := room.Publish(r.Context(), "messages", core.Event{Data: item}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
