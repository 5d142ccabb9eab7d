package run

import (
	"time"

	"github.com/yieldsse/yieldsse/internal/pause"
)

// An Option sets something about a [Runner]. A nil Option does nothing.
type Option func(*config)

type config struct {
	maxRuns     int
	maxEvents   int
	maxBytes    int64
	maxTotal    int64
	maxDuration time.Duration
	retention   time.Duration
	ended       []func(State)
	store       Store
	lease       time.Duration
}

func newConfig(opts []Option) config {
	c := config{
		maxRuns:     10_000,
		maxEvents:   100_000,
		maxBytes:    16 << 20,
		maxTotal:    1 << 30,
		maxDuration: time.Hour,
		retention:   5 * time.Minute,
		lease:       10 * time.Second,
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithMaxRuns bounds how many runs there may be, including those that are held after their
// end. The default is 10,000. Zero or less sets no bound.
func WithMaxRuns(n int) Option { return func(c *config) { c.maxRuns = n } }

// WithMaxEvents bounds the events of each run. The default is 100,000. Zero or less sets
// no bound.
func WithMaxEvents(n int) Option { return func(c *config) { c.maxEvents = n } }

// WithMaxBytes bounds the size of each run, see [State.Bytes]. The default is 16 MiB. Zero or
// less sets no bound.
func WithMaxBytes(n int64) Option { return func(c *config) { c.maxBytes = n } }

// WithMaxTotalBytes refuses new runs while all runs together have this size or more,
// including those that are held after their end. It never ends a run: what runs has only its own
// bounds, and may add to the total after it was reached. The default is 1 GiB. Zero or less
// sets no bound.
func WithMaxTotalBytes(n int64) Option { return func(c *config) { c.maxTotal = n } }

// WithMaxDuration bounds how long each run may take. The default is an hour. Zero or less
// sets no bound.
func WithMaxDuration(d time.Duration) Option { return func(c *config) { c.maxDuration = d } }

// WithRetention sets how long a run is held after its end, for clients that come back. The
// default is 5 minutes. With zero or less it is not held.
func WithRetention(d time.Duration) Option { return func(c *config) { c.retention = d } }

// WithEnded sets a function that is called once for each run when it has ended, for example
// to store how. Stop, Shutdown and the next Start with its key wait for it, Shutdown also
// after its context has ended. So it should not take long, and must not call them. Functions
// for several runs may be called at once. A panic in one is logged, and does nothing else.
func WithEnded(f func(State)) Option {
	return func(c *config) {
		if f != nil {
			c.ended = append(c.ended, f)
		}
	}
}

// WithStore shares the runs with other processes: there is one run for a key over all of them,
// and a client may attach to a run, resume it or stop it in any of them. The stores are in
// packages hub/redislog and hub/natslog. Close the store after [Runner.Shutdown].
//
// A run is still in the memory of its process, and its clients there do not wait for the store.
// Its events go to the store in batches, without delay. In other processes its clients read
// a copy of it, from the first client that comes until some time after the last one has left. The bounds of
// a Runner are those of its process, and such copies count: an Attach that needs one more
// is refused with 503 and a [*LimitError]. After its end a run is held by the store.
//
// If the store does not answer, a Start is refused with 503, and so is an Attach to a run that this
// process does not have.
func WithStore(s Store) Option { return func(c *config) { c.store = s } }

// WithLease sets how long a run goes on without a sign of its process in the [Store]. After
// that it is lost: its streams fail with [ErrLost] in all processes, at most a second later. The
// process calls the store three times in that time, and every 5 s, at least. A run also fails if its process cannot reach
// the store for that long. The default is 10 s. It should be at least 3 s over a network, and
// much longer than a pause of the process. Zero or less stands for the default. It has no effect without
// [WithStore].
func WithLease(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.lease = min(d, pause.Longest)
		}
	}
}

// A StartOption sets something about one run. A nil StartOption does nothing.
type StartOption func(*start)

type start struct {
	exclusive bool
	starter   string
}

// WithExclusive refuses a Start with [ErrRunning] and 409 while a run with its key runs,
// instead of joining that.
func WithExclusive() StartOption { return func(s *start) { s.exclusive = true } }

// WithStarter says who starts the run, for [State].
func WithStarter(name string) StartOption { return func(s *start) { s.starter = name } }

// An AttachOption sets something about one call of Attach. A nil AttachOption does nothing.
type AttachOption func(*attach)

type attach struct{ running bool }

// WithOnlyRunning refuses a request without a last event ID with [ErrFinished] and 204 if the run has
// ended cleanly. It is for a page that has the stored answer then, and would show it twice.
func WithOnlyRunning() AttachOption { return func(a *attach) { a.running = true } }
