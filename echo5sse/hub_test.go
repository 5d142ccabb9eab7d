package echo5sse_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/echo5sse"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A request that comes after the hub's shutdown is refused, as it is after a group's.
func TestHubRefusesAfterShutdown(t *testing.T) {
	var h hub.Hub
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := echo.New()
	app.GET("/", echo5sse.Handler(func(c *echo.Context) (core.Stream, error) { return h.Subscribe(c.Request().Context(), "a"), nil }))
	got := hosttest.Get(t, hosttest.Serve(t, app)+"/")
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("got status %d and Retry-After %q, want 503 and some seconds", got.Status, got.Header.Get("Retry-After"))
	}
}
