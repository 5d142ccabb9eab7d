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
// begun: the client gets 503 and a Retry-After. If err is or wraps a *[RefusedError] whose
// Status is 204 or from 300 to 599, the client gets that and its RetryAfter instead, unless
// err wraps a [StreamError], too. The session's context ends with a *[RefusedError] that
// wraps err. Views call it, and so may what they subscribe to. With any other ctx Refuse does
// nothing.
func Refuse(ctx context.Context, err error) {
	if r, ok := ctx.Value(config.RequestKey{}).(config.Request); ok {
		r.Refuse(err)
	}
}
