package main

import (
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
)

func newFiber3(s *site) *fiber.App {
	app := fiber.New(fiber.Config{Immutable: true}) // strings of a request may be kept
	app.Use(recover.New())
	app.Get("/stream", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		return s.ticks(c.Context(), c.Query("user_id")), nil
	}))
	app.Get("/time", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		return s.times(c.Context()), nil
	}))
	app.Get("/notice", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		if c.Query("token") != token {
			return nil, fiber.ErrForbidden
		}
		return s.unread(c.Context(), c.Query("user_id")), nil
	}))
	app.Post("/notice", func(c fiber.Ctx) error {
		if c.Query("token") != token {
			return fiber.ErrForbidden
		}
		if !s.add(c.FormValue("text")) {
			return fiber.ErrServiceUnavailable
		}
		c.Status(fiber.StatusNoContent)
		return nil
	})
	app.Get("/events", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		stream := story(c.Context(), number(c.Query("n"), len(sentences)))
		if stream == nil {
			c.Status(fiber.StatusNoContent)
		}
		return stream, nil
	}))
	return app
}
