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
	notices := e.Group("/notice", echo5HasToken)
	notices.GET("", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
		return s.unread(c.Request().Context(), c.QueryParam("user_id")), nil
	}))
	notices.POST("", func(c *echo.Context) error {
		var notice noticeBody
		if err := c.Bind(&notice); err != nil {
			return err
		}
		if notice.Text == "" {
			return c.JSON(http.StatusBadRequest, map[string][]string{"text": {"this field is required"}})
		}
		if !s.add(notice.Text) {
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

// echo5HasToken is the permission class, as a middleware that runs before the view.
func echo5HasToken(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c *echo.Context) error {
		if c.QueryParam("token") != token {
			return c.JSON(http.StatusForbidden, map[string]string{"detail": "wrong token"})
		}
		return next(c)
	}
}
