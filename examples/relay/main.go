// A browser's stream from another server: the types, the IDs and the browser's
// Last-Event-ID pass through. In three terminals:
//
//	go run ./examples/gin
//	go run ./examples/relay 'http://127.0.0.1:8080/stream?user_id=ada'
//	curl -N http://127.0.0.1:8090
package main

import (
	"log"
	"net/http"
	"os"

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
		ctx := c.Request.Context()                                                 // ends with the browser's stream, as does the other one
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream, nil) //nolint:gosec // it is the user's own choice
		if err != nil {
			_ = c.AbortWithError(http.StatusBadGateway, err)
			return nil
		}
		return client.Stream(ctx, req, client.WithLastEventID(core.LastEventID(ctx)))
	}))
	return r
}
