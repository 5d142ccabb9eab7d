package main

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gofiber/fiber/v2"

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
	serve := func(wrap func(net.Listener) net.Listener) (app *fiber.App, url string, done chan error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		app = fiber.New(fiber.Config{DisableStartupMessage: true})
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString("here") })
		done = make(chan error, 1)
		go func() { done <- app.Listener(wrap(poor{ln, new(atomic.Bool)})) }()
		t.Cleanup(func() { _ = ln.Close() })
		return app, "http://" + ln.Addr().String(), done
	}
	_, _, done := serve(func(ln net.Listener) net.Listener { return ln })
	if err := hosttest.ReceiveWithin(t, patience, done, "the end of fiber's server"); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v, want %v: the documentation says that it ends then", err, syscall.EMFILE)
	}

	app, url, done := serve(func(ln net.Listener) net.Listener { return patient{ln} })
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got status %d, want 200", res.StatusCode)
	}
	if err := errors.Join(app.Shutdown(), hosttest.ReceiveWithin(t, patience, done, "the end of fiber's server")); err != nil {
		t.Error(err)
	}
}
