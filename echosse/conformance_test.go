package echosse_test

import (
	"context"
	"log"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
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
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(site.Log)
	e.StdLogger = log.New(site.Log, "", 0)
	e.Use(middleware.Recover())
	for path, view := range site.Views {
		e.Any(path, echosse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		e.GET("/plain/"+name, answer)
		e.GET("/"+name, echosse.Handler(func(c echo.Context) (core.Stream, error) {
			return nil, answer(c)
		}, site.Options...))
	}
	srv := site.Server(e)
	e.Server = srv
	go func() { _ = srv.Serve(site.Listener) }() // StartServer would put its own handler there
	return e.Shutdown
}

func siteView(view adaptertest.View) echosse.View {
	if view == nil {
		return nil
	}
	return func(c echo.Context) (core.Stream, error) {
		r := c.Request()
		return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: c.Response().Header().Set}), nil
	}
}

var siteAnswers = map[string]echo.HandlerFunc{
	"forbidden": func(echo.Context) error { return echo.NewHTTPError(http.StatusForbidden, "no entry") },
	"json": func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "max-age=60")
		return c.JSON(http.StatusOK, echo.Map{"answer": 42})
	},
	"redirect":   func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, "/json") },
	"no-content": func(c echo.Context) error { return c.NoContent(http.StatusNoContent) },
	"nothing":    func(echo.Context) error { return nil },
}
