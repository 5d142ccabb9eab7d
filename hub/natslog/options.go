package natslog

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// An Option sets something about a log. The options count when the stream is made;
// one that is there already is left as it is. A nil Option does nothing.
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
		s.Duplicates = s.MaxAge // more is refused
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

// WithIdempotencyWindow sets how long the key of an event is remembered that was
// published with one. The default is 2 minutes.
func WithIdempotencyWindow(d time.Duration) Option {
	return func(c *config) { c.stream.Duplicates = d }
}

// WithReplicas sets how many servers of a cluster keep the stream, 1 to 5. The
// default is 1.
func WithReplicas(n int) Option {
	return func(c *config) { c.stream.Replicas = n }
}

// WithStream lets f set all else about the stream: its storage, its bound by bytes,
// its placement. The name, the subjects and AllowDirect are the log's own.
func WithStream(f func(*jetstream.StreamConfig)) Option {
	return func(c *config) {
		if f != nil {
			f(&c.stream)
		}
	}
}
