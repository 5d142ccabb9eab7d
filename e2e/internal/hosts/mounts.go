package hosts

import (
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gincors "github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	fibercors "github.com/gofiber/fiber/v2/middleware/cors"
	fiber3 "github.com/gofiber/fiber/v3"
	fiber3cors "github.com/gofiber/fiber/v3/middleware/cors"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	echo5 "github.com/labstack/echo/v5"
	echo5middleware "github.com/labstack/echo/v5/middleware"
	"github.com/rs/cors"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/echosse"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/fibersse"
	"github.com/yieldsse/yieldsse/ginsse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func serveGin(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gincors.New(gincors.Config{AllowOriginFunc: isNear, AllowCredentials: true}))
	for _, route := range routes {
		r.Handle(route.method, route.path, ginsse.Handler(func(c *gin.Context) core.Stream {
			stream := route.view(requestOf(c.Request))
			if stream == nil {
				c.Status(route.empty)
			}
			return stream
		}, route.opts...))
	}
	serveHTTP(t, ln, r)
}

func serveEcho(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // streams are cut on purpose
	e.Use(echomiddleware.CORSWithConfig(echomiddleware.CORSConfig{
		AllowOriginFunc:  func(origin string) (bool, error) { return isNear(origin), nil },
		AllowCredentials: true,
	}))
	for _, route := range routes {
		e.Add(route.method, route.path, echosse.Handler(func(c echo.Context) (core.Stream, error) {
			stream := route.view(requestOf(c.Request()))
			if stream == nil {
				return nil, c.NoContent(route.empty)
			}
			return stream, nil
		}, route.opts...))
	}
	serveHTTP(t, ln, e)
}

func serveEcho5(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	e := echo5.New()
	e.Logger = slog.New(slog.DiscardHandler) // streams are cut on purpose
	e.Use(echo5middleware.CORSWithConfig(echo5middleware.CORSConfig{
		UnsafeAllowOriginFunc: func(_ *echo5.Context, origin string) (string, bool, error) { return origin, isNear(origin), nil },
		AllowCredentials:      true,
	}))
	for _, route := range routes {
		e.Add(route.method, route.path, echo5sse.Handler(func(c *echo5.Context) (core.Stream, error) {
			stream := route.view(requestOf(c.Request()))
			if stream == nil {
				return nil, c.NoContent(route.empty)
			}
			return stream, nil
		}, route.opts...))
	}
	serveHTTP(t, ln, e)
}

func serveFiber(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/page", func(c *fiber.Ctx) error { return c.Type("html").SendString(page) })
	app.Use(fibercors.New(fibercors.Config{AllowOriginsFunc: isNear, AllowCredentials: true}))
	for _, route := range routes {
		app.Add(route.method, route.path, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) {
			stream := route.view(request{
				ctx: c.UserContext(), body: string(c.Body()),
				proto: string(c.Request().Header.Protocol()), cookie: strings.Clone(c.Cookies("user")),
				accepts: strings.Clone(c.Get("Accept-Encoding")),
			})
			if stream == nil {
				c.Status(route.empty)
			}
			return stream, nil
		}, route.opts...))
	}
	hosttest.Run(t, ln, app.Listener, app.ShutdownWithContext)
}

func serveFiber3(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	app := fiber3.New()
	app.Get("/page", func(c fiber3.Ctx) error { return c.Type("html").SendString(page) })
	app.Use(fiber3cors.New(fiber3cors.Config{AllowOriginsFunc: isNear, AllowCredentials: true}))
	for _, route := range routes {
		app.Add([]string{route.method}, route.path, fiber3sse.Handler(func(c fiber3.Ctx) (core.Stream, error) {
			stream := route.view(request{
				ctx: c.Context(), body: string(c.Body()),
				proto: string(c.Request().Header.Protocol()), cookie: strings.Clone(c.Cookies("user")),
				accepts: strings.Clone(c.Get("Accept-Encoding")),
			})
			if stream == nil {
				c.Status(route.empty)
			}
			return stream, nil
		}, route.opts...))
	}
	serve := func(ln net.Listener) error {
		return app.Listener(ln, fiber3.ListenConfig{DisableStartupMessage: true})
	}
	hosttest.Run(t, ln, serve, app.ShutdownWithContext)
}

func serveNetHTTP(t testing.TB, ln net.Listener, routes []route) {
	t.Helper()
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(route.method+" "+route.path, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			stream := route.view(requestOf(r))
			if stream == nil {
				w.WriteHeader(route.empty)
			}
			return stream
		}, route.opts...))
	}
	serveHTTP(t, ln, cors.New(cors.Options{AllowOriginFunc: isNear, AllowCredentials: true}).Handler(mux))
}

// page is the answer of /page, so that a browser has a page of the server's origin.
const page = "<!doctype html><title>page</title>"

// isNear reports whether a page may read a stream with the user's cookies.
func isNear(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Hostname() == "127.0.0.1"
}

// requestOf reads a request.
func requestOf(r *http.Request) request {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // bodies are small
	req := request{ctx: r.Context(), body: string(body), proto: r.Proto, accepts: r.Header.Get("Accept-Encoding")}
	if cookie, err := r.Cookie("user"); err == nil {
		req.cookie = cookie.Value
	}
	return req
}

// serveHTTP serves HTTP/1.1 and HTTP/2, with TLS if the listener has it.
func serveHTTP(t testing.TB, ln net.Listener, h http.Handler) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })
	srv := &http.Server{
		Handler:           mux,
		Protocols:         protocols,
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0), // streams are cut on purpose
	}
	hosttest.Run(t, ln, srv.Serve, srv.Shutdown)
}
