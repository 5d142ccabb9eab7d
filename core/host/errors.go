package host

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// refusal refuses a request that may be sent again later, unless err says something else.
// It spreads the clients over time, as a shutdown does.
func refusal(err error) *core.RefusedError {
	own := refusedBy(err)
	if own != nil && (own.Status == 204 || 300 <= own.Status && own.Status <= 599) {
		return &core.RefusedError{Status: own.Status, Err: err, RetryAfter: own.RetryAfter, Message: own.Message}
	}
	after := config.ReturnFrom + rand.N(config.ReturnSpread) //nolint:gosec // not a secret
	refused := &core.RefusedError{Status: 503, Err: err, RetryAfter: after.Round(time.Second)}
	if errors.Is(err, core.ErrKeyFull) {
		refused.Status = 429
	}
	if own != nil {
		refused.Message = own.Message
	}
	return refused
}

// refusedBy returns the refusal that err is, or nil. One in a StreamError may be another
// server's.
func refusedBy(err error) *core.RefusedError {
	if _, failed := errors.AsType[*core.StreamError](err); failed {
		return nil
	}
	refused, _ := errors.AsType[*core.RefusedError](err)
	return refused
}
