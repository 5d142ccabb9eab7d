package middleware_test

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"
	"github.com/pires/go-proxyproto"
	"github.com/soheilhy/cmux"
	"golang.org/x/net/netutil"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fibersse"
)

// These listeners wrap the connections that a detached session takes.
var listeners = []row{
	{name: "golang.org/x/net: netutil.LimitListener", note: "not detached on fiber", use: func(_ *testing.T, ln net.Listener) net.Listener {
		return netutil.LimitListener(ln, 100)
	}},
	{name: "pires/go-proxyproto", note: "not detached on fiber", use: func(_ *testing.T, ln net.Listener) net.Listener {
		return &proxyproto.Listener{Listener: ln}
	}},
	{name: "soheilhy/cmux", note: "not detached on fiber", use: func(t *testing.T, ln net.Listener) net.Listener {
		mux := cmux.New(ln)
		all := mux.Match(cmux.Any())
		go func() { _ = mux.Serve() }()
		t.Cleanup(mux.Close)
		return all
	}},
}

func listen(t *testing.T, ln net.Listener, r row) net.Listener {
	t.Helper()
	return r.use.(func(*testing.T, net.Listener) net.Listener)(t, ln)
}

func TestListenersOfNetHTTP(t *testing.T) {
	t.Parallel()
	run(t, listeners, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		return serveHTTP(t, listen(t, ln, r), s, streams(s))
	}, modes[:3]...)
}

func TestListenersOfFiber(t *testing.T) {
	t.Parallel()
	rows := slices.Clone(listeners)
	for i := range rows {
		rows[i].stays = true // only a socket itself can be duplicated
	}
	run(t, rows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		app := fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Use(s.counted)
		for _, path := range paths {
			app.All(path, fibersse.Handler(func(c *fiber.Ctx) (core.Stream, error) { return s.stream(c.UserContext(), path), nil }, s.opts...))
		}
		app.Get("/plain", func(c *fiber.Ctx) error { return c.SendString("plain") })
		go func() { _ = app.Listener(listen(t, ln, r)) }()
		return app.ShutdownWithContext
	}, modes[:3]...)
}

func TestListenersOfFiber3(t *testing.T) {
	t.Parallel()
	rows := slices.Clone(listeners)
	for i := range rows {
		rows[i].stays = true // as on fiber v2
	}
	run(t, rows, func(t *testing.T, ln net.Listener, s *site, r row) func(context.Context) error {
		t.Helper()
		return serveFiber3(t, listen(t, ln, r), s, row{}, fiber3.Config{})
	}, modes[:3]...)
}
