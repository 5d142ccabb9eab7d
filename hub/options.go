package hub

import (
	"context"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// An Option sets something about a hub. A nil Option does nothing.
type Option func(*config)

type config struct {
	bounds    bounds
	maxReplay time.Duration
	gapEvent  func(Gap) core.Event
	gapPolicy GapPolicy
	join      func(ctx context.Context, topic string)
	leave     func(ctx context.Context, topic string)
	log       Log
}

func newConfig(opts []Option) config {
	c := config{
		bounds:   bounds{maxEvents: 10_000, maxBytes: 64 << 20},
		gapEvent: gapEvent,
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithMaxEvents bounds the log by the number of events, over all topics: one whose
// history must not be pushed out by that of others needs a hub of its own. The
// default is 10,000. Zero or less sets no bound. With millions of events the hub's
// lists are large: when one grows and is moved, others wait for some milliseconds.
func WithMaxEvents(n int) Option {
	return func(c *config) { c.bounds.maxEvents = n }
}

// WithMaxBytes bounds the log by the bytes of its frames, over all topics. An
// event that is larger is refused. The default is 64 MiB. Zero or less sets no
// bound. Hubs that share a [Log] should have the same: a larger event from
// elsewhere is read from the log, by each subscriber for itself.
func WithMaxBytes(n int) Option {
	return func(c *config) { c.bounds.maxBytes = n }
}

// WithMaxAge drops events that are older than d. Zero or less, the default, sets
// no bound.
func WithMaxAge(d time.Duration) Option {
	return func(c *config) { c.bounds.maxAge = d }
}

// WithMaxReplay bounds how far back a client may resume: an event that is older than
// d when it subscribes is not given to it, whatever ID it brings, also where the view
// says [Oldest]. A client that misses events so is told with a [Gap]; one that begins
// with the oldest event is not. Zero or less, the default, sets no bound but that of
// what is held.
//
// An ID comes from the client, which may send any. So this is what keeps a client
// from reading all that a topic holds, where its view lets it subscribe.
//
// With [WithLog] an event's age is counted by the log's clock and by this machine's: d
// should be much longer than they differ. What is too old and not in this process's
// memory is read from the log all the same, and dropped here.
func WithMaxReplay(d time.Duration) Option {
	return func(c *config) { c.maxReplay = max(d, 0) }
}

// WithGapEvent makes the event that tells a client of a [Gap]. Its ID is set by
// the hub, so that a client that reconnects is not told again. The default is of
// type "gap", and its data is the Gap as JSON. A nil f is the default.
//
// f is called outside all locks, in the stream's goroutine, or in one of its own if
// the stream was handed over; so by several at once. While it runs, its client waits
// and nobody else. If it panics, or the event cannot be encoded, the stream fails.
func WithGapEvent(f func(Gap) core.Event) Option {
	return func(c *config) {
		if c.gapEvent = f; f == nil {
			c.gapEvent = gapEvent
		}
	}
}

// WithGapPolicy says what happens to a subscriber that is so slow that the log
// drops what it has not read. The default is [GapJump].
func WithGapPolicy(p GapPolicy) Option {
	return func(c *config) { c.gapPolicy = p }
}

// WithJoin calls f when a subscription begins to run, once for each topic and
// pattern that it named. f runs in the stream's goroutine, outside all locks, before
// the first event; what it publishes reaches that subscription too. The context has the
// values of the subscription's, and does not end. With [WithLog] too, f hears of
// this process's subscriptions only.
func WithJoin(f func(ctx context.Context, topic string)) Option {
	return func(c *config) { c.join = f }
}

// WithLeave calls f when such a subscription has ended, for the same topics and
// patterns and with such a context. f runs outside all locks: in the stream's
// goroutine, or if the stream was handed over in one that ends such streams one after
// the other. There one that takes its time delays the next by up to 100 ms.
func WithLeave(f func(ctx context.Context, topic string)) Option {
	return func(c *config) { c.leave = f }
}

// WithLog keeps the events in l, which hubs in other processes share: what one
// publishes reaches the subscribers of all, and a client may reconnect to any. The
// hub follows l in a goroutine, which [Hub.Shutdown] ends. Its own memory, within
// its bounds, is for the subscribers that keep up; what is older is read from l.
//
// Events are shared, and nothing else is: [Hub.Len], [Hub.Topics], [Hub.Kick],
// [Hub.Shutdown], [WithJoin] and [WithLeave] are about this process alone.
func WithLog(l Log) Option {
	return func(c *config) { c.log = l }
}

// A PublishOption sets something about one event.
type PublishOption func(*publication)

type publication struct {
	key         string
	keyed       bool
	idempotency string
	time        int64 // by a Log's clock, in ns since the hub began
}

// WithKey lets the event stand for earlier ones of the same topic and key: who
// has not read those yet is sent this one only. What is skipped so is no gap, and
// takes no room in the log. It is for values of which only the last one counts,
// such as prices.
func WithKey(key string) PublishOption {
	return func(p *publication) { p.key, p.keyed = key, true }
}

// WithIdempotencyKey makes it safe to publish an event again when it is not known
// whether the first attempt has succeeded: in a topic it is not added twice with
// the same key, and both have the same ID. The hub remembers a key for as long as
// it holds the event; a [Log] has a time of its own for that.
func WithIdempotencyKey(key string) PublishOption {
	return func(p *publication) { p.idempotency = key }
}
