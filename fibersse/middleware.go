package fibersse

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yieldsse/yieldsse/core"
)

// checkMiddleware refuses the two of fiber's own middlewares under which a stream
// would do harm. They leave no other trace on c than their handlers.
func checkMiddleware(c *fiber.Ctx) error {
	const timeout, encryptcookie = "timeout.New.func", "encryptcookie.New.func"
	if has(c.Route().Handlers, timeout) {
		return refuse("timeout.New uses the request beside the stream: use timeout.NewWithContext")
	}
	cookies := false
	c.Response().Header.VisitAllCookie(func(_, _ []byte) { cookies = true })
	if !cookies {
		return nil
	}
	for _, routes := range c.App().Stack() {
		for _, r := range routes {
			if has(r.Handlers, encryptcookie) {
				return refuse("encryptcookie comes too late to encrypt a cookie of this response: set it in another one")
			}
		}
	}
	return nil
}

func has(handlers []fiber.Handler, name string) bool {
	const middleware = "github.com/gofiber/fiber/v2/middleware/"
	for _, h := range handlers {
		if f := runtime.FuncForPC(reflect.ValueOf(h).Pointer()); f != nil && strings.HasPrefix(f.Name(), middleware+name) {
			return true
		}
	}
	return false
}

func refuse(why string) error {
	return &core.RefusedError{Status: fiber.StatusInternalServerError, Err: fmt.Errorf("fibersse: %s", why)}
}
