package fibersse

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
)

// checkMiddleware refuses the two of fiber's own middlewares under which a stream
// would do harm. They leave no other trace than their frames on the stack.
func checkMiddleware(c *fiber.Ctx) error {
	cookies := false
	c.Response().Header.VisitAllCookie(func(_, _ []byte) { cookies = true })

	const middleware = "github.com/gofiber/fiber/v2/middleware/"
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		name, ok := strings.CutPrefix(frame.Function, middleware)
		switch {
		case !ok:
		case strings.HasPrefix(name, "timeout.New.func"):
			return refuse("timeout.New uses the request beside the stream: use timeout.NewWithContext")
		case cookies && strings.HasPrefix(name, "encryptcookie.New.func"):
			return refuse("encryptcookie comes too late to encrypt a cookie of this response: set it in another one")
		}
	}
	return nil
}

func refuse(why string) error {
	return &core.RefusedError{Status: fiber.StatusInternalServerError, Err: fmt.Errorf("fibersse: %s", why)}
}
