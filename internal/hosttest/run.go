package hosttest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Run runs serve on ln until stop is called or the test ends. stop shuts the server down
// and waits until serve has returned. It also closes ln, because fasthttp's server, if it
// is shut down before it has begun to serve, would then begin and never end.
func Run(t testing.TB, ln net.Listener, serve func(net.Listener) error, shutdown func(context.Context) error) (stop func()) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- serve(ln) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := shutdown(ctx); err != nil {
			t.Errorf("the server's shutdown: %v", err)
		}
		_ = ln.Close()
		select {
		case err := <-served:
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("the server's end: %v", err)
			}
		case <-ctx.Done():
			t.Errorf("the server still serves %v after its shutdown", Patience)
		}
	})
	t.Cleanup(stop)
	return stop
}
