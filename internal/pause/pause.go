// Package pause is for code that waits.
package pause

import (
	"context"
	"math"
	"time"
)

// Longest is a duration that can be added to another one without an overflow.
const Longest = time.Duration(math.MaxInt64 / 4)

// For waits for d, or until ctx ends.
func For(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
