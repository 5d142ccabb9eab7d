// One event a second, on gin. In two terminals:
//
//	go run ./examples/gin
//	curl -N 'http://127.0.0.1:8080/stream?user_id=ada'
package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

func main() { log.Fatal(router().Run("127.0.0.1:8080")) }

func router() *gin.Engine {
	r := gin.Default()
	r.GET("/stream", ginsse.Handler(func(c *gin.Context) core.Stream {
		return ticks(c.Request.Context(), c.Query("user_id"))
	}))
	return r
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
