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
	notices := app.Group("/notice", fiberHasToken)
	notices.Get("", fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return s.unread(c.UserContext(), c.Query("user_id")), nil
	}))
	notices.Post("", func(c *fiber.Ctx) error {
		var notice noticeBody
		if err := c.BodyParser(&notice); err != nil {
			return fiber.NewError(fiber.StatusBadRequest, err.Error())
		}
		if notice.Text == "" {
			return c.Status(fiber.StatusBadRequest).JSON(fiber.Map{"text": []string{"this field is required"}})
		}
		if !s.add(notice.Text) {
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

// fiberHasToken is the permission class, as a middleware that runs before the view.
func fiberHasToken(c *fiber.Ctx) error {
	if c.Query("token") != token {
		return c.Status(fiber.StatusForbidden).JSON(fiber.Map{"detail": "wrong token"})
	}
	return c.Next()
}
