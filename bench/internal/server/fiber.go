package server

import (
	"bufio"
	"fmt"
	"net"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
)

func newFiber() *fiber.App { return fiber.New(fiber.Config{DisableStartupMessage: true}) }

func query(c *fiber.Ctx) string { return string(c.Request().URI().QueryString()) }

func serveFiber(ln net.Listener) error {
	app := newFiber()
	app.Get("/each", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "text/event-stream")
		c.Set(fiber.HeaderCacheControl, "no-cache")
		n := number(query(c))
		c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
			for id := firstID; id < firstID+n; id++ {
				if _, err := fmt.Fprintf(w, format, id, eventType, data); err != nil {
					return
				}
				if err := w.Flush(); err != nil {
					return
				}
			}
		})
		return nil
	})
	app.Get(Idle, func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "text/event-stream")
		c.Set(fiber.HeaderCacheControl, "no-cache")
		c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
			_, _ = fmt.Fprintf(w, format, firstID, eventType, data)
			_ = w.Flush()
			select {} // nothing tells it that the client leaves
		})
		return nil
	})
	return app.Listener(ln)
}

func serveFiberSSE(ln net.Listener) error {
	view := func(c *fiber.Ctx) (core.Stream, error) { return burst(query(c)), nil }
	app := newFiber()
	app.Get("/each", fibersse.Handler(view, each))
	app.Get("/gathered", fibersse.Handler(view))
	app.Get(Idle, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
		return idle(c.UserContext()), nil
	}))
	return app.Listener(ln)
}
