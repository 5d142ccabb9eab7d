package fibersse

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/yieldsse/yieldsse/core"
)

// A View is an ordinary fiber handler that returns the stream to send. It returns
// nil when it has answered by itself, with c.JSON or c.Redirect, say; an error
// before the stream is fiber's to answer.
//
// c.UserContext() is the session's: it ends with the stream, and
// [core.LastEventID] reads from it where the client wants to go on. The
// generator should take what it needs of c as values.
type View func(c *fiber.Ctx) (core.Stream, error)

// Handler runs view and streams what it returns.
//
// If the stream fails, the error goes to the app's error handler, whose answer
// is not sent any more, and to [core.WithObserver]. A request that is refused is
// a [fiber.Error].
func Handler(view View, opts ...core.Option) fiber.Handler {
	return func(c *fiber.Ctx) error {
		err := serve(c, view, opts)
		var refused *core.RefusedError
		if !errors.As(err, &refused) {
			return err
		}
		if refused.RetryAfter > 0 {
			c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(refused.RetryAfter.Seconds())))
		}
		// The body is for a middleware that drops the error, as timeout.New does.
		_ = c.Status(refused.Status).SendString(refused.Error())
		return fiber.NewError(refused.Status, refused.Error())
	}
}

func serve(c *fiber.Ctx, view View, opts []core.Option) error {
	if view == nil {
		return core.ErrNilView
	}
	if done := c.Context().Done(); done != nil {
		group, release := groupOf(done)
		defer release()
		opts = append(slices.Clip(opts), core.WithGroup(group))
	}
	before := c.UserContext()
	ctx, gone := context.WithCancel(before)
	defer gone()
	s, err := core.NewSession(ctx, utils.CopyString(c.Get("Last-Event-ID")), opts...)
	if err != nil {
		return err
	}
	served := false
	defer func() {
		c.SetUserContext(before)
		if !served {
			s.Close()
		}
	}()

	c.SetUserContext(s.Context())
	stream, err := view(c)
	if err != nil || stream == nil {
		return err
	}
	if err := checkMiddleware(c); err != nil {
		return err
	}
	core.SetHeaders(func(name string) string { return c.GetRespHeader(name) }, c.Set)
	c.Status(fiber.StatusOK)
	if c.Method() == fiber.MethodHead {
		return nil
	}
	if body := c.Context().RequestBodyStream(); body != nil {
		const most = 1 << 20
		_, _ = io.CopyN(io.Discard, body, most) // what is left would pass for the client's leaving
	}
	conn := newConn(c, gone)
	defer conn.close()
	served = true
	return s.Serve(conn, stream)
}
