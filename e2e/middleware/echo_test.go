package middleware_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/CAFxX/httpcompression"
	"github.com/NYTimes/gziphandler"
	"github.com/alexedwards/scs/v2"
	sentryecho "github.com/getsentry/sentry-go/echo"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	gorillasessions "github.com/gorilla/sessions"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo-contrib/echoprometheus"
	"github.com/labstack/echo-contrib/session"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/newrelic/go-agent/v3/integrations/nrecho-v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	slogecho "github.com/samber/slog-echo"
	"github.com/ziflex/lecho/v3"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echosse"
)

// An echoChain is several middlewares.
type echoChain []echo.MiddlewareFunc

func wrapped(m func(http.Handler) http.Handler) echo.MiddlewareFunc { return echo.WrapMiddleware(m) }

func timeoutHandler(h http.Handler) http.Handler { return http.TimeoutHandler(h, patience, "") }

func otel(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "a") }

var echoRows = []row{
	{name: "echo: nothing"},
	{name: "echo: Logger", use: middleware.LoggerWithConfig(middleware.LoggerConfig{Output: discard{}})},
	{name: "echo: RequestLogger", use: middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
		LogStatus: true, LogError: true, HandleError: true,
		LogValuesFunc: func(echo.Context, middleware.RequestLoggerValues) error { return nil },
	})},
	{name: "echo: Recover", use: middleware.Recover()},
	{name: "echo: RequestID", use: middleware.RequestID()},
	{name: "echo: KeyAuth", header: "Authorization: Bearer key", use: middleware.KeyAuth(func(string, echo.Context) (bool, error) { return true, nil })},
	{name: "echo: BasicAuth", header: "Authorization: Basic YTpi", use: middleware.BasicAuth(func(string, string, echo.Context) (bool, error) {
		return true, nil
	})},
	{name: "echo: BodyLimit", use: middleware.BodyLimit("1M")},
	{name: "echo: Decompress", use: middleware.Decompress()},
	{name: "echo: CORS", use: middleware.CORS()},
	{name: "echo: CSRF", use: middleware.CSRF(), cookie: "_csrf"},
	{name: "echo: ContextTimeout", stays: true, use: middleware.ContextTimeout(patience), note: "the stream ends at its deadline, and is not detached"},
	{name: "echo: Gzip", use: middleware.Gzip(), note: "the stream bypasses it, and is not compressed"},
	{name: "echo: Gzip, minimum 1,400", use: middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1400})},
	{name: "echo: BodyDump", use: middleware.BodyDump(func(echo.Context, []byte, []byte) {}), note: "the stream bypasses it, and is not kept"},
	{name: "echo: BodyDump and Gzip", use: echoChain{middleware.BodyDump(func(echo.Context, []byte, []byte) {}), middleware.Gzip()}},
	{name: "echo: Secure", use: middleware.Secure()},
	{name: "echo: RateLimiter", use: middleware.RateLimiter(middleware.NewRateLimiterMemoryStore(1000))},
	{name: "echo: Rewrite", use: middleware.Rewrite(map[string]string{"/old": "/flow"})},
	{name: "echo: MethodOverride", use: middleware.MethodOverride()},
	{name: "echo: Static", use: middleware.Static("/nowhere")},
	{name: "echo: Timeout", want: refused, text: "cannot flush", use: middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: patience})},
	{name: "labstack/echo-contrib: echoprometheus", use: echoprometheus.NewMiddlewareWithConfig(echoprometheus.MiddlewareConfig{
		Registerer: prometheus.NewRegistry(),
	})},
	{name: "labstack/echo-contrib: session", cookie: "session", use: echoChain{
		session.Middleware(gorillasessions.NewCookieStore([]byte("secret"))),
		func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				s := must(session.Get("session", c))
				s.Values["seen"] = true
				_ = s.Save(c.Request(), c.Response())
				return next(c)
			}
		},
	}, note: "save the session before the stream"},
	{name: "opentelemetry: otelecho", use: otelecho.Middleware("a")},
	{name: "getsentry/sentry-go/echo", use: sentryecho.New(sentryecho.Options{Repanic: true})},
	{name: "newrelic: nrecho", use: nrecho.Middleware(newRelic())},
	{name: "ziflex/lecho", use: lecho.Middleware(lecho.Config{Logger: lecho.From(zerolog.Nop())})},
	{name: "samber/slog-echo", use: slogecho.New(quietSlog)},
	{name: "samber/slog-echo, with bodies", use: slogecho.NewWithConfig(quietSlog, slogecho.Config{WithResponseBody: true})},
	{name: "WrapMiddleware(TimeoutHandler)", want: refused, text: "a *http.timeoutWriter cannot flush", use: wrapped(timeoutHandler)},
	{name: "WrapMiddleware(gorilla LoggingHandler)", use: wrapped(func(h http.Handler) http.Handler {
		return handlers.LoggingHandler(discard{}, h)
	})},
	{name: "WrapMiddleware(gorilla CompressHandler)", want: zips, use: wrapped(handlers.CompressHandler)},
	{name: "WrapMiddleware(gzhttp)", want: zips, use: wrapped(withGzhttp(gzhttp.NewWrapper()))},
	{name: "WrapMiddleware(chi Compress)", want: zips, use: wrapped(chimiddleware.Compress(5, "text/*"))},
	{name: "WrapMiddleware(NYTimes/gziphandler)", want: refused, text: "a *gziphandler.GzipResponseWriter", use: wrapped(gziphandler.GzipHandler)},
	{name: "WrapMiddleware(CAFxX/httpcompression)", want: refused, text: "a *httpcompression.compressWriter holds the stream back",
		use: wrapped(must(httpcompression.DefaultAdapter()))},
	{name: "WrapMiddleware(scs)", cookie: "session", use: func(next echo.HandlerFunc) echo.HandlerFunc {
		m := scs.New()
		return wrapped(m.LoadAndSave)(func(c echo.Context) error {
			m.Put(c.Request().Context(), "seen", true)
			return next(c)
		})
	}},
	{name: "WrapMiddleware(otelhttp)", use: wrapped(otel)},
	{name: "echo in net/http: TimeoutHandler", want: refused, text: "a *http.timeoutWriter cannot flush", around: timeoutHandler},
	{name: "echo in gorilla CompressHandler", want: zips, around: handlers.CompressHandler},
	{name: "echo in NYTimes/gziphandler", want: refused, text: "a *gziphandler.GzipResponseWriter", around: gziphandler.GzipHandler},
	{name: "echo in CAFxX/httpcompression", want: refused, text: "a *httpcompression.compressWriter holds the stream back",
		around: must(httpcompression.DefaultAdapter())},
	{name: "echo in otelhttp", around: otel},
}

func TestEcho(t *testing.T) {
	t.Parallel()
	run(t, echoRows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		e := echo.New()
		e.Logger.SetOutput(s)
		switch use := r.use.(type) {
		case echo.MiddlewareFunc:
			e.Use(use)
		case func(echo.HandlerFunc) echo.HandlerFunc:
			e.Use(use)
		case echoChain:
			e.Use(use...)
		}
		for _, path := range paths {
			e.Match([]string{http.MethodGet, http.MethodPost}, path, echosse.Handler(func(c echo.Context) (core.Stream, error) {
				return s.stream(c.Request().Context(), path), nil
			}, s.opts...))
		}
		e.GET("/plain", func(c echo.Context) error { return c.String(http.StatusOK, "plain") })
		h := http.Handler(e)
		if r.around != nil {
			h = r.around(e)
		}
		return serveHTTP(t, ln, s, h)
	}, modes...)
}
