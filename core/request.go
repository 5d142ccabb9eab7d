package core

import (
	"context"

	"github.com/yieldsse/yieldsse/internal/config"
)

// LastEventID returns the ID of the last event that the client saw before it
// reconnected: its Last-Event-ID header, or see [WithQueryID]. It is empty if there is
// none, or if ctx is not the context of a view.
func LastEventID(ctx context.Context) string {
	if r, ok := ctx.Value(config.RequestKey{}).(config.Request); ok {
		return r.LastEventID()
	}
	return ""
}

// Refuse refuses the request of the session that ctx belongs to, if its response has not
// begun: the client gets 503 and a Retry-After, or what a *[RefusedError] that err is or
// wraps says, if its Status is one of a final answer (200 to 999). The session's context ends with a *[RefusedError] that wraps err.
// Views call it, and so may what they subscribe to. With any other ctx Refuse does nothing.
func Refuse(ctx context.Context, err error) {
	if r, ok := ctx.Value(config.RequestKey{}).(config.Request); ok {
		r.Refuse(err)
	}
}
