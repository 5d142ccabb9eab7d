// Messages that appear in all windows, on datastar, without any JavaScript of the page's own.
//
//	go run ./examples/datastar
package main

import (
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"log"
	"net/http"
	"strings"

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
	mux.Handle("POST /messages", nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
		var signals struct {
			Text string `json:"text"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&signals); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil
		}
		item := patch("#list", "prepend", "<li>"+html.EscapeString(signals.Text)+"</li>")
		if _, err := room.Publish(r.Context(), "messages", item); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return nil
		}
		return func(yield func(core.Event, error) bool) { // empties the field
			yield(core.Event{Type: "datastar-patch-signals", Data: `signals {"text":""}`}, nil)
		}
	}))
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages may not post
}

// patch makes an event that puts HTML into the page.
func patch(selector, mode, elements string) core.Event {
	return core.Event{
		Type: "datastar-patch-elements",
		Data: "selector " + selector + "\nmode " + mode + "\nelements " + strings.ReplaceAll(elements, "\n", "\nelements "),
	}
}
