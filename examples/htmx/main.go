// Messages that appear in all windows, on htmx 2 and htmx 4, without any JavaScript of the
// pages' own.
//
//	go run ./examples/htmx
package main

import (
	"embed"
	"flag"
	"fmt"
	"html"
	"log"
	"net/http"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

//go:embed *.html style.css
var pages embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s, or http://%[1]s/htmx4.html, in two windows.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, handler()))
}

func handler() http.Handler {
	room := hub.New(hub.WithMaxEvents(100))
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(pages))
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
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages may not post
}
