package core

import (
	"context"

	"github.com/yieldsse/yieldsse/internal/config"
)

// A Request is what a session keeps of the request that began it.
type Request struct {
	// RemoteAddr is the peer of the connection, as the server sees it: behind a proxy, the
	// proxy's address. On TCP it is an IP address and a port.
	RemoteAddr string

	Method string // such as GET
	Path   string // the URL's path, decoded; at most 1 KiB of it

	// Route is the pattern that the framework's router has matched, in the framework's
	// own form and without a method, such as /rooms/:id. It is empty if there is none.
	Route string

	// LastEventID is the ID of the last event that the client saw before it
	// reconnected: its Last-Event-ID header, or see [WithQueryID]. It is empty if there
	// is none.
	LastEventID string
}

// RequestOf returns the request of the session that ctx belongs to, or the zero Request if
// ctx is not the context of a view. The strings stay valid after the request, also on fiber.
func RequestOf(ctx context.Context) Request {
	if s := sessionOf(ctx); s != nil {
		return s.Request()
	}
	return Request{}
}

// LastEventID returns [Request.LastEventID] of the session that ctx belongs to.
func LastEventID(ctx context.Context) string { return RequestOf(ctx).LastEventID }

// sessionOf returns the session that ctx belongs to, or nil.
func sessionOf(ctx context.Context) config.Session[Request] {
	s, _ := ctx.Value(config.SessionKey{}).(config.Session[Request])
	return s
}

// Refuse refuses the request of the session that ctx belongs to, if its response has not
// begun: the client gets 503 and a Retry-After, and is not told err's text. If err is or wraps
// a *[RefusedError], the client gets its Answer, and if its Status is 204 or from 300 to 599,
// that and its RetryAfter, unless err wraps a [StreamError], too. The session's context ends
// with a *[RefusedError] that wraps err.
//
// Views call it, and so may what they subscribe to. The view must still return a stream, which
// does not run: a nil stream means that the view itself has answered. With any other ctx Refuse
// does nothing.
func Refuse(ctx context.Context, err error) {
	if s := sessionOf(ctx); s != nil {
		s.Refuse(err)
	}
}
