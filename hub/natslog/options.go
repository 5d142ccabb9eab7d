package natslog

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// An Option sets something about a log. The options count when the stream is made;
// one that is there already is left as it is. A nil Option does nothing.
type Option func(*jetstream.StreamConfig)

// idempotencyWindow is the default of WithIdempotencyWindow.
const idempotencyWindow = 2 * time.Minute

func newConfig(stream string, opts []Option) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        stream,
		Description: "events of hubs",
		MaxMsgs:     100_000,
		Duplicates:  idempotencyWindow,
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	c.Name, c.Subjects, c.AllowDirect = stream, []string{stream + ".>"}, true
	if c.MaxAge > 0 && c.Duplicates > c.MaxAge {
		c.Duplicates = c.MaxAge // more is refused
	}
	return c
}

// WithMaxMsgs bounds the stream by the number of events. The default is 100,000.
// Zero or less sets no bound.
func WithMaxMsgs(n int64) Option {
	return func(c *jetstream.StreamConfig) { c.MaxMsgs = max(n, 0) }
}

// WithMaxAge drops events that are older than d. Zero or less, the default, sets
// no bound.
func WithMaxAge(d time.Duration) Option {
	return func(c *jetstream.StreamConfig) { c.MaxAge = max(d, 0) }
}

// WithReplicas sets how many servers of a cluster keep the stream, 1 to 5. The
// default is 1.
func WithReplicas(n int) Option {
	return func(c *jetstream.StreamConfig) { c.Replicas = n }
}

// WithIdempotencyWindow sets how long the key of an event is remembered that was
// published with one. The default is 2 minutes.
func WithIdempotencyWindow(d time.Duration) Option {
	return func(c *jetstream.StreamConfig) { c.Duplicates = d }
}

// WithStream lets f set all else about the stream: its storage, its bound by bytes,
// its placement. The name, the subjects and AllowDirect are the log's own.
func WithStream(f func(*jetstream.StreamConfig)) Option {
	return f
}
