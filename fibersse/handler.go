package fibersse

import (
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/log"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/fasthost"
)

// A View is an ordinary fiber handler that returns the stream to send. It returns
// nil if it has already answered the request, for example with c.JSON or c.Redirect.
// Fiber answers if it returns an error, or if it answers and also returns a stream.
//
// c.UserContext() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to resume. The
// generator should take what it needs from c as values.
type View func(c *fiber.Ctx) (core.Stream, error)

// Handler runs view and streams what it returns.
//
// If the stream fails, the error goes to [core.WithObserver] and to the app's error
// handler, whose answer is not sent, or to fiber's log with [core.WithDetach]. If a
// request is refused, the handler returns a [fiber.Error].
//
// It panics if view is nil.
func Handler(view View, opts ...core.Option) fiber.Handler {
	if view == nil {
		panic("fibersse: Handler: the view is nil")
	}
	return func(c *fiber.Ctx) error {
		err := serve(c, view, opts)
		if err == nil {
			return nil
		}
		var (
			failed  *core.StreamError
			refused *core.RefusedError
		)
		if errors.As(err, &failed) || !errors.As(err, &refused) {
			return err
		}
		if refused.RetryAfter > 0 {
			c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(refused.RetryAfter.Seconds())))
		}
		if c.Request().BodyStream() != nil {
			fasthost.LeaveBody(c.Context())
		}
		// The body is for a middleware that drops the error, as timeout.New does.
		_ = c.Status(refused.Status).SendString(refused.Answer())
		return fiber.NewError(refused.Status, refused.Answer())
	}
}

func serve(c *fiber.Ctx, view View, opts []core.Option) error {
	above := middlewaresAbove()
	request := fasthost.Request{
		Adapter:    "fibersse",
		Route:      func() string { return c.Route().Path },
		Ctx:        c.Context(),
		Context:    c.UserContext,
		SetContext: c.SetUserContext,
		View: func() (core.Stream, error) {
			stream, err := view(c)
			if err != nil || stream == nil {
				return nil, err
			}
			return stream, checkMiddleware(above)
		},
		Finish: func() error { return encryptCookies(c, above.encryptcookie) },
		Name:   func() string { return c.Method() + " " + c.Path() },
		Errorf: log.Errorf,
	}
	streamed, err := request.Serve(opts)
	if streamed && err == nil && above.cache {
		return errNotKept
	}
	return err
}

// errNotKept stops the cache middleware from caching the empty response that it finds.
// The middleware calls its Next only after the handler, so the handler cannot know
// whether the response would be cached.
var errNotKept = fiber.NewError(fiber.StatusOK, "fibersse: a stream cannot be cached: register the route before the cache middleware")
