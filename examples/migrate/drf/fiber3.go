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
	notices := app.Group("/notice", fiber3HasToken)
	notices.Get("", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		return s.unread(c.Context(), c.Query("user_id")), nil
	}))
	notices.Post("", func(c fiber.Ctx) error {
		var notice noticeBody
		if err := c.Bind().Body(&notice); err != nil {
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
	app.Get("/events", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		stream := story(c.Context(), number(c.Query("n"), len(sentences)))
		if stream == nil {
			c.Status(fiber.StatusNoContent)
		}
		return stream, nil
	}))
	return app
}

// fiber3HasToken is the permission class, as a middleware that runs before the view.
func fiber3HasToken(c fiber.Ctx) error {
	if c.Query("token") != token {
		return c.Status(fiber.StatusForbidden).JSON(fiber.Map{"detail": "wrong token"})
	}
	return c.Next()
}
