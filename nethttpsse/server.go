package nethttpsse

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"weak"

	"github.com/yieldsse/yieldsse/core"
)

// server returns the server that r came to, or nil in a test without one.
func server(r *http.Request) *http.Server {
	srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return srv
}

// groups has a group for each server that has had a stream, so that the server's
// Shutdown ends its streams. The map does not keep servers alive.
var groups sync.Map // of weak.Pointer[http.Server] to the core.Option with the group

// groupOf returns the option for the group of a server. All sessions share it.
func groupOf(srv *http.Server) core.Option {
	key := weak.Make(srv)
	if o, ok := groups.Load(key); ok {
		return o.(core.Option) //nolint:forcetypeassert // the map's only type
	}
	g := new(core.Group)
	o, loaded := groups.LoadOrStore(key, core.WithGroup(g))
	if !loaded {
		srv.RegisterOnShutdown(func() {
			// Shutdown itself waits for the streams to end.
			_ = g.Shutdown(context.Background())
		})
		runtime.AddCleanup(srv, func(key weak.Pointer[http.Server]) { groups.Delete(key) }, key)
	}
	return o.(core.Option) //nolint:forcetypeassert // the map's only type
}
