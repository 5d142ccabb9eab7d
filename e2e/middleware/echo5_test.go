package middleware_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/CAFxX/httpcompression"
	"github.com/NYTimes/gziphandler"
	"github.com/alexedwards/scs/v2"
	sentryecho "github.com/getsentry/sentry-go/echov5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	gorillasessions "github.com/gorilla/sessions"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo-contrib/v5/echoprometheus"
	"github.com/labstack/echo-contrib/v5/session"
	echootel "github.com/labstack/echo-opentelemetry"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	slogecho "github.com/samber/slog-echov5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
)

// An echo5Chain is several middlewares.
type echo5Chain []echo.MiddlewareFunc

func wrapped5(m func(http.Handler) http.Handler) echo.MiddlewareFunc { return echo.WrapMiddleware(m) }

func dump5() echo.MiddlewareFunc {
	return middleware.BodyDump(func(*echo.Context, []byte, []byte, error) {})
}

var echo5Rows = []row{
	{name: "echo v5: nothing"},
	{name: "echo v5: RequestLogger", use: middleware.RequestLogger()},
	{name: "echo v5: Recover", use: middleware.Recover(), note: "it logs nothing: RequestLogger before it does"},
	{name: "echo v5: RequestID", use: middleware.RequestID()},
	{name: "echo v5: KeyAuth", header: "Authorization: Bearer key", use: middleware.KeyAuth(
		func(*echo.Context, string, middleware.ExtractorSource) (bool, error) { return true, nil })},
	{name: "echo v5: BasicAuth", header: "Authorization: Basic YTpi", use: middleware.BasicAuth(
		func(*echo.Context, string, string) (bool, error) { return true, nil })},
	{name: "echo v5: BodyLimit", use: middleware.BodyLimit(1 << 20)},
	{name: "echo v5: Decompress", use: middleware.Decompress()},
	{name: "echo v5: CORS", use: middleware.CORS("*")},
	{name: "echo v5: CSRF", use: middleware.CSRF(), cookie: "_csrf"},
	{name: "echo v5: ContextTimeout", stays: true, use: middleware.ContextTimeout(patience), note: "the stream ends at its deadline, and is not detached"},
	{name: "echo v5: Gzip", use: middleware.Gzip(), note: "the stream bypasses it, and is not compressed"},
	{name: "echo v5: Gzip, minimum 1,400", use: middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1400})},
	{name: "echo v5: BodyDump", use: dump5(), note: "the stream bypasses it, and is not kept"},
	{name: "echo v5: BodyDump and Gzip", use: echo5Chain{dump5(), middleware.Gzip()}},
	{name: "echo v5: Gzip before WrapMiddleware", want: zips, again: true, use: echo5Chain{middleware.Gzip(), wrapped5(otel)}},
	{name: "echo v5: Secure", use: middleware.Secure()},
	{name: "echo v5: RateLimiter", use: middleware.RateLimiter(middleware.NewRateLimiterMemoryStore(1000))},
	{name: "echo v5: Rewrite", use: middleware.Rewrite(map[string]string{"/old": "/flow"})},
	{name: "echo v5: MethodOverride", use: middleware.MethodOverride()},
	{name: "echo v5: Static", use: middleware.Static(".")},
	{name: "labstack/echo-contrib/v5: echoprometheus", use: echoprometheus.NewMiddlewareWithConfig(echoprometheus.MiddlewareConfig{
		Registerer: prometheus.NewRegistry(),
	})},
	{name: "labstack/echo-contrib/v5: session", cookie: "session", use: echo5Chain{
		session.Middleware(gorillasessions.NewCookieStore([]byte("secret"))),
		func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				s := must(session.Get("session", c))
				s.Values["seen"] = true
				_ = s.Save(c.Request(), c.Response())
				return next(c)
			}
		},
	}, note: "save the session before the stream"},
	{name: "labstack/echo-opentelemetry", use: echootel.NewMiddleware("a")},
	{name: "getsentry/sentry-go/echo 0.46", use: sentryecho.New(sentryecho.Options{Repanic: true})},
	{name: "samber/slog-echo 1.22", use: slogecho.New(quietSlog)},
	{name: "samber/slog-echo 1.22, with bodies", use: slogecho.NewWithConfig(quietSlog, slogecho.Config{WithResponseBody: true})},
	{name: "WrapMiddleware(TimeoutHandler)", want: refused, text: "a *http.timeoutWriter cannot flush", use: wrapped5(timeoutHandler)},
	{name: "WrapMiddleware(gorilla LoggingHandler)", use: wrapped5(func(h http.Handler) http.Handler {
		return handlers.LoggingHandler(discard{}, h)
	})},
	{name: "WrapMiddleware(gorilla CompressHandler)", want: zips, use: wrapped5(handlers.CompressHandler)},
	{name: "WrapMiddleware(gzhttp)", want: zips, use: wrapped5(withGzhttp(gzhttp.NewWrapper()))},
	{name: "WrapMiddleware(chi Compress)", want: zips, use: wrapped5(chimiddleware.Compress(5, "text/*"))},
	{name: "WrapMiddleware(NYTimes/gziphandler)", want: refused, text: "a *gziphandler.GzipResponseWriter", use: wrapped5(gziphandler.GzipHandler)},
	{name: "WrapMiddleware(CAFxX/httpcompression)", want: refused, text: "a *httpcompression.compressWriter holds the stream back",
		use: wrapped5(must(httpcompression.DefaultAdapter()))},
	{name: "WrapMiddleware(scs)", cookie: "session", use: func(next echo.HandlerFunc) echo.HandlerFunc {
		m := scs.New()
		return wrapped5(m.LoadAndSave)(func(c *echo.Context) error {
			m.Put(c.Request().Context(), "seen", true)
			return next(c)
		})
	}},
	{name: "WrapMiddleware(otelhttp)", use: wrapped5(otel)},
	{name: "echo v5 in net/http: TimeoutHandler", want: refused, text: "a *http.timeoutWriter cannot flush", around: timeoutHandler},
	{name: "echo v5 in gorilla CompressHandler", want: zips, around: handlers.CompressHandler},
	{name: "echo v5 in NYTimes/gziphandler", want: refused, text: "a *gziphandler.GzipResponseWriter", around: gziphandler.GzipHandler},
	{name: "echo v5 in CAFxX/httpcompression", want: refused, text: "a *httpcompression.compressWriter holds the stream back",
		around: must(httpcompression.DefaultAdapter())},
	{name: "echo v5 in otelhttp", around: otel},
}

func TestEcho5(t *testing.T) {
	t.Parallel()
	run(t, echo5Rows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		e := echo.NewWithConfig(echo.Config{Logger: slog.New(slog.NewTextHandler(s, nil))})
		switch use := r.use.(type) {
		case echo.MiddlewareFunc:
			e.Use(use)
		case func(echo.HandlerFunc) echo.HandlerFunc:
			e.Use(use)
		case echo5Chain:
			e.Use(use...)
		}
		for _, path := range paths {
			e.Match([]string{http.MethodGet, http.MethodPost}, path, echo5sse.Handler(func(c *echo.Context) (core.Stream, error) {
				return s.stream(c.Request().Context(), path), nil
			}, s.opts...))
		}
		e.GET("/plain", func(c *echo.Context) error { return c.String(http.StatusOK, "plain") })
		h := http.Handler(e)
		if r.around != nil {
			h = r.around(e)
		}
		return serveHTTP(t, ln, s, h)
	}, modes...)
}
