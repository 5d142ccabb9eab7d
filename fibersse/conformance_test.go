package fibersse_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestConformance(t *testing.T) {
	mount := adaptertest.Mount{
		Serve:       serveSite,
		Protocols:   []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS},
		WholeBodies: true,
		Ignore:      longLived,
	}
	all := new(hosttest.Writers) // there is only one log
	logTo(t, all)
	logged := mount
	logged.Serve = func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
		all.Add(site.Log)
		return serveSite(t, site)
	}
	adaptertest.Conformance(t, mount, logged.Detached(), adaptertest.Mount{
		Name: "streamed body", // which the adapter reads
		Serve: func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
			return serveApp(t, site, fiber.Config{StreamRequestBody: true, BodyLimit: 1})
		},
		Protocols:  []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS},
		BodyBegins: true,
		Ignore:     longLived,
	})
}

func serveSite(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
	t.Helper()
	return serveApp(t, site, fiber.Config{})
}

func serveApp(_ testing.TB, site *adaptertest.Site, config fiber.Config) (shutdown func(context.Context) error) {
	app := fiber.New(fiber.Config{
		StreamRequestBody:     config.StreamRequestBody,
		BodyLimit:             config.BodyLimit,
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

func siteView(view adaptertest.View) fibersse.View {
	if view == nil {
		return nil
	}
	return func(c *fiber.Ctx) (core.Stream, error) {
		return view(c.UserContext(), adaptertest.Exchange{Body: bodyOf(c), SetHeader: c.Set}), nil
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

// A streamBody is a body that comes as a stream.
type streamBody struct {
	io.Reader

	c *fiber.Ctx
}

func (b streamBody) Close() error { return b.c.Request().CloseBodyStream() }

func bodyOf(c *fiber.Ctx) io.Reader {
	if stream := c.Request().BodyStream(); stream != nil {
		return streamBody{stream, c}
	}
	return bytes.NewReader(c.Body())
}
