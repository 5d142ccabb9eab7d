package fiber3sse

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"

	"github.com/yieldsse/yieldsse/internal/fasthost"
)

const module = "github.com/gofiber/fiber/v3"

// middlewares are fiber's own that do harm when they find an empty response after a
// stream.
type middlewares struct {
	timeout, idempotency bool

	encryptcookie, session int // how many
	inside                 int // how many of encryptcookie run inside of session
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
			if !m.Skips(5) {
				above.session++
				above.inside = above.encryptcookie
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
	case above.session > 1:
		return refuse("of two session middlewares only the inner one's session could be saved when the stream begins: " +
			"let the Next of all but one skip the route")
	default:
		return nil
	}
}

// finish does what session and encryptcookie would do when the handler has returned, which
// is too late, in the same order.
func finish(c fiber.Ctx, above middlewares) error {
	if above.encryptcookie == 0 || above.session == 0 && !fasthost.HasCookies(c.RequestCtx()) {
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
	config := routing(c)
	config.ErrorHandler = func(_ fiber.Ctx, err error) error {
		failed = err
		return nil
	}
	app := fiber.New(config)
	for _, h := range handlers {
		app.Use(h)
	}
	app.Use(func(fiber.Ctx) error { return nil })
	other := fasthost.Again(c.RequestCtx())
	app.Handler()(other)
	if failed == nil {
		fasthost.ReplaceCookies(c.RequestCtx(), other)
	}
	return failed
}

// encrypters returns the handlers of encryptcookie that the request has come through, from
// the outside in. Another app finds them, with the routes that they have in this one.
func encrypters(c fiber.Ctx) (all []fiber.Handler) {
	app := fiber.New(routing(c))
	endpoints := c.App().GetRoutes(true) // all but those of Use
	for _, route := range slices.Concat(c.App().Stack()...) {
		if route.Method != c.Method() {
			continue
		}
		own := fasthost.Only(route.Handlers, module, "encryptcookie")
		collect := func(c fiber.Ctx) error {
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
	app.Handler()(fasthost.Again(c.RequestCtx()))
	return all
}

func same(a, b fiber.Route) bool {
	return a.Method == b.Method && a.Path == b.Path && reflect.ValueOf(a.Handlers).Pointer() == reflect.ValueOf(b.Handlers).Pointer()
}

// routing returns the settings with which another app routes a request as c's app does.
func routing(c fiber.Ctx) fiber.Config {
	config := c.App().Config()
	return fiber.Config{
		CaseSensitive:  config.CaseSensitive,
		RegexHandler:   config.RegexHandler,
		RequestMethods: config.RequestMethods,
		StrictRouting:  config.StrictRouting,
		UnescapePath:   config.UnescapePath,
	}
}

// saveSession saves the session of the middleware session now. At the end of the stream
// its cookie would not be sent any more, and what other requests have changed in the
// meantime would be overwritten: a user who has logged out would be logged in again.
func saveSession(c fiber.Ctx) error {
	m := session.FromContext(c)
	if m == nil || m.Session == nil {
		return nil
	}
	ended, err := destroyed(m)
	if err != nil {
		return err
	}
	s := m.Session
	m.Session = new(session.Session) // with nothing to save
	if ended {
		return nil
	}
	if err := s.Save(); err != nil {
		return fmt.Errorf("fiber3sse: save the session: %w", err)
	}
	return nil
}

// destroyed reports whether the view has destroyed the session of a session.Middleware,
// which the middleware then does not save. Only a private field tells.
func destroyed(m any) (bool, error) {
	if f := reflect.Indirect(reflect.ValueOf(m)).FieldByName("isDestroyed"); f.Kind() == reflect.Bool {
		return f.Bool(), nil
	}
	return false, refuse("this version of fiber's session middleware does not tell whether a session has been destroyed: " +
		"let its Next skip the route, or use the version in fiber3sse's go.mod")
}

func refuse(why string) error { return fasthost.Refuse("fiber3sse", why) }
