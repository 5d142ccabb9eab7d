// A stream from another server, relayed to a browser: types, data and the position in
// the stream pass through. In three terminals:
//
//	go run ./examples/gin
//	go run ./examples/relay 'http://127.0.0.1:8080/stream?user_id=ada'
//	curl -N http://127.0.0.1:8090
package main

import (
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: relay URL")
	}
	log.Fatal(router(os.Args[1]).Run("127.0.0.1:8090"))
}

func router(upstream string) *gin.Engine {
	r := gin.Default()
	r.GET("/", ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()                                                 // ends with the browser's stream, and ends the other one
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream, nil) //nolint:gosec // the user chooses the URL
		if err != nil {
			_ = c.AbortWithError(http.StatusBadGateway, err)
			return nil
		}
		after, _ := strings.CutPrefix(core.LastEventID(ctx), mark)
		return marked(client.Stream(req, client.WithLastEventID(after), client.WithPositions("position"),
			client.WithIdleTimeout(silence)))
	}))
	return r
}

// silence is how long the other server may send nothing, not even a heartbeat. Without a limit, a
// server that has vanished would look alive: the browser gets the relay's own heartbeats.
const silence = 45 * time.Second

// mark precedes the other server's IDs, so that an empty ID, with which that server
// resets the browser's position, can be sent too.
const mark = "~"

// marked gives each event the other server's last event ID, with the mark. If that ID
// changes without an event, there is an event of type "position", which a page ignores
// unless it listens for it.
func marked(s core.Stream) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for e, err := range s {
			e.ID = mark + e.ID
			if !yield(e, err) {
				return
			}
		}
	}
}
