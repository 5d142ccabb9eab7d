package hosts

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/yieldsse/yieldsse/core"
)

// A View is a stream of a test's own.
type View struct {
	Method, Path string

	// Stream gets the request's context and body. If it returns nil, the answer is empty and
	// has the status Empty.
	Stream func(ctx context.Context, body string) core.Stream

	Empty int // 204 by default

	Options []core.Option
}

// ServeViews serves views on a framework until the end of the test, and returns the URL of
// the server.
func ServeViews(t testing.TB, framework string, views []View, opts ...core.Option) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var routes []route
	for _, v := range views {
		view := func(r request) core.Stream { return v.Stream(r.ctx, r.body) }
		empty := cmp.Or(v.Empty, http.StatusNoContent)
		routes = append(routes, route{v.Method, v.Path, view, empty, append(slices.Clip(opts), v.Options...)})
	}
	mounts[framework](t, ln, routes)
	return "http://" + ln.Addr().String()
}
