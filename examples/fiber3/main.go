// One event a second, on fiber v3. In two terminals:
//
//	go run ./examples/fiber3
//	curl -N 'http://127.0.0.1:8085/stream?user_id=ada'
package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
)

func main() { log.Fatal(app().Listen("127.0.0.1:8085")) }

func app() *fiber.App {
	app := fiber.New(fiber.Config{Immutable: true})
	app.Get("/stream", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		return ticks(c.Context(), c.Query("user_id")), nil
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
