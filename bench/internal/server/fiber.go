package server

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

func newFiber() *fiber.App { return fiber.New(fiber.Config{DisableStartupMessage: true}) }

func query(r *fasthttp.Request) string { return string(r.URI().QueryString()) }

func serveFiber(ln net.Listener) error {
	app := newFiber()
	app.Get("/each", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "text/event-stream")
		c.Set(fiber.HeaderCacheControl, "no-cache")
		n := number(query(c.Request()))
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
			if err := w.Flush(); err != nil {
				return
			}
			// Only a failed heartbeat shows that the client has left.
			ticker := time.NewTicker(heartbeat())
			defer ticker.Stop()
			for range ticker.C {
				_, _ = w.WriteString(": heartbeat\n\n")
				if err := w.Flush(); err != nil {
					return
				}
			}
		})
		return nil
	})
	return app.Listener(ln)
}
