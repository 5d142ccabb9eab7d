package hosttest

import (
	"context"
	"time"
)

// Pause waits for d, and reports whether ctx is still alive. If d is 0 it makes no timer: in a
// bubble of synctest, a timer that is due at once is run by the goroutine that looks at it, and
// Go 1.26's race detector crashes now and then when several do so at the same time.
func Pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
