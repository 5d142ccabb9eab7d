package fiber3sse_test

import (
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v3"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A request that comes after the hub's shutdown is refused, as it is after a group's.
func TestHubRefusesAfterShutdown(t *testing.T) {
	var h hub.Hub
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := func(c fiber.Ctx) (core.Stream, error) { return h.Subscribe(c.Context(), "a"), nil }
	app := newApp()
	app.Get("/attached", fiber3sse.Handler(view))
	app.Get("/detached", fiber3sse.Handler(view, core.WithDetach()))
	base := "http://" + serve(t, app)
	for _, path := range []string{"/attached", "/detached"} {
		got := hosttest.Get(t, base+path)
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got status %d and Retry-After %q, want 503 and some seconds", path, got.Status, got.Header.Get("Retry-After"))
		}
	}
}
