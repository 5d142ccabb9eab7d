// Package serve runs a port of a Python app on gin, echo, echo5, fiber or fiber3.
package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
)

// An App is a port, on each framework.
type App struct {
	Gin, Echo, Echo5 http.Handler
	Fiber            *fiber.App
	Fiber3           *fiber3.App
}

// Main serves the app that build returns until the process is told to stop. The tick is
// how long the app's streams wait between events.
func Main(build func(tick time.Duration) App) {
	framework := flag.String("framework", "gin", "`name`: gin, echo, echo5, fiber or fiber3")
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 means any free port")
	tick := flag.Duration("tick", time.Second, "`time` between events")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, build(*tick), *framework, *addr, os.Stdout); err != nil {
		log.Fatal(err) //nolint:gocritic // the process ends, and the signals with it
	}
}

func run(ctx context.Context, app App, framework, addr string, stdout io.Writer) error {
	handlers := map[string]http.Handler{"gin": app.Gin, "echo": app.Echo, "echo5": app.Echo5}
	if handlers[framework] == nil && framework != "fiber" && framework != "fiber3" {
		return fmt.Errorf("-framework %q is unknown: want gin, echo, echo5, fiber or fiber3", framework)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s on http://%s\n", framework, ln.Addr())

	// The streams end with the server.
	switch framework {
	case "fiber":
		return serveFiber(ctx, ln, func() error { return app.Fiber.Listener(ln) }, app.Fiber.Shutdown)
	case "fiber3":
		config := fiber3.ListenConfig{DisableStartupMessage: true}
		return serveFiber(ctx, ln, func() error { return app.Fiber3.Listener(ln, config) }, func() error { return app.Fiber3.Shutdown() })
	}
	srv := &http.Server{Handler: handlers[framework], ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- srv.Shutdown(context.WithoutCancel(ctx)) })
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ended(ctx, stopped)
}

func serveFiber(ctx context.Context, ln net.Listener, listen, shutdown func() error) error {
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		err := shutdown()
		_ = ln.Close() // shutdown does not close it if called before listen
		stopped <- err
	})
	return errors.Join(listen(), ended(ctx, stopped))
}

// ended waits until the server has stopped, if it was told to.
func ended(ctx context.Context, stopped <-chan error) error {
	if ctx.Err() == nil {
		return nil
	}
	return <-stopped
}
