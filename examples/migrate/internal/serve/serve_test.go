package serve

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
)

// A server ends even if it is told to stop before it serves.
func TestStopsFirst(t *testing.T) {
	app := App{
		Gin: http.NotFoundHandler(), Echo: http.NotFoundHandler(), Echo5: http.NotFoundHandler(),
		Fiber: fiber.New(fiber.Config{DisableStartupMessage: true}), Fiber3: fiber3.New(),
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, framework := range []string{"gin", "echo", "echo5", "fiber", "fiber3"} {
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, app, framework, "127.0.0.1:0", io.Discard) }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s: %v", framework, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: run did not return within a minute", framework)
		}
	}
}
