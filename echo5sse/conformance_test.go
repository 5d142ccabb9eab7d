package echo5sse_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

func TestConformance(t *testing.T) {
	adaptertest.Conformance(t, mount, mount.Detached())
}

var mount = adaptertest.Mount{
	Serve:     serveSite,
	Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS, adaptertest.HTTP2, adaptertest.H2C},
}

func serveSite(_ testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
	e := echo.NewWithConfig(echo.Config{Logger: slog.New(slog.NewTextHandler(site.Log, &slog.HandlerOptions{Level: slog.LevelError}))})
	e.Use(middleware.RequestLogger(), middleware.Recover()) // Recover itself logs nothing
	for path, view := range site.Views {
		e.Any(path, echo5sse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		e.GET("/plain/"+name, answer)
		e.GET("/"+name, echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
			return nil, answer(c)
		}, site.Options...))
	}

	srv := site.Server(e)
	var late error
	config := echo.StartConfig{
		Listener: site.Listener, HideBanner: true, HidePort: true,
		GracefulTimeout: time.Minute, OnShutdownError: func(err error) { late = err },
		BeforeServeFunc: func(s *http.Server) error {
			s.Handler, s.Protocols, s.ErrorLog = srv.Handler, srv.Protocols, srv.ErrorLog
			s.ReadHeaderTimeout, s.ReadTimeout = srv.ReadHeaderTimeout, srv.ReadTimeout
			s.WriteTimeout, s.IdleTimeout = srv.WriteTimeout, srv.IdleTimeout
			return nil
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		err := config.Start(ctx, e)
		stopped <- errors.Join(err, late)
	}()
	return func(ctx context.Context) error {
		stop()
		select {
		case err := <-stopped:
			stopped <- err // for the next call
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func siteView(view adaptertest.View) echo5sse.View {
	if view == nil {
		return nil
	}
	return func(c *echo.Context) (core.Stream, error) {
		r := c.Request()
		return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: c.Response().Header().Set}), nil
	}
}

var siteAnswers = map[string]echo.HandlerFunc{
	"forbidden": func(*echo.Context) error { return echo.NewHTTPError(http.StatusForbidden, "no entry") },
	"json": func(c *echo.Context) error {
		c.Response().Header().Set("Cache-Control", "max-age=60")
		return c.JSON(http.StatusOK, map[string]int{"answer": 42})
	},
	"redirect":   func(c *echo.Context) error { return c.Redirect(http.StatusSeeOther, "/json") },
	"no-content": func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) },
	"nothing":    func(*echo.Context) error { return nil },
}
