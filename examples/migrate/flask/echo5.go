package main

import (
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
)

func newEcho5(s *site) http.Handler {
	e := echo.New()
	e.Use(middleware.Recover())
	e.GET("/stream", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		return s.ticks(c.Request().Context(), c.QueryParam("user_id")), nil
	}))
	e.GET("/time", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		return s.times(c.Request().Context()), nil
	}))
	e.GET("/notice", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		if c.QueryParam("token") != token {
			return nil, c.String(http.StatusForbidden, "wrong token")
		}
		return s.unread(c.Request().Context(), c.QueryParam("user_id")), nil
	}))
	e.POST("/notice", func(c *echo.Context) error {
		if c.QueryParam("token") != token {
			return c.String(http.StatusForbidden, "wrong token")
		}
		if !s.add(c.FormValue("text")) {
			return echo.ErrServiceUnavailable
		}
		return c.NoContent(http.StatusNoContent)
	})
	e.GET("/events", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		stream := story(c.Request().Context(), number(c.QueryParam("n"), len(sentences)))
		if stream == nil {
			return nil, c.NoContent(http.StatusNoContent)
		}
		return stream, nil
	}))
	return e
}
