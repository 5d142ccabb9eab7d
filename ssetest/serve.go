package ssetest

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Serve serves handler on a real server until the end of the test, and returns its URL.
// At the end the connections are closed, so that the contexts of requests end, and a
// handler that does not return within 30 s fails the test.
func Serve(t testing.TB, handler http.Handler) (url string) {
	t.Helper()
	return serve(t, handler, defaultTimeout)
}

func serve(t testing.TB, handler http.Handler, timeout time.Duration) (url string) {
	t.Helper()
	listener := listen(t)
	var (
		mu      sync.Mutex
		closed  bool
		running sync.WaitGroup
	)
	srv := &http.Server{
		ReadHeaderTimeout: defaultTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if closed {
				mu.Unlock()
				return
			}
			running.Add(1)
			mu.Unlock()
			defer running.Done()
			handler.ServeHTTP(w, r)
		}),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
		mu.Lock()
		closed = true
		mu.Unlock()
		done := make(chan struct{})
		go func() { running.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(timeout):
			t.Errorf("ssetest: a handler still runs %v after its connection was closed: "+
				"a generator must return soon after its context ends", timeout)
		}
	})
	return "http://" + listener.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		t.Fatalf("ssetest: %v", err)
	}
	return listener
}
