package presence

import (
	"log/slog"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// An Option sets something about a Tracker. A nil Option does nothing.
type Option func(*config)

type config struct {
	log    hub.Log
	lease  time.Duration
	groups []*core.Group
	logger *slog.Logger
}

// shortest is the shortest lease. A forgotten unit, as in WithLease(15), leaves no time for a call
// of the log.
const shortest = 100 * time.Millisecond

func newConfig(opts []Option) config {
	c := config{lease: 15 * time.Second}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithLog shares the members with the Trackers of other processes, through a log that all of
// them use, and that nobody else uses: give it a Redis or NATS stream of its own. What Trackers
// tell each other would take room from a hub's events, and would reach its subscribers of the
// pattern ">". Close the log after [Tracker.Shutdown]. A nil l is the default: the Tracker is
// alone.
func WithLog(l hub.Log) Option {
	return func(c *config) { c.log = l }
}

// WithLease sets how long the members of a process stay without a sign of it. If the process
// dies, or cannot reach the log, they leave in all other processes then, at most a second
// later. A process that has trouble with the log counts from the end of that, so if the trouble
// comes back within the lease, again and again, they stay, and clients are told that what they
// have is stale.
//
// The process adds three events to the log in that time. The default is 15 s. It should be the
// same in all processes, at least 3 s over a network, and much longer than a pause of a process.
// Zero or less stands for the default, and less than 100 ms for 100 ms. It has no effect without
// [WithLog].
func WithLease(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.lease = min(max(d, shortest), pause.Longest)
		}
	}
}

// WithGroup has [Tracker.Kick] end the sessions of a key in g. It can be given several times. A
// nil Group does nothing.
func WithGroup(g *core.Group) Option {
	return func(c *config) {
		if g != nil {
			c.groups = append(c.groups, g)
		}
	}
}

// WithLogger writes a line to l when the members of other processes are not known for certain,
// as [Tracker.Healthy] tells it, and when they are known; when a process was silent for its
// lease; when events are missing from the log, because a kick may have been among them; and when
// an event of the log was skipped because it is not from a Tracker, or the log cannot be read. It
// also has the lines of [hub.WithLogger]. The end of a trouble is at the level info, and all else
// is a warning. The handler may call the Tracker, but while it blocks, this process tells others
// nothing, or hears nothing from them. The default, like a nil l, writes nothing.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}
