// One event a second, on fiber. In two terminals:
//
//	go run ./examples/fiber
//	curl -N 'http://127.0.0.1:8082/stream?user_id=ada'
package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
)

func main() { log.Fatal(app().Listen("127.0.0.1:8082")) }

func app() *fiber.App {
	app := fiber.New(fiber.Config{Immutable: true})
	app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return ticks(c.UserContext(), c.Query("user_id")), nil
	}))
	return app
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
