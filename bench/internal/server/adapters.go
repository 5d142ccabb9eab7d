package server

import (
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// detach is the option of the sides that are detached.
var detach = core.WithDetach()

// each is the option of Each.
var each = core.WithFlushWindow(0)

func serveNetHTTPSSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(_ http.ResponseWriter, r *http.Request) core.Stream { return burst(r.URL.RawQuery) }
		mux := http.NewServeMux()
		mux.Handle("GET /each", nethttpsse.Handler(view, each, opt))
		mux.Handle("GET /gathered", nethttpsse.Handler(view, opt))
		mux.Handle("GET "+Idle, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return idle(r.Context())
		}, core.WithHeartbeat(heartbeat()), opt))
		mux.Handle("GET /encode", job(encode))
		mux.Handle("GET /parse", parsing(parse))
		return serve(ln, mux)
	}
}

func serveGinSSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(c *gin.Context) core.Stream { return burst(c.Request.URL.RawQuery) }
		r := newGin()
		r.GET("/each", ginsse.Handler(view, each, opt))
		r.GET("/gathered", ginsse.Handler(view, opt))
		r.GET(Idle, ginsse.Handler(func(c *gin.Context) core.Stream {
			return idle(c.Request.Context())
		}, opt))
		return serve(ln, r)
	}
}

func serveEchoSSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(c echo.Context) (core.Stream, error) { return burst(c.QueryString()), nil }
		e := echo.New()
		e.GET("/each", echosse.Handler(view, each, opt))
		e.GET("/gathered", echosse.Handler(view, opt))
		e.GET(Idle, echosse.Handler(func(c echo.Context) (core.Stream, error) {
			return idle(c.Request().Context()), nil
		}, opt))
		return serve(ln, e)
	}
}

func serveEcho5SSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(c *echo5.Context) (core.Stream, error) { return burst(c.QueryString()), nil }
		e := echo5.New()
		e.GET("/each", echo5sse.Handler(view, each, opt))
		e.GET("/gathered", echo5sse.Handler(view, opt))
		e.GET(Idle, echo5sse.Handler(func(c *echo5.Context) (core.Stream, error) {
			return idle(c.Request().Context()), nil
		}, opt))
		return serve(ln, e)
	}
}

func serveFiberSSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(c *fiber.Ctx) (core.Stream, error) { return burst(query(c.Request())), nil }
		app := newFiber()
		app.Get("/each", fibersse.Handler(view, each, opt))
		app.Get("/gathered", fibersse.Handler(view, opt))
		app.Get(Idle, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			return idle(c.UserContext()), nil
		}, core.WithHeartbeat(heartbeat()), opt))
		return app.Listener(ln)
	}
}

func serveFiber3SSE(opt core.Option) func(net.Listener) error {
	return func(ln net.Listener) error {
		view := func(c fiber3.Ctx) (core.Stream, error) { return burst(query(c.Request())), nil }
		app := fiber3.New()
		app.Get("/each", fiber3sse.Handler(view, each, opt))
		app.Get("/gathered", fiber3sse.Handler(view, opt))
		app.Get(Idle, fiber3sse.Handler(func(c fiber3.Ctx) (core.Stream, error) {
			return idle(c.Context()), nil
		}, core.WithHeartbeat(heartbeat()), opt))
		return app.Listener(ln, fiber3.ListenConfig{DisableStartupMessage: true})
	}
}
