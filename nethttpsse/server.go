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
var groups sync.Map // of weak.Pointer[http.Server] to *core.Group

func groupOf(srv *http.Server) *core.Group {
	key := weak.Make(srv)
	if g, ok := groups.Load(key); ok {
		return g.(*core.Group) //nolint:forcetypeassert // the map's only type
	}
	v, loaded := groups.LoadOrStore(key, new(core.Group))
	g := v.(*core.Group) //nolint:forcetypeassert // the map's only type
	if !loaded {
		srv.RegisterOnShutdown(func() {
			// Shutdown itself waits for the streams to end.
			_ = g.Shutdown(context.Background())
		})
		runtime.AddCleanup(srv, func(key weak.Pointer[http.Server]) { groups.Delete(key) }, key)
	}
	return g
}
