package fiber3sse_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/log"
	"github.com/gofiber/fiber/v3/middleware/recover"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
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
		StreamRequestBody: config.StreamRequestBody,
		BodyLimit:         config.BodyLimit,
		ReadTimeout:       site.Timeout,
		WriteTimeout:      site.Timeout,
		IdleTimeout:       site.Timeout,
		ErrorHandler: func(c fiber.Ctx, err error) error {
			_, _ = fmt.Fprintln(site.Log, err)
			return fiber.DefaultErrorHandler(c, err)
		},
	})
	app.Use(recover.New())
	for path, view := range site.Views {
		app.All(path, fiber3sse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		app.Get("/plain/"+name, answer)
		app.Get("/"+name, fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
			return nil, answer(c)
		}, site.Options...))
	}
	go func() { _ = app.Listener(site.Listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	return app.ShutdownWithContext
}

func siteView(view adaptertest.View) fiber3sse.View {
	if view == nil {
		return nil
	}
	return func(c fiber.Ctx) (core.Stream, error) {
		return view(c.Context(), adaptertest.Exchange{Body: bodyOf(c), SetHeader: c.Set}), nil
	}
}

var siteAnswers = map[string]fiber.Handler{
	"forbidden": func(fiber.Ctx) error { return fiber.NewError(fiber.StatusForbidden, "no entry") },
	"json": func(c fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, "max-age=60")
		return c.JSON(fiber.Map{"answer": 42})
	},
	"redirect":   func(c fiber.Ctx) error { return c.Redirect().Status(fiber.StatusSeeOther).To("/json") },
	"no-content": func(c fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) },
	"nothing":    func(fiber.Ctx) error { return nil },
}

// A streamBody is a body that comes as a stream.
type streamBody struct {
	io.Reader

	c fiber.Ctx
}

func (b streamBody) Close() error { return b.c.Request().CloseBodyStream() }

func bodyOf(c fiber.Ctx) io.Reader {
	if stream := c.Request().BodyStream(); stream != nil {
		return streamBody{stream, c}
	}
	return bytes.NewReader(c.Body())
}

// logTo writes fiber's log to w until the test ends.
func logTo(t *testing.T, w io.Writer) {
	t.Helper()
	log.SetOutput(w)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}
