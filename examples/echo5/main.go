// One event a second, on echo v5. In two terminals:
//
//	go run ./examples/echo5
//	curl -N 'http://127.0.0.1:8084/stream?user_id=ada'
package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
)

func main() {
	if err := router().Start("127.0.0.1:8084"); err != nil {
		log.Fatal(err)
	}
}

func router() *echo.Echo {
	e := echo.New()
	e.GET("/stream", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		return ticks(c.Request().Context(), c.QueryParam("user_id")), nil
	}))
	return e
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
