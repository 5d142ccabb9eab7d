package hosts

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func serveGin(ln net.Listener, routes []route) (stop func() error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	for _, route := range routes {
		r.Handle(route.method, route.path, ginsse.Handler(func(c *gin.Context) core.Stream {
			stream := route.view(c.Request.Context(), text(c.Request.Body))
			if stream == nil {
				c.Status(http.StatusNoContent)
			}
			return stream
		}, route.opts...))
	}
	return serveHTTP(ln, r)
}

func serveEcho(ln net.Listener, routes []route) (stop func() error) {
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // streams that are cut are meant to be
	for _, route := range routes {
		e.Add(route.method, route.path, echosse.Handler(func(c echo.Context) (core.Stream, error) {
			stream := route.view(c.Request().Context(), text(c.Request().Body))
			if stream == nil {
				return nil, c.NoContent(http.StatusNoContent)
			}
			return stream, nil
		}, route.opts...))
	}
	return serveHTTP(ln, e)
}

func serveFiber(ln net.Listener, routes []route) (stop func() error) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	for _, route := range routes {
		app.Add(route.method, route.path, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			stream := route.view(c.UserContext(), string(c.Body()))
			if stream == nil {
				c.Status(fiber.StatusNoContent)
			}
			return stream, nil
		}, route.opts...))
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	return func() error {
		if err := app.ShutdownWithTimeout(patience); err != nil {
			return err
		}
		return <-served
	}
}

func serveNetHTTP(ln net.Listener, routes []route) (stop func() error) {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.method+" "+route.path, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			stream := route.view(r.Context(), text(r.Body))
			if stream == nil {
				w.WriteHeader(http.StatusNoContent)
			}
			return stream
		}, route.opts...))
	}
	return serveHTTP(ln, mux)
}

// serveHTTP speaks HTTP/2 as well, without TLS.
func serveHTTP(ln net.Listener, h http.Handler) (stop func() error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0), // streams that are cut are meant to be
	}
	go func() { _ = srv.Serve(ln) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return srv.Shutdown(ctx)
	}
}

// text reads a request's body, of which there is little.
func text(body io.Reader) string {
	all, _ := io.ReadAll(io.LimitReader(body, 1<<20))
	return string(all)
}
