package middleware_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ansrivas/fiberprometheus/v2"
	sentryfiber "github.com/getsentry/sentry-go/fiber"
	"github.com/gofiber/contrib/fiberzap/v2"
	"github.com/gofiber/contrib/fiberzerolog"
	"github.com/gofiber/contrib/otelfiber/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/basicauth"
	"github.com/gofiber/fiber/v2/middleware/cache"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/gofiber/fiber/v2/middleware/cors"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/earlydata"
	"github.com/gofiber/fiber/v2/middleware/encryptcookie"
	"github.com/gofiber/fiber/v2/middleware/envvar"
	"github.com/gofiber/fiber/v2/middleware/etag"
	"github.com/gofiber/fiber/v2/middleware/expvar"
	"github.com/gofiber/fiber/v2/middleware/favicon"
	"github.com/gofiber/fiber/v2/middleware/filesystem"
	"github.com/gofiber/fiber/v2/middleware/healthcheck"
	"github.com/gofiber/fiber/v2/middleware/helmet"
	"github.com/gofiber/fiber/v2/middleware/idempotency"
	"github.com/gofiber/fiber/v2/middleware/limiter"
	"github.com/gofiber/fiber/v2/middleware/logger"
	"github.com/gofiber/fiber/v2/middleware/monitor"
	"github.com/gofiber/fiber/v2/middleware/pprof"
	fiberrecover "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/redirect"
	"github.com/gofiber/fiber/v2/middleware/requestid"
	"github.com/gofiber/fiber/v2/middleware/rewrite"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/gofiber/fiber/v2/middleware/skip"
	"github.com/gofiber/fiber/v2/middleware/timeout"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	slogfiber "github.com/samber/slog-fiber"
	"go.uber.org/zap"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
)

const cookieKey = "s7mtmF8yVOGuYpJfLxRGW5cpXGi5cvvSlm3WYGbCYMo="

// A fiberChain is several middlewares.
type fiberChain []fiber.Handler

// always makes idempotency check each request, even if its method is safe.
var always = idempotency.Config{
	KeyHeader: "X-Idempotency-Key", Next: func(*fiber.Ctx) bool { return false },
}

var fiberRows = []row{
	{name: "fiber: nothing"},
	{name: "fiber: basicauth", header: "Authorization: Basic YTpi", use: basicauth.New(basicauth.Config{Users: map[string]string{"a": "b"}})},
	{name: "fiber: cache", use: cache.New(), note: "nothing is kept; the handler returns an error of status 200, so register the route before the middleware"},
	{name: "fiber: cache, with headers", use: cache.New(cache.Config{StoreResponseHeaders: true})},
	{name: "fiber: compress", use: compress.New(), note: "not compressed"},
	{name: "fiber: cors", use: cors.New()},
	{name: "fiber: csrf", use: csrf.New(), cookie: "csrf_"},
	{name: "fiber: csrf and encryptcookie", cookie: "csrf_", use: fiberChain{
		encryptcookie.New(encryptcookie.Config{Key: cookieKey, Except: []string{"csrf_"}}), csrf.New(),
	}},
	{name: "fiber: earlydata", use: earlydata.New()},
	{name: "fiber: encryptcookie", cookie: "user", use: fiberChain{
		encryptcookie.New(encryptcookie.Config{Key: cookieKey}),
		func(c *fiber.Ctx) error { c.Cookie(&fiber.Cookie{Name: "user", Value: "a"}); return c.Next() },
	}},
	{name: "fiber: envvar", use: fiberChain{envvarAt("/env")}},
	{name: "fiber: etag", use: etag.New(), note: "without an ETag"},
	{name: "fiber: expvar", use: expvar.New()},
	{name: "fiber: favicon", use: favicon.New()},
	{name: "fiber: filesystem", use: filesystem.New(filesystem.Config{Root: http.Dir("/nowhere"), Next: func(*fiber.Ctx) bool { return true }})},
	{name: "fiber: healthcheck", use: healthcheck.New()},
	{name: "fiber: helmet", use: helmet.New()},
	{name: "fiber: idempotency", want: refused, text: "idempotency would answer the next request with an empty response",
		header: "X-Idempotency-Key: 00000000-0000-0000-0000-000000000000", use: idempotency.New(always)},
	{name: "fiber: idempotency, skipped by its Next", header: "X-Idempotency-Key: 00000000-0000-0000-0000-000000000000",
		use: idempotency.New(idempotency.Config{Next: func(*fiber.Ctx) bool { return true }})},
	{name: "fiber: idempotency, a request without a key", use: idempotency.New(always)},
	{name: "fiber: idempotency, a safe method", get: true, use: idempotency.New(), header: "X-Idempotency-Key: 00000000-0000-0000-0000-000000000000"},
	{name: "fiber: limiter", use: limiter.New(limiter.Config{Max: 1000})},
	{name: "fiber: logger", use: logger.New(logger.Config{Output: discard{}})},
	{name: "fiber: logger, with bodies", use: logger.New(logger.Config{Output: discard{}, Format: "${status} ${resBody} ${bytesSent}\n"})},
	{name: "fiber: monitor", use: fiberChain{func(c *fiber.Ctx) error {
		if c.Path() == "/metrics" {
			return monitor.New()(c)
		}
		return c.Next()
	}}},
	{name: "fiber: pprof", use: pprof.New()},
	{name: "fiber: recover", use: fiberrecover.New()},
	{name: "fiber: redirect", use: redirect.New(redirect.Config{Rules: map[string]string{"/old": "/flow"}})},
	{name: "fiber: requestid", use: requestid.New()},
	{name: "fiber: rewrite", use: rewrite.New(rewrite.Config{Rules: map[string]string{"/old": "/flow"}})},
	{name: "fiber: session", cookie: "session_id", use: func(c *fiber.Ctx) error {
		s, err := fiberSessions.Get(c)
		if err != nil {
			return err
		}
		s.Set("seen", true)
		if err := s.Save(); err != nil {
			return err
		}
		return c.Next()
	}, note: "save the session before the stream"},
	{name: "fiber: skip", use: skip.New(func(*fiber.Ctx) error { return fiber.ErrTeapot }, func(*fiber.Ctx) bool { return true })},
	{name: "fiber: timeout.New", want: refused, text: "use timeout.NewWithContext",
		use: timeout.New(func(c *fiber.Ctx) error { return c.Next() }, patience)}, //nolint:staticcheck // this is why
	{name: "fiber: timeout.NewWithContext", stays: true, use: timeout.NewWithContext(func(c *fiber.Ctx) error { return c.Next() }, patience),
		note: "the stream ends at its deadline, and is not detached"},
	{name: "gofiber/contrib/otelfiber", use: otelfiber.Middleware()},
	{name: "gofiber/contrib/fiberzap", use: fiberzap.New(fiberzap.Config{Logger: zap.NewNop()})},
	{name: "gofiber/contrib/fiberzerolog", use: fiberzerolog.New(fiberzerolog.Config{Logger: new(zerolog.Nop())})},
	{name: "getsentry/sentry-go/fiber", use: sentryfiber.New(sentryfiber.Options{Repanic: true})},
	{name: "samber/slog-fiber", use: slogfiber.New(quietSlog)},
	{name: "samber/slog-fiber, with bodies", use: slogfiber.NewWithConfig(quietSlog, slogfiber.Config{WithResponseBody: true})},
	{name: "ansrivas/fiberprometheus", use: fiberprometheus.NewWithRegistry(prometheus.NewRegistry(), "a", "", "", nil).Middleware},
	{name: "fiber: ReduceMemoryUsage", use: fiber.Config{ReduceMemoryUsage: true}},
	{name: "fiber: StreamRequestBody", use: fiber.Config{StreamRequestBody: true}},
	{name: "fiber: DisableKeepalive", use: fiber.Config{DisableKeepalive: true}},
	{name: "fiber: Immutable", use: fiber.Config{Immutable: true}},
}

var fiberSessions = session.New()

func envvarAt(path string) fiber.Handler {
	h := envvar.New()
	return func(c *fiber.Ctx) error {
		if strings.HasPrefix(c.Path(), path) {
			return h(c)
		}
		return c.Next()
	}
}

// counted counts the handlers that run.
func (s *site) counted(c *fiber.Ctx) error {
	s.handlers.Add(1)
	defer s.handlers.Add(-1)
	return c.Next()
}

func TestFiber(t *testing.T) {
	t.Parallel()
	run(t, fiberRows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		config, _ := r.use.(fiber.Config)
		config.DisableStartupMessage = true
		config.WriteTimeout = writeTimeout
		app := fiber.New(config)
		app.Use(s.counted)
		switch use := r.use.(type) {
		case fiber.Handler:
			app.Use(use)
		case fiberChain:
			for _, h := range use {
				app.Use(h)
			}
		}
		for _, path := range paths {
			app.All(path, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) { return s.stream(c.UserContext(), path), nil }, s.opts...))
		}
		app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("plain") })
		go func() { _ = app.Listener(ln) }()
		t.Cleanup(func() { _ = app.ShutdownWithTimeout(time.Second) })
		return app.ShutdownWithContext
	}, modes[:3]...)
}
