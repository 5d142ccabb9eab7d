package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
)

func newEcho5(d *demo) server {
	e := echo.New()
	e.Logger = slog.New(slog.NewTextHandler(d.log.Writer(), nil))
	e.Use(middleware.Recover(), middleware.CORS("*"))

	ctx := func(c *echo.Context) context.Context {
		return d.drops.context(c.Request().Context(), c.QueryParam("session"))
	}
	// stream makes a handler of a view. It answers if the view returns an error, or
	// nothing.
	stream := func(view func(c *echo.Context) (core.Stream, error)) echo.HandlerFunc {
		return echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
			s, err := view(c)
			switch {
			case err != nil:
				return nil, echo5Error(err)
			case s == nil:
				return nil, c.NoContent(http.StatusNoContent)
			}
			return s, nil
		}, d.options...)
	}

	e.GET("/stream", stream(func(c *echo.Context) (core.Stream, error) {
		return d.stream(ctx(c), c.QueryParam("user_id")), nil
	}))
	e.GET("/time", stream(func(c *echo.Context) (core.Stream, error) {
		return d.time(ctx(c)), nil
	}))
	e.GET("/notice", stream(func(c *echo.Context) (core.Stream, error) {
		return d.notice(c.QueryParam("token"))
	}))
	e.GET("/events", stream(func(c *echo.Context) (core.Stream, error) {
		return d.events(ctx(c)), nil
	}))
	e.GET("/picture", stream(func(c *echo.Context) (core.Stream, error) {
		return d.picture(ctx(c)), nil
	}))
	e.GET("/pause", stream(func(c *echo.Context) (core.Stream, error) {
		return d.pause(ctx(c)), nil
	}))
	e.POST("/tokens", stream(func(c *echo.Context) (core.Stream, error) {
		var body tokensBody
		if err := decode(c.Request().Body, &body); err != nil {
			return nil, errPrompt
		}
		return d.tokens(c.Request().Context(), body.Prompt)
	}))
	e.GET("/progress", stream(func(c *echo.Context) (core.Stream, error) {
		return d.progress(ctx(c), c.QueryParam("job"))
	}))
	e.GET("/fail", stream(func(c *echo.Context) (core.Stream, error) {
		return d.fail(ctx(c)), nil
	}))

	e.GET("/chat", stream(func(c *echo.Context) (core.Stream, error) {
		return d.chat(ctx(c), c.QueryParam("name"))
	}))
	e.GET("/ticker", stream(func(c *echo.Context) (core.Stream, error) {
		return d.ticker(ctx(c), c.QueryParam("symbols"))
	}))
	e.GET("/news", stream(func(c *echo.Context) (core.Stream, error) {
		return d.news(ctx(c), c.QueryParam("section"))
	}))

	e.POST("/chat", func(c *echo.Context) error {
		var body message
		if err := decode(c.Request().Body, &body); err != nil {
			return echo5Error(errChat)
		}
		if err := d.say(body); err != nil {
			return echo5Error(err)
		}
		return c.NoContent(http.StatusNoContent)
	})
	e.POST("/notice", func(c *echo.Context) error {
		var body noticeBody
		if err := decode(c.Request().Body, &body); err != nil {
			return echo5Error(errText)
		}
		if err := d.addNotice(c.QueryParam("token"), body.Text); err != nil {
			return echo5Error(err)
		}
		return c.NoContent(http.StatusNoContent)
	})
	e.POST("/drop", func(c *echo.Context) error {
		d.drops.drop(c.QueryParam("session"))
		return c.NoContent(http.StatusNoContent)
	})
	e.GET("/info", func(c *echo.Context) error { return c.JSON(http.StatusOK, d.info("echo v5")) })
	e.StaticFS("/", page)
	return d.httpServer(e)
}

// echo5Error returns an error that echo's error handler answers.
func echo5Error(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return echo.NewHTTPError(p.status, p.text)
	}
	return err
}
