package core

import (
	"context"

	"github.com/yieldsse/yieldsse/internal/config"
)

// LastEventID returns the ID of the last event that the client saw before it
// reconnected: its Last-Event-ID header, or see [WithQueryID]. It is empty if there
// was none, and outside a view's context.
func LastEventID(ctx context.Context) string {
	if r, ok := ctx.Value(config.RequestKey{}).(config.Request); ok {
		return r.LastEventID()
	}
	return ""
}

// Refuse has the session that ctx belongs to refused with err, if its response has
// not begun: the client gets 503 and a Retry-After. A view calls it, or what it
// subscribes to. The session's context ends with a *[RefusedError] that wraps err.
// With any other ctx Refuse does nothing.
func Refuse(ctx context.Context, err error) {
	if r, ok := ctx.Value(config.RequestKey{}).(config.Request); ok {
		r.Refuse(err)
	}
}
