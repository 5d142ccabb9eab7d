package frameworks_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

func behindProxy(target *url.URL) *http.Server {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}}
	stopping, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("GET /rooms/{room}", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(stopping, cancel)()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
	srv := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	srv.RegisterOnShutdown(stop)
	return srv
}

func TestReverseProxy(t *testing.T) {
	onBoth(t, func(t *testing.T, client *http.Client) {
		chat := newChat()
		upstream, _ := serve(t, onChi(chat.messages))
		target, err := url.Parse(upstream)
		if err != nil {
			t.Fatal(err)
		}
		address, stop := start(t, behindProxy(target))
		v := visitor{chat: chat, url: address, client: client}
		v.flows(t)
		v.fails(t)
		v.leaves(t)

		// The proxy's shutdown breaks a stream, and the client comes back.
		s := v.open(t, "idle")
		hosttest.Receive(t, v.began, "the stream")
		done := make(chan struct{})
		go func() { defer close(done); stop() }()
		if rest, err := s.Rest(); err == nil || len(rest) > 0 {
			t.Errorf("at the proxy's shutdown: got %+v and a clean end, want a break", rest)
		}
		v.ended(t, core.ErrClientGone)
		hosttest.Receive(t, done, "the end of the proxy's shutdown")
	})
}

// The upstream server's shutdown ends streams cleanly through the proxy.
func TestReverseProxyUpstreamShutdown(t *testing.T) {
	chat := newChat()
	upstream, stop := serve(t, onChi(chat.messages))
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := start(t, behindProxy(target))
	visitor{chat: chat, url: address, client: client(t, false)}.shutsDown(t, stop, core.ErrShutdown)
}

// Without that handler the proxy's WriteTimeout cuts streams, and its shutdown waits for
// them.
func TestReverseProxyAlone(t *testing.T) {
	chat := newChat()
	upstream, _ := serve(t, onChi(chat.messages))
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	t.Run("WriteTimeout", func(t *testing.T) {
		address, _ := start(t, &http.Server{Handler: proxy, ReadHeaderTimeout: hosttest.Patience, WriteTimeout: 3 * time.Second})
		v := visitor{chat: chat, url: address, client: client(t, false)}
		s := v.open(t, "flow")
		v.step(t)
		if got, want := s.Next().Data, "one"; got != want {
			t.Errorf("message: got %q, want %q", got, want)
		}
		<-time.After(4 * time.Second)
		go func() { // unless the stream has ended
			for range 2 {
				select {
				case chat.steps <- struct{}{}:
				case <-t.Context().Done():
				}
			}
		}()
		if rest, err := s.Rest(); err == nil {
			t.Errorf("after the timeout: got %+v and a clean end, want a break", rest)
		}
	})
	t.Run("Shutdown", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: proxy, ReadHeaderTimeout: hosttest.Patience, ErrorLog: quiet}
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.Serve(ln) }()
		defer func() { _ = srv.Close(); <-served }()
		v := visitor{chat: chat, url: "http://" + ln.Addr().String(), client: client(t, false)}
		s := v.open(t, "idle")
		hosttest.Receive(t, v.began, "the stream")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the proxy's shutdown: got %v, want %v", err, context.DeadlineExceeded)
		}
		s.Close()
		v.ended(t, core.ErrClientGone)
	})
}
