package hosttest

import "os"

// Rounds returns how many random programs, or other tries, a test makes: n in CI, where the
// environment variable CI is "true", and a tenth of n elsewhere, so that a developer's tests do
// not take long. It is at least 1 if n is.
func Rounds(n int) int {
	if os.Getenv("CI") == "true" {
		return n
	}
	return (n + 9) / 10 //nolint:mnd // see above
}
