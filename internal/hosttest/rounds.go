package hosttest

import (
	"os"
	"testing"
)

// Rounds returns how many random programs, or other tries, a test makes: n in CI, where the
// environment variable CI is "true"; a third of n elsewhere, so that a developer's tests do
// not take long; and a tenth with -short. It is at least 1 if n is.
func Rounds(n int) int {
	switch {
	case testing.Short():
		return (n + 9) / 10 //nolint:mnd // see above
	case os.Getenv("CI") == "true":
		return n
	default:
		return (n + 2) / 3 //nolint:mnd // see above
	}
}
