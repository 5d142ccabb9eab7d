package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// poor is a listener that has no file descriptor for its first connection.
type poor struct {
	net.Listener
	failed *atomic.Bool
}

func (l poor) Accept() (net.Conn, error) {
	if l.failed.CompareAndSwap(false, true) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// fiber's server ends when it has no file descriptor, and goes on with a patient listener.
func TestFiberWithoutFiles(t *testing.T) {
	const text = "here"
	for name, mount := range map[string]func() (serve func(net.Listener) error, shutdown func() error){
		"v2": func() (func(net.Listener) error, func() error) {
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			app.Get("/", func(c *fiber.Ctx) error { return c.SendString(text) })
			return app.Listener, app.Shutdown
		},
		"v3": func() (func(net.Listener) error, func() error) {
			app := fiber3.New()
			app.Get("/", func(c fiber3.Ctx) error { return c.SendString(text) })
			return func(ln net.Listener) error {
				return app.Listener(ln, fiber3.ListenConfig{DisableStartupMessage: true})
			}, app.Shutdown
		},
	} {
		t.Run(name, func(t *testing.T) {
			listen := func() net.Listener {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ln.Close() })
				return poor{ln, new(atomic.Bool)}
			}
			done := make(chan error, 1)
			serve, _ := mount()
			ln := listen()
			go func() { done <- serve(ln) }()
			if err := hosttest.ReceiveWithin(t, patience, done, "the end of fiber's server"); !errors.Is(err, syscall.EMFILE) {
				t.Errorf("got %v, want %v: the documentation says that it ends then", err, syscall.EMFILE)
			}

			serve, shutdown := mount()
			ln = listen()
			go func() { done <- serve(patient{ln}) }()
			res, err := http.Get("http://" + ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if _ = res.Body.Close(); string(got) != text || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, text)
			}
			if err := errors.Join(shutdown(), hosttest.ReceiveWithin(t, patience, done, "the end of fiber's server")); err != nil {
				t.Error(err)
			}
		})
	}
}
