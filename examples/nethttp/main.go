// One event a second, on net/http. In two terminals:
//
//	go run ./examples/nethttp
//	curl -N 'http://127.0.0.1:8083/stream?user_id=ada'
package main

import (
	"context"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func main() { log.Fatal(http.ListenAndServe("127.0.0.1:8083", handler())) }

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /stream", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return ticks(r.Context(), r.FormValue("user_id"))
	}))
	return mux
}

func ticks(ctx context.Context, user string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		id, _ := strconv.Atoi(core.LastEventID(ctx)) // 0 on the first connection
		for now := range core.Every(ctx, time.Second) {
			id++
			message := []string{"当前时间: " + now.Format(time.DateTime), user}
			if !yield(core.Event{ID: strconv.Itoa(id), Type: "add"}.JSON(message)) {
				return
			}
		}
	}
}
