package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
)

func newFiber(s *site) *fiber.App {
	app := fiber.New(fiber.Config{
		Immutable:             true, // strings of a request may be kept
		DisableStartupMessage: true,
	})
	app.Use(recover.New())
	app.Get("/stream", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return s.ticks(c.UserContext(), c.Query("user_id")), nil
	}))
	app.Get("/time", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return s.times(c.UserContext()), nil
	}))
	app.Get("/notice", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		if c.Query("token") != token {
			return nil, c.Status(fiber.StatusForbidden).SendString("wrong token")
		}
		return s.unread(c.UserContext(), c.Query("user_id")), nil
	}))
	app.Post("/notice", func(c *fiber.Ctx) error {
		if c.Query("token") != token {
			return c.Status(fiber.StatusForbidden).SendString("wrong token")
		}
		if !s.add(c.FormValue("text")) {
			return fiber.ErrServiceUnavailable
		}
		c.Status(fiber.StatusNoContent)
		return nil
	})
	app.Get("/events", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		stream := story(c.UserContext(), number(c.Query("n"), len(sentences)))
		if stream == nil {
			c.Status(fiber.StatusNoContent)
		}
		return stream, nil
	}))
	return app
}
