package fibersse

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/internal/fasthost"
)

const module = "github.com/gofiber/fiber/v2"

// middlewares are fiber's own that do harm when they find an empty response after a
// stream.
type middlewares struct {
	timeout, idempotency, cache bool

	encryptcookie int // how many
}

// middlewaresAbove returns those that are above the handler on the stack.
func middlewaresAbove() (above middlewares) {
	const first = 20 // the lines of a middleware's function that decide whether to skip the request
	for m := range fasthost.Above(module) {
		switch m.Name {
		case "timeout":
			above.timeout = above.timeout || m.Own // timeout.New, unlike NewWithContext
		case "encryptcookie":
			above.encryptcookie++
		case "idempotency":
			above.idempotency = above.idempotency || !m.Skips(first)
		case "cache":
			above.cache = above.cache || !m.Skips(first)
		}
	}
	return above
}

// checkMiddleware refuses a stream under a middleware that would do harm.
func checkMiddleware(above middlewares) error {
	switch {
	case above.timeout:
		return refuse("timeout.New uses the request while the stream runs: use timeout.NewWithContext")
	case above.idempotency:
		return refuse("idempotency would answer the next request with an empty response: let its Next skip the route")
	default:
		return nil
	}
}

// encryptCookies does what encryptcookie would do when the handler has returned, which
// is too late. It runs the same middlewares on another response with the same cookies.
func encryptCookies(c *fiber.Ctx, middlewares int) error {
	if middlewares == 0 || !fasthost.HasCookies(c.Context()) {
		return nil
	}
	handlers := encrypters(c)
	if len(handlers) != middlewares {
		return refuse("encryptcookie comes too late to encrypt a cookie of this response, and is not among the app's " +
			"handlers: set the cookie in another response")
	}
	var failed error
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ErrorHandler: func(_ *fiber.Ctx, err error) error {
		failed = err
		return nil
	}})
	app.Use(recover.New()) // encryptcookie panics if it cannot encrypt
	for _, h := range handlers {
		app.Use(h)
	}
	app.Use(func(*fiber.Ctx) error { return nil })
	return fasthost.ReplaceCookies(c.Context(), func(other *fasthttp.RequestCtx) error {
		app.Handler()(other)
		return failed
	})
}

// encrypters returns the handlers of encryptcookie that the app has for the request's
// method and path.
func encrypters(c *fiber.Ctx) (all []fiber.Handler) {
	for _, routes := range c.App().Stack() {
		for _, route := range routes {
			if route.Method != c.Method() || !leadsTo(route, c.Path()) {
				continue
			}
			for _, h := range route.Handlers {
				if fasthost.Is(h, module, "encryptcookie") {
					all = append(all, h)
				}
			}
		}
	}
	return all
}

// leadsTo reports whether a route's path, or one below it, matches path.
func leadsTo(route *fiber.Route, path string) bool {
	below := strings.TrimSuffix(route.Path, "/") + "/*"
	return fiber.RoutePatternMatch(path, route.Path) || fiber.RoutePatternMatch(path, below)
}

func refuse(why string) error { return fasthost.Refuse("fibersse", why) }
