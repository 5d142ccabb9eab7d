package hosttest_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// Run also ends a server that is stopped before it has begun to serve.
func TestRunStopsFirst(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	srv := &http.Server{} //nolint:gosec // it serves nobody
	e := echo.New()
	for name, server := range map[string]struct {
		serve    func(net.Listener) error
		shutdown func(context.Context) error
	}{
		"fiber":    {app.Listener, app.ShutdownWithContext},
		"net/http": {srv.Serve, srv.Shutdown},
		"echo": {func(ln net.Listener) error {
			e.Listener = ln
			return e.StartServer(e.Server)
		}, e.Shutdown},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
			if err != nil {
				t.Fatal(err)
			}
			down := make(chan struct{})
			stop := hosttest.Run(t, ln, func(ln net.Listener) error {
				<-down
				return server.serve(ln)
			}, func(ctx context.Context) error {
				defer close(down)
				return server.shutdown(ctx)
			})
			stop()
		})
	}
}
