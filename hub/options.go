package hub

import (
	"context"
	"log/slog"
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
	logger    *slog.Logger
	epoch     string
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

// WithMaxEvents bounds the log by the number of events, over all topics: if other topics
// must not push out a topic's history, give it a hub of its own. The default is 10,000.
// Zero or less sets no bound. With millions of events the hub's lists are large: when one
// grows and is moved, others wait for some milliseconds.
func WithMaxEvents(n int) Option {
	return func(c *config) { c.bounds.maxEvents = n }
}

// WithMaxBytes bounds the log by the bytes of its frames, over all topics. A
// larger event is refused. The default is 64 MiB. Zero or less sets no bound. Hubs
// that share a [Log] should have the same bound: a larger event from another process is
// read from the log, by each subscriber separately.
func WithMaxBytes(n int) Option {
	return func(c *config) { c.bounds.maxBytes = n }
}

// WithMaxAge drops events that are older than d. Zero or less, the default, sets
// no bound.
func WithMaxAge(d time.Duration) Option {
	return func(c *config) { c.bounds.maxAge = d }
}

// WithMaxReplay bounds how far back a client may resume: it does not get events that are
// more than d old when it subscribes, whatever ID it sends, even if the view says
// [Oldest]. A client that misses events because of this is told with a [Gap]; one that
// begins with the oldest event is not. Zero or less, the default, sets no bound: a client
// may get everything that is held.
//
// A client chooses the ID that it sends. So this is what keeps a client from reading
// everything that a topic holds, if its view lets it subscribe.
//
// With [WithLog] an event's age is the difference between the log's clock and this
// machine's: d should be much longer than the two clocks differ. What is too old and not in
// this process's memory is still read from the log, and dropped here.
func WithMaxReplay(d time.Duration) Option {
	return func(c *config) { c.maxReplay = max(d, 0) }
}

// WithGapEvent sets the function that makes the event which tells a client of a [Gap].
// The hub sets its ID, so that a client that reconnects is not told again. The default
// event is of type "gap", and its data is the Gap as JSON. A nil f is the default.
//
// f is called outside all locks, in the stream's goroutine, or in another goroutine if
// the stream was handed over, and may be called by several at once. While it runs, only its
// client waits. If it panics, or the event cannot be encoded, the stream fails.
func WithGapEvent(f func(Gap) core.Event) Option {
	return func(c *config) {
		if c.gapEvent = f; f == nil {
			c.gapEvent = gapEvent
		}
	}
}

// WithGapPolicy sets what happens to a subscriber that is so slow that the log
// drops events before it has read them. The default is [GapJump].
func WithGapPolicy(p GapPolicy) Option {
	return func(c *config) { c.gapPolicy = p }
}

// WithJoin calls f when a subscription begins to run, once for each topic and
// pattern that it named. f runs in the stream's goroutine, outside all locks, before
// the first event; events that it publishes reach that subscription too. The context has
// the values of the subscription's context, and does not end. Also with [WithLog], f is
// called only for this process's subscriptions.
func WithJoin(f func(ctx context.Context, topic string)) Option {
	return func(c *config) { c.join = f }
}

// WithLeave calls f when such a subscription has ended, for the same topics and patterns
// as [WithJoin] and with such a context. f runs outside all locks: in the stream's
// goroutine, or, if the stream was handed over, in a goroutine that ends such streams one
// after the other. There a slow f delays the next stream by up to 100 ms.
func WithLeave(f func(ctx context.Context, topic string)) Option {
	return func(c *config) { c.leave = f }
}

// WithLog keeps the events in l, which hubs in other processes share: an event that one
// publishes reaches the subscribers of all, and a client may reconnect to any. The
// hub follows l in a goroutine, which [Hub.Shutdown] ends. Its own memory, within
// its bounds, serves subscribers that keep up; older events are read from l.
//
// Only events are shared: [Hub.Len], [Hub.Topics], [Hub.Kick], [Hub.Shutdown],
// [WithJoin] and [WithLeave] are about this process alone.
func WithLog(l Log) Option {
	return func(c *config) { c.log = l }
}

// WithLogger writes a line to l when the hub's [Log] is in trouble, as [Hub.Healthy] tells it,
// and when it is well again; and when events are missing from it, or it has entries of other
// programs that are skipped. It looks once a second: what is over by then has no line. The default, like a
// nil l, writes nothing, and so does a hub without a Log.
//
// The trouble, and what is missing, are warnings. The end of the trouble is at the level info.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithEpoch sets the epoch, with which the IDs of all events begin: 8 characters of a-z and
// 2-7. Two hubs with the same epoch give the same ID to the event that is published first, and so on.
// So a client can go from one to the other if both have the same events in the same order. By
// default each hub has an epoch of its own. New panics if the epoch has another form. It has no
// effect with [WithLog].
func WithEpoch(epoch string) Option {
	return func(c *config) { c.epoch = epoch }
}

// A SubscribeOption sets something about one subscription. A nil SubscribeOption does nothing.
type SubscribeOption func(*selection)

// A selection is what a subscription gets.
type selection struct {
	choice

	from Position
}

// A choice is the part of a selection that a subscription keeps.
type choice struct {
	state     core.Stream
	filter    func(topic string, a Attributes) bool
	gapErrors bool // instead of gap events
}

// From sets where clients without a last event ID begin: see [Hub.SubscribeFrom].
func From(p Position) SubscribeOption {
	return func(s *selection) { s.from = p }
}

// A PublishOption sets something about one event.
type PublishOption func(*publication)

type publication struct {
	key         string
	keyed       bool
	idempotency string
	topics      []string // besides the first
	details     *details // which WithAttributes begins and check completes
	time        int64    // by a Log's clock, in ns since the hub began
	draft       draft    // of a large event
}

// newPublication is only for a Publish that has options, because they put it on the heap.
func newPublication(opts []PublishOption) publication {
	var p publication
	for _, o := range opts {
		if o != nil {
			o(&p)
		}
	}
	return p
}

// WithKey lets the event replace earlier ones of the same topic and key: a subscriber that
// has not read those yet gets only this one. What it skips in this way is not a gap, and
// takes no room in the log. It is for values of which only the last one counts, such as
// prices. With [WithTopics] the event replaces only those of the same topics, in any order.
// A key has at most 255 bytes; with a longer one, Publish returns an error.
func WithKey(key string) PublishOption {
	return func(p *publication) { p.key, p.keyed = key, true }
}

// WithIdempotencyKey makes it safe to publish an event again when it is not known whether the
// first attempt has succeeded: a topic, or those of [WithTopics] together, in any order, gets
// only one event with the same key, and both attempts return the same ID. The hub remembers a
// key for as long as it holds the event; a [Log] decides for itself how long it remembers
// one, and may forget the key of an event that it has dropped. A key has at most 255 bytes;
// with a longer one, Publish returns an error.
func WithIdempotencyKey(key string) PublishOption {
	return func(p *publication) { p.idempotency = key }
}
