// Messages that appear in all windows, on Turbo.
//
//	go run ./examples/turbo
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

//go:embed index.html style.css
var page embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the `address` to listen on")
	flag.Parse()
	fmt.Printf("Open http://%s in two windows.\n", *addr) //nolint:forbidigo // for the user
	log.Fatal(http.ListenAndServe(*addr, handler()))
}

func handler() http.Handler {
	room := hub.New(hub.WithMaxEvents(100))
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET /messages", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return room.SubscribeFrom(r.Context(), hub.Oldest, "messages")
	}))
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		item := turboStream("prepend", "list", "<li>"+html.EscapeString(r.PostFormValue("text"))+"</li>")
		if _, err := room.Publish(r.Context(), "messages", item); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages may not post
}

// turboStream makes an event that <turbo-stream-source> applies to a page. It has no type,
// because Turbo reads no others.
func turboStream(action, target, content string) core.Event {
	stream := `<turbo-stream action="` + action + `" target="` + target + `">`
	return core.Event{Data: stream + "<template>" + content + "</template></turbo-stream>"}
}
