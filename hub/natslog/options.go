package natslog

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// An Option sets something about a log. Options are used when the stream is created; a
// stream that exists is left as it is. A nil Option does nothing.
type Option func(*config)

type config struct {
	stream jetstream.StreamConfig
}

func newConfig(stream string, opts []Option) jetstream.StreamConfig {
	c := config{jetstream.StreamConfig{
		Name:        stream,
		Description: "events of hubs",
		MaxMsgs:     100_000,
		Duplicates:  2 * time.Minute,
	}}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	s := &c.stream
	s.Name, s.Subjects, s.AllowDirect = stream, []string{stream + ".>"}, true
	if s.MaxAge > 0 && s.Duplicates > s.MaxAge {
		s.Duplicates = s.MaxAge // the server refuses more
	}
	return *s
}

// WithMaxEvents bounds the stream by the number of events. The default is 100,000.
// Zero or less sets no bound.
func WithMaxEvents(n int) Option {
	return func(c *config) { c.stream.MaxMsgs = int64(max(n, 0)) }
}

// WithMaxAge drops events that are older than d. Zero or less, the default, sets
// no bound.
func WithMaxAge(d time.Duration) Option {
	return func(c *config) { c.stream.MaxAge = max(d, 0) }
}

// WithIdempotencyWindow sets how long an event's idempotency key is remembered. The
// default is 2 minutes. When a server starts, it knows only the keys of the events that
// are still in the stream.
func WithIdempotencyWindow(d time.Duration) Option {
	return func(c *config) { c.stream.Duplicates = d }
}

// WithReplicas sets how many servers of a cluster keep the stream, 1 to 5. The
// default is 1.
func WithReplicas(n int) Option {
	return func(c *config) { c.stream.Replicas = n }
}

// WithStream lets f set everything else about the stream, such as its storage, its bound by
// bytes and its placement. The log sets the name, the subjects and AllowDirect itself.
func WithStream(f func(*jetstream.StreamConfig)) Option {
	return func(c *config) {
		if f != nil {
			f(&c.stream)
		}
	}
}
