package host

import (
	"math/rand/v2"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// refusal refuses a request that may be sent again later. It spreads the clients over time,
// as a shutdown does.
func refusal(err error) *core.RefusedError {
	after := config.ReturnFrom + rand.N(config.ReturnSpread) //nolint:gosec // not a secret
	return &core.RefusedError{Status: 503, Err: err, RetryAfter: after.Round(time.Second)}
}
