package adaptertest_test

import (
	"context"
	"crypto/tls"
	"flag"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

// The suites use the transport of a mount, here one for HTTP/2.
func TestTransport(t *testing.T) {
	var used atomic.Int64
	mount := adaptertest.Mount{
		Protocols: []adaptertest.Protocol{adaptertest.HTTP3},
		Serve: func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
			server := site.Server(handler(site))
			server.Protocols.SetHTTP2(true)
			go func() { _ = server.Serve(tls.NewListener(site.Listener, hosttest.ServerTLS())) }()
			tr := &transport{used: &used}
			tr.TLSClientConfig = hosttest.ClientTLS()
			tr.ForceAttemptHTTP2, tr.DialContext = true, tr.dial
			site.Transport = tr
			return server.Shutdown
		},
	}
	t.Run("Conformance", func(t *testing.T) { adaptertest.Conformance(t, mount) })
	if used.Swap(0) == 0 {
		t.Error("Conformance has not used the transport")
	}
	if flag.Lookup("adaptertest.runs").Value.String() == "0" {
		_ = flag.Set("adaptertest.runs", "100")
		defer func() { _ = flag.Set("adaptertest.runs", "0") }()
	}
	t.Run("Differential", func(t *testing.T) { adaptertest.Differential(t, mount) })
	if used.Load() == 0 {
		t.Error("Differential has not used the transport")
	}
}

// A transport closes all its connections.
type transport struct {
	http.Transport

	used *atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

func (tr *transport) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	tr.used.Add(1)
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.conns = append(tr.conns, conn)
	return conn, nil
}

func (tr *transport) Close() error {
	tr.CloseIdleConnections()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, conn := range tr.conns {
		_ = conn.Close()
	}
	return nil
}
