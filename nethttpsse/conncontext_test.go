package nethttpsse_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// What ConnContext says of a connection is there as long as its stream. Its end ends the
// stream, unless it is detached.
func TestConnContext(t *testing.T) {
	for _, detached := range []bool{false, true} {
		for _, h2 := range []bool{false, true} {
			type key struct{}
			var opts []core.Option
			if detached {
				opts = append(opts, core.WithDetach())
			}
			goOn, cancels, causes := make(chan struct{}, 1), make(chan context.CancelFunc, 1), make(chan error, 1)
			view := func(_ http.ResponseWriter, r *http.Request) core.Stream {
				ctx := r.Context()
				return func(yield func(core.Event, error) bool) {
					defer func() { causes <- context.Cause(ctx) }()
					for name, _ := ctx.Value(key{}).(string); yield(core.Event{Data: name}, nil); {
						select {
						case <-goOn:
						case <-ctx.Done():
							return
						}
					}
				}
			}
			url := hosttest.Serve(t, nethttpsse.Handler(view, opts...), func(srv *http.Server) {
				srv.Protocols = new(http.Protocols)
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetUnencryptedHTTP2(true)
				srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
					ctx, cancel := context.WithCancel(ctx) //nolint:gosec // the test calls it
					cancels <- cancel
					return context.WithValue(ctx, key{}, "connection")
				}
			})
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!h2)
			transport.Protocols.SetUnencryptedHTTP2(h2)
			t.Cleanup(transport.CloseIdleConnections)
			stream := ssetest.Request{URL: url, Client: &http.Client{Transport: transport}}.Open(t)
			check := func() {
				t.Helper()
				if got := stream.Next(); got.Data != "connection" {
					t.Errorf("detached %t, HTTP/2 %t: got %q, want what ConnContext has set", detached, h2, got.Data)
				}
			}
			check()
			goOn <- struct{}{}
			check()
			(<-cancels)()
			if detached && !h2 { // a stream on HTTP/2 is not detached
				goOn <- struct{}{}
				check()
				stream.Close()
			}
			_ = hosttest.Receive(t, causes, "the end of the generator")
		}
	}
}
