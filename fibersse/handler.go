package fibersse

import (
	"errors"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A View is an ordinary fiber handler that returns the stream to send. It returns
// nil if it has already answered the request, for example with c.JSON or c.Redirect.
// Fiber answers if it returns an error.
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
			leaveBody(c)
		}
		// The body is for a middleware that drops the error, as timeout.New does.
		_ = c.Status(refused.Status).SendString(refused.Error())
		return fiber.NewError(refused.Status, refused.Error())
	}
}

func serve(c *fiber.Ctx, view View, opts []core.Option) error {
	if done := c.Context().Done(); done != nil {
		group, release := groupOf(done)
		defer release()
		opts = append(slices.Clip(opts), core.WithGroup(group))
	}
	before := c.UserContext()
	s, err := host.NewSession(before, utils.CopyString(c.Get("Last-Event-ID")), opts...)
	if err != nil {
		return err
	}
	s.Query(func(name string) string { return utils.CopyString(c.Query(name)) })
	served := false
	defer func() {
		c.SetUserContext(before)
		if !served {
			s.Close()
		}
	}()

	c.SetUserContext(s.Context())
	body, above := guardBody(c), middlewaresAbove()
	stream, err := prepare(c, view, above)
	if err != nil || stream == nil {
		return err
	}
	all, err := body.drain(s)
	if refused := s.Refused(); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	host.SetHeaders(func(name string) string { return c.GetRespHeader(name) }, c.Set)
	c.Status(fiber.StatusOK)
	if c.Method() == fiber.MethodHead {
		return nil
	}
	s.Direct(c.Method())
	conn := takeOver(c)
	if served = all && s.Detaches() && conn.allowDetach(c, s, stream); !served {
		served = true
		err = conn.serve(c, s, stream)
	}
	if err == nil && above.cache {
		return errNotKept
	}
	return err
}

// errNotKept stops the cache middleware from caching the empty response that it finds.
// The middleware calls its Next only after the handler, so the handler cannot know
// whether the response would be cached.
var errNotKept = fiber.NewError(fiber.StatusOK, "fibersse: a stream cannot be cached: register the route before the cache middleware")

// prepare runs the view and checks that its stream can be sent. The stream is nil if
// there is none to send. It is a function of its own so that its stack space is free
// while the stream lasts.
func prepare(c *fiber.Ctx, view View, above middlewares) (core.Stream, error) {
	stream, err := view(c)
	if err != nil || stream == nil {
		return nil, err
	}
	if err := checkMiddleware(c, above); err != nil {
		return nil, err
	}
	return stream, checkConn(c)
}
