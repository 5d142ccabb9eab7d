package fibersse

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
)

// middlewares are fiber's own that do harm when they find an empty response after a
// stream. Their only trace is their frames on the stack.
type middlewares struct {
	timeout, idempotency, cache bool

	encryptcookie int // how many
}

// middlewaresAbove returns those that are above the handler on the stack.
func middlewaresAbove() (above middlewares) {
	const middleware = "github.com/gofiber/fiber/v2/middleware/"
	pcs, n := make([]uintptr, 50), 0
	for n == 0 || n == len(pcs) { // if it is full there may be more
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(1, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		name, ok := strings.CutPrefix(frame.Function, middleware)
		switch {
		case !ok:
		case strings.HasPrefix(name, "timeout.New.func"):
			above.timeout = true
		case strings.HasPrefix(name, "encryptcookie.New.func"):
			above.encryptcookie++
		case strings.HasPrefix(name, "idempotency.New.func"):
			above.idempotency = above.idempotency || !skips(frame)
		case strings.HasPrefix(name, "cache.New.func"):
			above.cache = above.cache || !skips(frame)
		}
	}
	return above
}

// skips reports whether a middleware has passed the request on unchanged. Its code does
// so before anything else.
func skips(frame runtime.Frame) bool {
	const first = 20 // lines of the middleware's function
	if frame.Func == nil {
		return false
	}
	_, begin := frame.Func.FileLine(frame.Func.Entry())
	return frame.Line < begin+first
}

// checkMiddleware refuses a stream under a middleware that would do harm.
func checkMiddleware(c *fiber.Ctx, above middlewares) error {
	switch {
	case above.timeout:
		return refuse("timeout.New uses the request while the stream runs: use timeout.NewWithContext")
	case above.idempotency:
		return refuse("idempotency would answer the next request with an empty response: let its Next skip the route")
	default:
		return encryptCookies(c, above.encryptcookie)
	}
}

// encryptCookies does what encryptcookie would do when the handler has returned, which
// is too late. It runs the same middlewares on another response with the same cookies.
func encryptCookies(c *fiber.Ctx, middlewares int) error {
	var cookies []string
	c.Response().Header.VisitAllCookie(func(_, cookie []byte) { cookies = append(cookies, string(cookie)) })
	if middlewares == 0 || len(cookies) == 0 {
		return nil
	}
	handlers := encrypters(c)
	if len(handlers) != middlewares {
		return refuse("encryptcookie comes too late to encrypt a cookie of this response, and is not among the app's " +
			"handlers: set the cookie in another response")
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	for _, h := range handlers {
		app.Use(h)
	}
	app.Use(func(same *fiber.Ctx) error {
		for _, cookie := range cookies {
			same.Response().Header.Add(fiber.HeaderSetCookie, cookie)
		}
		return nil
	})
	ctx := newLike(c.Context())
	c.Request().Header.CopyTo(&ctx.Request.Header)
	ctx.Request.Header.DelAllCookies() // they have already been decrypted
	c.Context().VisitUserValuesAll(ctx.SetUserValue)
	app.Handler()(ctx)

	c.Response().Header.DelAllCookies()
	ctx.Response.Header.VisitAllCookie(func(_, cookie []byte) {
		c.Response().Header.Add(fiber.HeaderSetCookie, string(cookie))
	})
	return nil
}

func newLike[T any](*T) *T { return new(T) }

// encrypters returns the handlers of encryptcookie that the app has for the request's
// method and path.
func encrypters(c *fiber.Ctx) (all []fiber.Handler) {
	for _, routes := range c.App().Stack() {
		for _, route := range routes {
			if route.Method != c.Method() || !leadsTo(route, c.Path()) {
				continue
			}
			for _, h := range route.Handlers {
				name := runtime.FuncForPC(reflect.ValueOf(h).Pointer()).Name()
				if strings.HasPrefix(name, "github.com/gofiber/fiber/v2/middleware/encryptcookie.New.func") {
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

func refuse(why string) error {
	return &core.RefusedError{Status: fiber.StatusInternalServerError, Err: fmt.Errorf("fibersse: %s", why)}
}
