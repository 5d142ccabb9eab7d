package http3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// serve serves handler over HTTP/1.1 and HTTP/2 on ln, and over HTTP/3 on udp, until ctx
// ends.
func serve(ctx context.Context, ln net.Listener, udp net.PacketConn, config *tls.Config, handler http.Handler) error {
	h3 := &http3.Server{Handler: handler, TLSConfig: config}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = h3.SetQUICHeaders(w.Header()) // Alt-Svc tells browsers of HTTP/3
			handler.ServeHTTP(w, r)
		}),
		TLSConfig:         config.Clone(), // net/http changes it
		ReadHeaderTimeout: 5 * time.Second,
	}
	// The streams of HTTP/3 belong to srv, too: to its Shutdown and its ErrorLog.
	h3.ConnContext = func(ctx context.Context, _ *quic.Conn) context.Context {
		return context.WithValue(ctx, http.ServerContextKey, srv)
	}

	failed := make(chan error, 2)
	go func() { failed <- srv.ServeTLS(ln, "", "") }()
	go func() { failed <- h3.Serve(udp) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- h3.Shutdown(ctx) }() // at the same time, so that no request begins meanwhile
	return errors.Join(err, srv.Shutdown(ctx), <-stopped)
}
