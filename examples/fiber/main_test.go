package main

import (
	"errors"
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
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		_ = ln.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	hosttest.Ticker(t, "http://"+ln.Addr().String())
}
