package redislog

import "time"

// An Option sets something about a log. A nil Option does nothing.
type Option func(*config)

type config struct {
	maxLen int64
	maxAge time.Duration
	window time.Duration
}

func newConfig(opts []Option) config {
	c := config{maxLen: 100_000, window: 2 * time.Minute}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithMaxLen trims the stream to about n events whenever one is added; Redis drops
// whole nodes, so it may be some hundred more. The default is 100,000. Zero or
// less keeps all of them. It is not used with [WithMaxAge].
func WithMaxLen(n int64) Option {
	return func(c *config) { c.maxLen = n }
}

// WithMaxAge trims events that are older than about d, and does not count them.
// Zero or less, the default, leaves it to [WithMaxLen].
func WithMaxAge(d time.Duration) Option {
	return func(c *config) { c.maxAge = d }
}

// WithIdempotencyWindow sets how long the key of an event is remembered that was
// published with one. The default is 2 minutes.
func WithIdempotencyWindow(d time.Duration) Option {
	return func(c *config) { c.window = d }
}
