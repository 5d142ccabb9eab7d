package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/cors"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/static"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
)

func newFiber3(d *demo) server {
	app := fiber.New(fiber.Config{
		BodyLimit:    maxBody,
		ErrorHandler: d.fiber3Errors,
	})
	app.Use(recover.New(), cors.New())

	ctx := func(c fiber.Ctx) context.Context {
		return d.drops.context(c.Context(), c.Query("session"))
	}
	// stream makes a handler of a view. It answers if the view returns an error, or
	// nothing.
	stream := func(view func(c fiber.Ctx) (core.Stream, error)) fiber.Handler {
		return fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
			s, err := view(c)
			switch {
			case err != nil:
				return nil, fiber3Error(err)
			case s == nil:
				c.Status(fiber.StatusNoContent)
			}
			return s, nil
		}, d.options...)
	}

	app.Get("/stream", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.stream(ctx(c), strings.Clone(c.Query("user_id"))), nil
	}))
	app.Get("/time", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.time(ctx(c)), nil
	}))
	app.Get("/notice", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.notice(c.Query("token"))
	}))
	app.Get("/events", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.events(ctx(c)), nil
	}))
	app.Get("/picture", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.picture(ctx(c)), nil
	}))
	app.Get("/pause", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.pause(ctx(c)), nil
	}))
	app.Post("/tokens", stream(func(c fiber.Ctx) (core.Stream, error) {
		var body tokensBody
		if err := decode(bytes.NewReader(c.Body()), &body); err != nil {
			return nil, errPrompt
		}
		return d.tokens(c.Context(), body.Prompt)
	}))
	app.Get("/progress", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.progress(ctx(c), c.Query("job"))
	}))
	app.Get("/fail", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.fail(ctx(c)), nil
	}))

	app.Get("/chat", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.chat(ctx(c), c.Query("name"))
	}))
	app.Get("/ticker", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.ticker(ctx(c), c.Query("symbols"))
	}))
	app.Get("/news", stream(func(c fiber.Ctx) (core.Stream, error) {
		return d.news(ctx(c), c.Query("section"))
	}))

	app.Post("/chat", func(c fiber.Ctx) error {
		var body message
		if err := decode(bytes.NewReader(c.Body()), &body); err != nil {
			return fiber3Error(errChat)
		}
		if err := d.say(body); err != nil {
			return fiber3Error(err)
		}
		c.Status(fiber.StatusNoContent)
		return nil
	})
	app.Post("/notice", func(c fiber.Ctx) error {
		var body noticeBody
		if err := decode(bytes.NewReader(c.Body()), &body); err != nil {
			return fiber3Error(errText)
		}
		if err := d.addNotice(c.Query("token"), body.Text); err != nil {
			return fiber3Error(err)
		}
		c.Status(fiber.StatusNoContent)
		return nil
	})
	app.Post("/drop", func(c fiber.Ctx) error {
		d.drops.drop(c.Query("session"))
		c.Status(fiber.StatusNoContent)
		return nil
	})
	app.Get("/info", func(c fiber.Ctx) error { return c.JSON(d.info("fiber v3")) })
	app.Use("/", static.New("", static.Config{FS: page}))
	return fiber3Server{app}
}

// fiber3Error returns an error that fiber's error handler answers.
func fiber3Error(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return fiber.NewError(p.status, p.text)
	}
	return err
}

// fiber3Errors answers as fiber does, and logs errors that are not only answers, such as
// the failure of a stream.
func (d *demo) fiber3Errors(c fiber.Ctx, err error) error {
	if _, ok := errors.AsType[*fiber.Error](err); !ok {
		d.log.Printf("fiber v3: %q: %v", c.Method()+" "+c.Path(), err)
	}
	return fiber.DefaultErrorHandler(c, err)
}

// A fiber3Server gives an app the methods of http.Server.
type fiber3Server struct{ app *fiber.App }

func (s fiber3Server) Serve(l net.Listener) error {
	return s.app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
}

func (s fiber3Server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }
