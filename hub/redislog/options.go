package redislog

import "time"

// An Option sets something about a log. A nil Option does nothing.
type Option func(*config)

type config struct {
	maxEvents         int
	maxAge            time.Duration
	idempotencyWindow time.Duration
}

func newConfig(opts []Option) config {
	c := config{maxEvents: 100_000, idempotencyWindow: 2 * time.Minute}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithMaxEvents bounds the stream by the number of events. Redis drops whole nodes, so
// it may keep some hundred more. The default is 100,000. Zero or less sets no bound.
func WithMaxEvents(n int) Option {
	return func(c *config) { c.maxEvents = max(n, 0) }
}

// WithMaxAge drops events that are older than d, whenever one is added. Redis drops
// whole nodes, so it may keep some hundred older ones. Zero or less, the default, sets
// no bound.
func WithMaxAge(d time.Duration) Option {
	return func(c *config) { c.maxAge = max(d, 0) }
}

// WithIdempotencyWindow sets how long an event's idempotency key is remembered. The
// default is 2 minutes.
func WithIdempotencyWindow(d time.Duration) Option {
	return func(c *config) { c.idempotencyWindow = d }
}
