package natslog

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
	"github.com/yieldsse/yieldsse/internal/pause"
)

const (
	// patience is how long the server may take to answer, if the context has no deadline.
	patience = 3 * time.Second

	// grace is how much longer a call waits for a connection that may be locked.
	grace = 100 * time.Millisecond

	// concurrency bounds how many calls of a kind wait for the connection at once.
	concurrency = 256

	// metadataCut is set in the stream's metadata once it has lost its end: a name
	// for that, and the last sequence number that was left.
	metadataCut = "yieldsse-cut"

	// A server that has just become the stream's leader may not know the last
	// messages yet. It is asked this many times, with this pause in between.
	doubts     = 5
	doubtPause = 200 * time.Millisecond
)

// A Log is a JetStream stream. It implements [hub.Log].
type Log struct {
	js      jetstream.JetStream
	nc      *nats.Conn
	stream  string
	api     string // the prefix of JetStream's subjects
	config  jetstream.StreamConfig
	adds    lane
	reads   lane
	follows lane
	cutter  chan struct{} // has a value while the epoch is changed

	mu    sync.Mutex
	epoch string // the epoch that was last seen; empty at first
	link  uint64 // the connection's Reconnects at that time
	last  uint64 // the highest known sequence number in it
	tail  mark   // the newest message that a follower has seen, or has begun after
	added *added // what this process has added in the epoch; nil if that is nothing
}

// A lane is for calls of one kind. They wait only for each other: appends do not wait
// for reads. It has a value for each call that runs.
type lane chan struct{}

// A mark is a message, and when it was stored, because another message could get its number.
type mark struct {
	sequence uint64
	time     time.Time
}

// contradicts reports whether now, which has the number of m, is of another message. It is not known
// without the time of m.
func (m mark) contradicts(now mark) bool {
	return m.sequence == now.sequence && !m.time.IsZero() && !m.time.Equal(now.time)
}

var _ hub.Log = (*Log)(nil)

// New returns the log in the stream of that name, whose subjects are those that
// begin with the name and a dot. Nothing is sent before the first call.
//
// The caller configures the connection, may share it, and closes it once the hubs that
// follow the log are shut down. It should reconnect forever: nats.MaxReconnects(-1).
func New(js jetstream.JetStream, stream string, opts ...Option) *Log {
	api := jetstream.DefaultAPIPrefix
	switch o := js.Options(); {
	case o.Domain != "":
		api = "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		api = strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return &Log{
		js:      js,
		nc:      js.Conn(),
		stream:  stream,
		api:     api,
		config:  newConfig(stream, opts),
		adds:    make(lane, concurrency),
		reads:   make(lane, concurrency),
		follows: make(lane, concurrency),
		cutter:  make(chan struct{}, 1),
	}
}

// within calls f, which may take longer than its context lasts, because a connection
// is locked while it cannot write.
func within[T any](ctx context.Context, l *Log, way lane, f func(ctx context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case way <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("%d calls wait for the connection: %w", concurrency, context.Cause(ctx))
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-way }()
		value, err := f(ctx)
		if err != nil {
			err = l.explain(err)
		}
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select { // the answer may be on its way
	case r := <-done:
		return r.value, r.err
	case <-time.After(grace):
		return none, fmt.Errorf("the connection cannot write: %w", context.Cause(ctx))
	}
}

// explain adds the likely reason to an error of the client.
func (l *Log) explain(err error) error {
	lastly := l.nc.LastError()
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("no JetStream at %s, or not for this account: enable it with nats-server -js, "+
			"or in the account: %w", l.server(), err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("the server accepts at most %d bytes, headers included: see its max_payload: %w",
			l.nc.MaxPayload(), err)
	case !l.nc.IsConnected():
		if lastly == nil {
			return fmt.Errorf("not connected to %s: %w", l.server(), err)
		}
		return fmt.Errorf("not connected to %s (%w): %w", l.server(), lastly, err)
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(lastly, nats.ErrPermissionViolation) &&
		strings.Contains(lastly.Error(), l.stream):
		return fmt.Errorf("%s has not answered (%w): %w", l.server(), lastly, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s has not answered: %w", l.server(), err)
	}
	return err
}

// server returns the connection's address, without passwords.
func (l *Log) server() string {
	if u := l.nc.ConnectedUrlRedacted(); u != "" {
		return u
	}
	servers := l.nc.Servers()
	for i, s := range servers {
		if u, err := url.Parse(s); err == nil {
			servers[i] = u.Redacted()
		}
	}
	return strings.Join(servers, ", ")
}

// fail adds to an error what has failed, and where.
func (l *Log) fail(what string, err error) error {
	return fmt.Errorf("natslog: %s, stream %q: %w", what, l.stream, err)
}

// Append implements [hub.Log].
func (l *Log) Append(ctx context.Context, e hub.Entry) (string, error) {
	m := l.encode(e)
	over := l.seenOver() // before the epoch, so that it is never too new
	epoch, known := l.seen()
	if epoch == "" {
		s, err := l.look(ctx, l.adds)
		if err != nil {
			return "", l.fail("append", err)
		}
		epoch, known, over = s.epoch, s.last, s.link
	}
	var from, to uint64 // the connection's Reconnects before and after
	publish := func(ctx context.Context) (*jetstream.PubAck, error) {
		from = l.nc.Stats().Reconnects
		ack, err := l.js.PublishMsg(ctx, m)
		to = l.nc.Stats().Reconnects
		return ack, err
	}
	ack, err := within(ctx, l, l.adds, publish)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		var s state
		if s, err = l.look(ctx, l.adds); err == nil {
			epoch, known, over = s.epoch, s.last, s.link
			ack, err = within(ctx, l, l.adds, publish)
		}
	}
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return "", l.fail("append", fmt.Errorf("the stream does not accept %q: see its subjects: %w", m.Subject, err))
	case err != nil:
		return "", l.fail("append", err)
	case ack.Stream != l.stream:
		return "", l.fail("append", fmt.Errorf("the subject %q belongs to the stream %q", m.Subject, ack.Stream))
	case ack.Sequence <= known && !ack.Duplicate: // another message had this number
		s, err := l.cut(ctx, l.adds, epoch)
		if err != nil {
			return "", l.fail("append", err)
		}
		epoch = s.epoch
	case to != over: // the server may have come back with another stream
		s, err := l.look(ctx, l.adds)
		if err == nil && s.epoch != epoch && from != to {
			err = errors.New("the connection was lost, and it is not known which stream has the event")
		}
		if err != nil {
			return "", l.fail("append", err)
		}
		epoch = s.epoch
	}
	l.know(epoch, ack.Sequence)
	if !ack.Duplicate { // otherwise it may be another one's
		l.remember(epoch, ack.Sequence, m)
	}
	return newID(epoch, ack.Sequence), nil
}

// seen returns the epoch and the highest known sequence number in it.
func (l *Log) seen() (epoch string, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, l.last
}

// seenOver returns the connection's Reconnects when the epoch was last seen.
func (l *Log) seenOver() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.link
}

// know records that a sequence number was given.
func (l *Log) know(epoch string, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch {
		l.last = max(l.last, sequence)
	}
}

// remember records what this process has added.
func (l *Log) remember(epoch string, sequence uint64, m *nats.Msg) {
	sum := sumOf(m) // not under the lock, for which Compare must not wait
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return
	}
	if l.added == nil {
		l.added = new(added)
	}
	l.added.add(sequence, sum)
}

// A state is what the stream's leader says of it, at one time.
type state struct {
	epoch       string
	first, last uint64    // if the stream is empty, first is last + 1
	time        time.Time // when the last message was stored, unless it is gone
	cut         uint64    // the last number of earlier epochs
	link        uint64    // the connection's Reconnects at that time
}

// look returns the state of the stream, and creates the stream if it does not exist.
func (l *Log) look(ctx context.Context, way lane) (state, error) {
	for range doubts {
		epoch, known := l.seen()
		s, err := l.ask(ctx, way)
		if err != nil || s.epoch != epoch || s.last >= known {
			return s, err
		}
		pause.For(ctx, doubtPause)
	}
	epoch, _ := l.seen()
	return l.cut(ctx, way, epoch)
}

func (l *Log) ask(ctx context.Context, way lane) (state, error) {
	var link uint64
	s, err := within(ctx, l, way, func(ctx context.Context) (jetstream.Stream, error) {
		link = l.nc.Stats().Reconnects
		s, err := l.js.Stream(ctx, l.stream)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s, err
		}
		s, err = l.js.CreateStream(ctx, l.config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
			return l.js.Stream(ctx, l.stream)
		}
		return s, err
	})
	if err != nil {
		return state{}, err
	}
	return l.adopt(s.CachedInfo(), link), nil
}

// adopt stores what the server says. link is the connection's Reconnects before that.
func (l *Log) adopt(info *jetstream.StreamInfo, link uint64) state {
	s := state{
		epoch: newEpoch(info), link: link,
		first: info.State.FirstSeq, last: info.State.LastSeq, time: info.State.LastTime,
	}
	if s.first == 0 {
		s.first = 1
	}
	if info.State.Msgs == 0 {
		s.first = s.last + 1
	}
	if _, digits, ok := strings.Cut(info.Config.Metadata[metadataCut], "-"); ok {
		_, _ = fmt.Sscan(digits, &s.cut)
		s.cut = min(s.cut, s.last)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch != s.epoch {
		l.epoch, l.last, l.tail, l.added = s.epoch, 0, mark{}, nil
	}
	l.link = link
	l.last = max(l.last, s.last)
	return s
}

// cut changes the epoch of a stream that has lost its end, because the server uses the lost
// numbers again. It changes nothing if the stream's epoch is not the given one any more.
func (l *Log) cut(ctx context.Context, way lane, epoch string) (state, error) {
	select {
	case l.cutter <- struct{}{}:
		defer func() { <-l.cutter }()
	case <-ctx.Done():
		return state{}, context.Cause(ctx)
	}
	s, err := l.ask(ctx, way)
	if err != nil || s.epoch != epoch {
		return s, err
	}
	var link uint64
	info, err := within(ctx, l, way, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		link = l.nc.Stats().Reconnects
		old, err := l.js.Stream(ctx, l.stream)
		if err != nil {
			return nil, err
		}
		c := old.CachedInfo().Config
		if c.Metadata == nil {
			c.Metadata = make(map[string]string)
		}
		c.Metadata[metadataCut] = fmt.Sprintf("%s-%d", rand.Text(), old.CachedInfo().State.LastSeq)
		changed, err := l.js.UpdateStream(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("the stream has lost its end, and its epoch cannot be changed: %w", err)
		}
		return changed.CachedInfo(), nil
	})
	if err != nil {
		return state{}, err
	}
	return l.adopt(info, link), nil
}

// Last implements [hub.Log].
func (l *Log) Last(ctx context.Context) (string, error) {
	s, err := l.look(ctx, l.reads)
	if err != nil {
		return "", l.fail("read", err)
	}
	return newID(s.epoch, s.last), nil
}

// Compare implements [hub.Log].
func (l *Log) Compare(a, b string) (int, error) {
	epoch, _ := l.seen()
	return eventid.Compare(a, b, epoch, parseID, cmp.Compare[uint64])
}
