package fibersse

import (
	"reflect"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

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
	config := routing(c)
	config.ErrorHandler = func(_ *fiber.Ctx, err error) error {
		failed = err
		return nil
	}
	app := fiber.New(config)
	app.Use(recover.New()) // encryptcookie panics if it cannot encrypt
	for _, h := range handlers {
		app.Use(h)
	}
	app.Use(func(*fiber.Ctx) error { return nil })
	other := fasthost.Again(c.Context())
	app.Handler()(other)
	if failed == nil {
		fasthost.ReplaceCookies(c.Context(), other)
	}
	return failed
}

// encrypters returns the handlers of encryptcookie that the request has come through, from
// the outside in. Another app finds them, with the routes that they have in this one.
func encrypters(c *fiber.Ctx) (all []fiber.Handler) {
	app := fiber.New(routing(c))
	endpoints := c.App().GetRoutes(true) // all but those of Use
	for _, route := range slices.Concat(c.App().Stack()...) {
		if route.Method != c.Method() {
			continue
		}
		own := fasthost.Only(route.Handlers, module, "encryptcookie")
		collect := func(c *fiber.Ctx) error {
			all = append(all, own...)
			return c.Next()
		}
		switch {
		case len(own) == 0:
		case slices.ContainsFunc(endpoints, func(r fiber.Route) bool { return same(r, *route) }):
			app.All(route.Path, collect)
		default:
			app.Use(route.Path, collect)
		}
		if route == c.Route() { // those that follow have not run
			break
		}
	}
	app.Handler()(fasthost.Again(c.Context()))
	return all
}

func same(a, b fiber.Route) bool {
	return a.Method == b.Method && a.Path == b.Path && reflect.ValueOf(a.Handlers).Pointer() == reflect.ValueOf(b.Handlers).Pointer()
}

// routing returns the settings with which another app routes a request as c's app does.
func routing(c *fiber.Ctx) fiber.Config {
	config := c.App().Config()
	return fiber.Config{
		DisableStartupMessage: true,
		CaseSensitive:         config.CaseSensitive,
		RequestMethods:        config.RequestMethods,
		StrictRouting:         config.StrictRouting,
		UnescapePath:          config.UnescapePath,
	}
}

func refuse(why string) error { return fasthost.Refuse("fibersse", why) }
