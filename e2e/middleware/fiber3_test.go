package middleware_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/basicauth"
	"github.com/gofiber/fiber/v3/middleware/cache"
	"github.com/gofiber/fiber/v3/middleware/compress"
	"github.com/gofiber/fiber/v3/middleware/cors"
	"github.com/gofiber/fiber/v3/middleware/csrf"
	"github.com/gofiber/fiber/v3/middleware/earlydata"
	"github.com/gofiber/fiber/v3/middleware/encryptcookie"
	"github.com/gofiber/fiber/v3/middleware/envvar"
	"github.com/gofiber/fiber/v3/middleware/etag"
	"github.com/gofiber/fiber/v3/middleware/expvar"
	"github.com/gofiber/fiber/v3/middleware/favicon"
	"github.com/gofiber/fiber/v3/middleware/healthcheck"
	"github.com/gofiber/fiber/v3/middleware/helmet"
	"github.com/gofiber/fiber/v3/middleware/hostauthorization"
	"github.com/gofiber/fiber/v3/middleware/idempotency"
	"github.com/gofiber/fiber/v3/middleware/keyauth"
	"github.com/gofiber/fiber/v3/middleware/limiter"
	"github.com/gofiber/fiber/v3/middleware/logger"
	"github.com/gofiber/fiber/v3/middleware/paginate"
	"github.com/gofiber/fiber/v3/middleware/pprof"
	"github.com/gofiber/fiber/v3/middleware/proxy"
	fiberrecover "github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/redirect"
	"github.com/gofiber/fiber/v3/middleware/requestid"
	"github.com/gofiber/fiber/v3/middleware/responsetime"
	"github.com/gofiber/fiber/v3/middleware/rewrite"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/gofiber/fiber/v3/middleware/skip"
	"github.com/gofiber/fiber/v3/middleware/sse"
	"github.com/gofiber/fiber/v3/middleware/static"
	"github.com/gofiber/fiber/v3/middleware/timeout"
	"github.com/gorilla/handlers"
	rscors "github.com/rs/cors"
	"github.com/unrolled/secure"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
)

// A fiber3Chain is several middlewares.
type fiber3Chain []fiber.Handler

// adapted runs a middleware of net/http. It returns before the next handler runs.
func adapted(m func(http.Handler) http.Handler) fiber.Handler { return adaptor.HTTPMiddleware(m) }

func encrypt3(except ...string) fiber.Handler {
	return encryptcookie.New(encryptcookie.Config{Key: cookieKey, Except: except})
}

func skip3(fiber.Ctx) bool { return true }

const idempotencyKey = "X-Idempotency-Key: 00000000-0000-0000-0000-000000000000"

func timeout3(config timeout.Config) fiber.Handler {
	return timeout.New(func(c fiber.Ctx) error { return c.Next() }, config)
}

var fiber3Rows = []row{
	{name: "fiber v3: nothing"},
	{name: "fiber v3: basicauth", header: "Authorization: Basic YTpi", use: basicauth.New(basicauth.Config{
		Authorizer: func(user, password string, _ fiber.Ctx) bool { return user == "a" && password == "b" },
	})},
	{name: "fiber v3: cache", use: cache.New(), note: "nothing is kept"},
	{name: "fiber v3: cache, with headers and POST", use: cache.New(cache.Config{
		StoreResponseHeaders: true, Methods: []string{fiber.MethodGet, fiber.MethodPost},
	}), note: "nothing is kept"},
	{name: "fiber v3: compress", use: compress.New(), note: "not compressed"},
	{name: "fiber v3: cors", use: cors.New()},
	{name: "fiber v3: csrf", use: csrf.New(), cookie: "csrf_"},
	{name: "fiber v3: csrf after encryptcookie", use: fiber3Chain{encrypt3("csrf_"), csrf.New()}, cookie: "csrf_"},
	{name: "fiber v3: csrf before encryptcookie", use: fiber3Chain{csrf.New(), encrypt3("csrf_")}, cookie: "csrf_"},
	{name: "fiber v3: earlydata", use: earlydata.New()},
	{name: "fiber v3: encryptcookie", cookie: "user", use: fiber3Chain{
		encrypt3(),
		func(c fiber.Ctx) error { c.Cookie(&fiber.Cookie{Name: "user", Value: "a"}); return c.Next() },
	}},
	{name: "fiber v3: envvar", use: skip.New(envvar.New(), func(c fiber.Ctx) bool { return c.Path() != "/env" })},
	{name: "fiber v3: etag", use: etag.New(), note: "without an ETag"},
	{name: "fiber v3: expvar", use: expvar.New()},
	{name: "fiber v3: favicon", use: favicon.New()},
	{name: "fiber v3: healthcheck", use: skip.New(healthcheck.New(), func(c fiber.Ctx) bool { return c.Path() != healthcheck.LivenessEndpoint })},
	{name: "fiber v3: helmet", use: helmet.New()},
	{name: "fiber v3: hostauthorization", use: hostauthorization.New(hostauthorization.Config{AllowedHosts: []string{"127.0.0.1"}})},
	{name: "fiber v3: idempotency", want: refused, text: "idempotency would answer the next request with an empty response",
		header: idempotencyKey, use: idempotency.New(idempotency.Config{Next: func(fiber.Ctx) bool { return false }})},
	{name: "fiber v3: idempotency, skipped by its Next", header: idempotencyKey, use: idempotency.New(idempotency.Config{Next: skip3})},
	{name: "fiber v3: idempotency, a request without a key", use: idempotency.New()},
	{name: "fiber v3: idempotency, a safe method", get: true, header: idempotencyKey, use: idempotency.New()},
	{name: "fiber v3: keyauth", header: "Authorization: Bearer key", use: keyauth.New(keyauth.Config{
		Validator: func(fiber.Ctx, string) (bool, error) { return true, nil },
	})},
	{name: "fiber v3: limiter", use: limiter.New(limiter.Config{Max: 1000}), note: "without its headers"},
	{name: "fiber v3: limiter, a sliding window", use: limiter.New(limiter.Config{Max: 1000, LimiterMiddleware: limiter.SlidingWindow{}}),
		note: "without its headers"},
	{name: "fiber v3: logger", use: logger.New(logger.Config{Stream: discard{}})},
	{name: "fiber v3: logger, with bodies", use: logger.New(logger.Config{Stream: discard{}, Format: "${status} ${resBody} ${bytesSent}\n"})},
	{name: "fiber v3: paginate", use: paginate.New()},
	{name: "fiber v3: pprof", use: pprof.New()},
	{name: "fiber v3: proxy.Forward, on another path", use: skip.New(proxy.Forward("http://example.invalid"), func(c fiber.Ctx) bool { return c.Path() != "/proxy" })},
	{name: "fiber v3: recover", use: fiberrecover.New()},
	{name: "fiber v3: redirect", use: redirect.New(redirect.Config{Rules: map[string]string{"/old": "/flow"}})},
	{name: "fiber v3: requestid", use: requestid.New()},
	{name: "fiber v3: responsetime", use: responsetime.New(), note: "without its header"},
	{name: "fiber v3: rewrite", use: rewrite.New(rewrite.Config{Rules: map[string]string{"/old": "/flow"}})},
	{name: "fiber v3: session", cookie: "session_id", use: session.New(), note: "saved when the stream begins"},
	{name: "fiber v3: session before encryptcookie", cookie: "session_id", use: fiber3Chain{session.New(), encrypt3()}},
	{name: "fiber v3: session after encryptcookie", cookie: "session_id", use: fiber3Chain{encrypt3(), session.New()}},
	{name: "fiber v3: session, twice", want: refused, use: fiber3Chain{session.New(), session.New()}},
	{name: "fiber v3: session, by hand", cookie: "session_id", use: saveSession3, note: "save the session before the stream"},
	{name: "fiber v3: csrf in a session", cookie: "csrf_", use: csrfInSession3()},
	{name: "fiber v3: skip", use: skip.New(func(fiber.Ctx) error { return fiber.ErrTeapot }, skip3)},
	{name: "fiber v3: sse, on another path", use: skip.New(
		sse.New(sse.Config{Handler: func(fiber.Ctx, *sse.Stream) error { return nil }}),
		func(c fiber.Ctx) bool { return c.Path() != "/sse" })},
	{name: "fiber v3: static", use: static.New("/nowhere")},
	{name: "fiber v3: timeout", want: refused, text: "bound the stream with core.WithMaxDuration", use: timeout3(timeout.Config{Timeout: patience})},
	{name: "fiber v3: timeout, skipped by its Next", use: timeout3(timeout.Config{Timeout: patience, Next: skip3})},
	{name: "adaptor.HTTPMiddleware(otelhttp)", use: adapted(otel), note: "its span ends when the stream begins"},
	{name: "adaptor.HTTPMiddleware(gorilla LoggingHandler)", use: adapted(func(h http.Handler) http.Handler { return handlers.LoggingHandler(discard{}, h) }),
		note: "it logs when the stream begins"},
	{name: "adaptor.HTTPMiddleware(TimeoutHandler)", use: adapted(timeoutHandler), note: "no timeout"},
	{name: "adaptor.HTTPMiddleware(rs/cors)", use: adapted(rscors.AllowAll().Handler)},
	{name: "adaptor.HTTPMiddleware(unrolled/secure)", use: adapted(secure.New().Handler)},
	{name: "fiber v3: ReduceMemoryUsage", use: fiber.Config{ReduceMemoryUsage: true}},
	{name: "fiber v3: StreamRequestBody", use: fiber.Config{StreamRequestBody: true}},
	{name: "fiber v3: DisableKeepalive", use: fiber.Config{DisableKeepalive: true}},
	{name: "fiber v3: Immutable", use: fiber.Config{Immutable: true}},
	{name: "fiber v3: PassLocalsToContext", use: fiber.Config{PassLocalsToContext: true}},
}

var sessions3 = session.NewStore()

func saveSession3(c fiber.Ctx) error {
	s, err := sessions3.Get(c)
	if err != nil {
		return err
	}
	defer s.Release()
	s.Set("seen", true)
	if err := s.Save(); err != nil {
		return err
	}
	return c.Next()
}

func csrfInSession3() fiber3Chain {
	sessions, store := session.NewWithStore()
	return fiber3Chain{sessions, csrf.New(csrf.Config{Session: store})}
}

// counted3 counts the handlers that run.
func (s *site) counted3(c fiber.Ctx) error {
	s.handlers.Add(1)
	defer s.handlers.Add(-1)
	return c.Next()
}

func TestFiber3(t *testing.T) {
	t.Parallel()
	run(t, fiber3Rows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		config, _ := r.use.(fiber.Config)
		config.WriteTimeout = writeTimeout
		return serveFiber3(t, ln, s, r, config)
	}, modes[:3]...)
}

func serveFiber3(t *testing.T, ln net.Listener, s *site, r row, config fiber.Config) func(context.Context) error {
	t.Helper()
	app := fiber.New(config)
	app.Use(s.counted3)
	switch use := r.use.(type) {
	case fiber.Handler:
		app.Use(use)
	case fiber3Chain:
		for _, h := range use {
			app.Use(h)
		}
	}
	for _, path := range paths {
		app.All(path, fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) { return s.stream(c.Context(), path), nil }, s.opts...))
	}
	app.Get("/plain", func(c fiber.Ctx) error { return c.SendString("plain") })
	go func() { _ = app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() { _ = app.ShutdownWithTimeout(time.Second) })
	return app.ShutdownWithContext
}
