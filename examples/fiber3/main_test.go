package main

import (
	"net"
	"net/http"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

func TestStream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := app()
	hosttest.Run(t, ln, func(ln net.Listener) error { return app.Listener(ln) }, app.ShutdownWithContext)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	hosttest.Ticker(t, "http://"+ln.Addr().String())
}
