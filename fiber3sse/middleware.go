package fiber3sse

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/valyala/fasthttp"

	"github.com/yieldsse/yieldsse/internal/fasthost"
)

const module = "github.com/gofiber/fiber/v3"

// middlewares are fiber's own that do harm when they find an empty response after a
// stream.
type middlewares struct {
	timeout, idempotency, session bool

	encryptcookie int // how many
	inside        int // how many of these run inside of session
}

// middlewaresAbove returns those that are above the handler on the stack.
func middlewaresAbove() (above middlewares) {
	const first = 20 // the lines of a middleware's function that decide whether to skip the request
	for m := range fasthost.Above(module) {
		switch m.Name {
		case "timeout":
			above.timeout = above.timeout || m.Own // unless it skips the request
		case "encryptcookie":
			above.encryptcookie++
		case "idempotency":
			above.idempotency = above.idempotency || !m.Skips(first)
		case "session":
			if !above.session && !m.Skips(5) {
				above.session, above.inside = true, above.encryptcookie
			}
		}
	}
	return above
}

// checkMiddleware refuses a stream under a middleware that would do harm.
func checkMiddleware(above middlewares) error {
	switch {
	case above.timeout:
		return refuse("timeout.New answers the request while the stream still runs: let its Next skip the route, " +
			"and bound the stream with core.WithMaxDuration")
	case above.idempotency:
		return refuse("idempotency would answer the next request with an empty response: let its Next skip the route")
	default:
		return nil
	}
}

// finish does what session and encryptcookie would do when the handler has returned, which
// is too late, in the same order.
func finish(c fiber.Ctx, above middlewares) error {
	if above.encryptcookie == 0 || !above.session && !fasthost.HasCookies(c.RequestCtx()) {
		return saveSession(c)
	}
	handlers := encrypters(c)
	if len(handlers) != above.encryptcookie {
		return refuse("encryptcookie comes too late to encrypt a cookie of this response, and is not among the app's " +
			"handlers: set the cookie in another response")
	}
	outside := above.encryptcookie - above.inside
	if err := encryptCookies(c, handlers[outside:]); err != nil {
		return err
	}
	if err := saveSession(c); err != nil {
		return err
	}
	return encryptCookies(c, handlers[:outside])
}

// encryptCookies runs the handlers on another response with the same cookies.
func encryptCookies(c fiber.Ctx, handlers []fiber.Handler) error {
	if len(handlers) == 0 || !fasthost.HasCookies(c.RequestCtx()) {
		return nil
	}
	var failed error
	app := fiber.New(fiber.Config{ErrorHandler: func(_ fiber.Ctx, err error) error {
		failed = err
		return nil
	}})
	for _, h := range handlers {
		app.Use(h)
	}
	app.Use(func(fiber.Ctx) error { return nil })
	return fasthost.ReplaceCookies(c.RequestCtx(), func(other *fasthttp.RequestCtx) error {
		app.Handler()(other)
		return failed
	})
}

// encrypters returns the handlers of encryptcookie that the app has for the request's
// method and path.
func encrypters(c fiber.Ctx) (all []fiber.Handler) {
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

// saveSession saves the session of the middleware session now. At the end of the stream
// its cookie would not be sent any more, and what other requests have changed in the
// meantime would be overwritten: a user who has logged out would be logged in again.
func saveSession(c fiber.Ctx) error {
	m := session.FromContext(c)
	if m == nil || m.Session == nil {
		return nil
	}
	s := m.Session
	m.Session = new(session.Session) // with nothing to save
	if destroyed(m) {
		return nil
	}
	if err := s.Save(); err != nil {
		return fmt.Errorf("fiber3sse: save the session: %w", err)
	}
	return nil
}

// destroyed reports whether the view has destroyed the session, which the middleware
// then does not save.
func destroyed(m *session.Middleware) bool {
	f := reflect.ValueOf(m).Elem().FieldByName("isDestroyed")
	return f.IsValid() && f.Bool()
}

func refuse(why string) error { return fasthost.Refuse("fiber3sse", why) }
