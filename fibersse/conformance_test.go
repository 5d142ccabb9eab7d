package fibersse_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestConformance(t *testing.T) {
	ssetest.Conformance(t, ssetest.Mount{Serve: serveSite, WholeBodies: true, Ignore: longLived})
}

func serveSite(_ testing.TB, site *ssetest.Site) (shutdown func(context.Context) error) {
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           site.Timeout,
		WriteTimeout:          site.Timeout,
		IdleTimeout:           site.Timeout,
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			_, _ = fmt.Fprintln(site.Log, err)
			return fiber.DefaultErrorHandler(c, err)
		},
	})
	app.Use(recover.New())
	for path, view := range site.Views {
		app.All(path, fibersse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		app.Get("/plain/"+name, answer)
		app.Get("/"+name, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			return nil, answer(c)
		}, site.Options...))
	}
	go func() { _ = app.Listener(site.Listener) }()
	return app.ShutdownWithContext
}

func siteView(view ssetest.View) fibersse.View {
	if view == nil {
		return nil
	}
	return func(c *fiber.Ctx) (core.Stream, error) {
		return view(c.UserContext(), ssetest.Exchange{Body: bytes.NewReader(c.Body()), SetHeader: c.Set}), nil
	}
}

var siteAnswers = map[string]fiber.Handler{
	"forbidden": func(*fiber.Ctx) error { return fiber.NewError(fiber.StatusForbidden, "no entry") },
	"json": func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, "max-age=60")
		return c.JSON(fiber.Map{"answer": 42})
	},
	"redirect":   func(c *fiber.Ctx) error { return c.Redirect("/json", fiber.StatusSeeOther) },
	"no-content": func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) },
	"nothing":    func(*fiber.Ctx) error { return nil },
}
