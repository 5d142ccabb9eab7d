package host

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// ErrNilView is the refusal of a handler that was made with a nil view.
var ErrNilView error = &core.RefusedError{Status: 500, Err: errors.New("host: the handler was made with a nil view")}

// refusal is the answer to a request that may be sent again later. It spreads the
// clients as a shutdown does.
func refusal(err error) *core.RefusedError {
	after := config.ReturnFrom + rand.N(config.ReturnSpread) //nolint:gosec // not a secret
	return &core.RefusedError{Status: 503, Err: err, RetryAfter: after.Round(time.Second)}
}
