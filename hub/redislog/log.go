package redislog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// A Log is a Redis stream. It implements [hub.Log].
type Log struct {
	config

	options redis.UniversalOptions
	kind    string // what it is called in errors
	stream  string
	epochs  string        // the key of the epoch
	dials   atomic.Uint64 // how many connections were made
	batch   batch
	nodes   sync.Map // the known addresses of a cluster's servers; false if the last connection there could not be made

	mu        sync.Mutex
	link      *link
	old       map[*link]bool // links with calls that still wait
	fronts    []front        // of the epochs that were seen, the present one at the end
	tail      hub.Entry      // the entry that a follower has yielded last
	owed      []place        // entries that this process has added, and that no follower has seen yet
	doubt     place          // one of them that a follower did not find
	memory    memory         // of the follower that has ended last
	age       uint           // grows when a follower forgets what it saw before this age
	appending [2]int         // how many appends are under way that began in this age and in the one before, by age&1
	closed    bool
	calls     sync.WaitGroup // calls that wait for Redis
}

// A front is the highest known position in an epoch.
type front struct {
	epoch string
	last  position
}

// mostFronts is how many epochs are remembered. After a failover the new server may still be in
// an epoch from before those that began on the old one.
const mostFronts = 9

// A link is a client, and the calls that wait for Redis through it.
type link struct {
	client redis.UniversalClient
	calls  sync.WaitGroup
}

var _ hub.Log = (*Log)(nil)

// lifetime is how long a connection is used.
const lifetime = time.Minute

// New returns the log in the stream of that key, for one hub. It does not connect yet: the
// first call does. Of the options, MaxRetries is not used, because an event that is
// sent again could be added twice, and a context's deadline is always respected. The
// default of ConnMaxLifetime is a minute, because an older connection may go to a server
// that no longer has the log. A negative one keeps connections forever.
func New(options *redis.UniversalOptions, key string, opts ...Option) *Log {
	l := &Log{
		config:  newConfig(opts),
		options: *options,
		kind:    "stream",
		stream:  key,
		epochs:  sibling(key, "epoch"),
		old:     make(map[*link]bool),
	}
	o := &l.options
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
	o.Dialer = l.dialer(o)
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime = lifetime
	}
	l.batch.init(o.ReadTimeout)
	l.connect()
	return l
}

// connect makes a client. In a cluster it also knows the servers that were seen before:
// those of the options may be gone. Servers that cannot be reached while others can are
// forgotten, because the client would try them first. The cluster tells of those that come back.
func (l *Log) connect() {
	o := l.options
	if o.MasterName == "" {
		reached := false
		for _, ok := range l.nodes.Range {
			reached = reached || ok == true
		}
		for addr, ok := range l.nodes.Range {
			if addr, _ := addr.(string); reached && ok == false {
				l.nodes.Delete(addr)
			} else if !slices.Contains(o.Addrs, addr) {
				o.Addrs = append(slices.Clip(o.Addrs), addr)
			}
		}
	}
	l.link = &link{client: redis.NewUniversalClient(&o)}
	if c, ok := l.link.client.(*redis.ClusterClient); ok {
		c.OnNewNode(func(node *redis.Client) {
			node.AddHook(once{})
			l.nodes.Store(node.Options().Addr, true)
		})
	}
}

// renew has all later calls use new connections. Calls that are under way are not ended.
func (l *Log) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	k := l.link
	l.old[k] = true
	l.calls.Go(func() {
		k.calls.Wait()
		_ = k.client.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.old, k)
	})
	l.connect()
}

// sibling returns a key in the same slot as another key, unless that has a } and no hash
// tag.
func sibling(key, name string) string {
	if _, tag, ok := strings.Cut(key, "{"); ok && strings.IndexByte(tag, '}') > 0 {
		return key + ":" + name
	}
	return "{" + key + "}:" + name
}

// Close closes the connections, and waits for the calls that still use them. Shut down the
// hub that follows the log first.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	err := l.link.client.Close()
	for k := range l.old {
		_ = k.client.Close()
	}
	l.mu.Unlock()
	l.calls.Wait()
	return err
}

// An answer is what Redis has answered.
type answer[T any] struct {
	value T
	err   error
}

// A call sends a request to Redis.
type call[T any] func(ctx context.Context, client redis.UniversalClient) (T, error)

// start calls f in a goroutine, which may wait for Redis after ctx has ended. Close waits
// for it.
func start[T any](ctx context.Context, l *Log, f call[T]) <-chan answer[T] {
	answers := make(chan answer[T], 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		answers <- answer[T]{err: redis.ErrClosed}
		return answers
	}
	k := l.link
	k.calls.Add(1)
	l.calls.Go(func() {
		defer k.calls.Done()
		value, err := f(ctx, k.client)
		answers <- answer[T]{value, explain(ctx, k.client, err)}
	})
	return answers
}

// ask calls f, and waits for at most patience.
func ask[T any](ctx context.Context, l *Log, what string, f call[T]) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return wait(ctx, l, what, start(ctx, l, f))
}

// wait waits for an answer, or until ctx ends.
func wait[T any](ctx context.Context, l *Log, what string, answers <-chan answer[T]) (T, error) {
	var a answer[T]
	select {
	case a = <-answers:
	case <-ctx.Done():
		select { // the answer may have come at the same time
		case a = <-answers:
		default:
			a.err = fmt.Errorf("no answer from Redis: %w", context.Cause(ctx))
		}
	}
	if a.err == nil {
		return a.value, nil
	}
	if over(ctx) && !errors.Is(a.err, ctx.Err()) {
		a.err = fmt.Errorf("%w: %w", a.err, context.Cause(ctx))
	}
	return a.value, l.fail(what, a.err)
}

// over reports whether ctx has ended. A connection may notice its deadline first.
func over(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// explain asks Redis for the reason if it has closed the connection without one: it
// does so when a client that is not logged in sends a lot.
func explain(ctx context.Context, client redis.UniversalClient, err error) error {
	err = reveal(err)
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	if reason, ok := errors.AsType[redis.Error](client.Ping(ctx).Err()); ok {
		return fmt.Errorf("%w: %w", reason, err)
	}
	return err
}

// reasons explain errors that contain these words.
var reasons = []struct{ words, why string }{
	{"WRONGTYPE", "that key holds something else"},
	{"READONLY", "the server is a replica, and only its primary can be written to"},
	{"OOM ", "the server's memory is full"},
	{"MISCONF", "the server cannot save its data, so it refuses more"},
	{"NOAUTH", "the password is missing or wrong"},
	{"WRONGPASS", "the password is missing or wrong"},
	{"unauthenticated", "the password is missing or wrong"},
	{"NOPERM", mayNot},
	{"executing the script can't", mayNot},
	{"ACL failure in script", mayNot},
	{"CROSSSLOT", "a key with a } needs a hash tag in a cluster, such as {events}"},
	{"nknown command", tooOld},
	{"nknown Redis command", tooOld},
	{"Invalid stream ID", tooOld}, // for MINID
}

const (
	tooOld = "the server is too old: use Redis 6.2 or later"
	mayNot = "the user lacks a permission, see the list in the package's documentation"
)

// fail adds to an error what has failed, where, and perhaps why.
func (l *Log) fail(what string, err error) error {
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.words) {
			return fmt.Errorf("redislog: %s, %s %q: %s: %w", what, l.kind, l.stream, r.why, err)
		}
	}
	return fmt.Errorf("redislog: %s, %s %q: %w", what, l.kind, l.stream, err)
}

// Compare implements [hub.Log].
func (l *Log) Compare(a, b string) (int, error) {
	return eventid.Compare(a, b, l.epoch(), parseID, position.compare)
}

// epoch returns the present epoch, or nothing if it is not known.
func (l *Log) epoch() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.fronts) == 0 {
		return ""
	}
	return l.fronts[len(l.fronts)-1].epoch
}

// known returns the IDs of the highest known positions, one of each epoch.
func (l *Log) known() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids()
}

// ids is known with the log's mu held.
func (l *Log) ids() string {
	ids := make([]string, len(l.fronts))
	for i, f := range l.fronts {
		ids[i] = newID(f.epoch, f.last)
	}
	return strings.Join(ids, " ")
}

// know records that a position was reached in an epoch, which is the present one.
func (l *Log) know(epoch string, p position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reached(epoch, p)
}

// reached is know with the log's mu held.
func (l *Log) reached(epoch string, p position) {
	f := front{epoch: epoch}
	if i := l.front(epoch); i >= 0 {
		f = l.fronts[i]
		l.fronts = slices.Delete(l.fronts, i, i+1)
	}
	f.last = later(f.last, p)
	if l.fronts = append(l.fronts, f); len(l.fronts) > mostFronts {
		l.fronts = slices.Delete(l.fronts, 0, 1)
	}
}

// front returns the index of an epoch's front, or -1. The log's mu is held.
func (l *Log) front(epoch string) int {
	return slices.IndexFunc(l.fronts, func(f front) bool { return f.epoch == epoch })
}
