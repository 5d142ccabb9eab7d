package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/run"
)

// Runs keeps runs in a JetStream stream of NATS, see [run.WithStore]. All that happens to the runs of a
// key is one message each, of a subject of its own: "runs.chat-7" for the key "chat-7" in the stream
// "runs". A message is only stored if nothing has happened to the key since its sender has read the
// last one.
type Runs struct {
	log   *Log
	hints *hints

	mu     sync.Mutex        // guards what follows
	owned  map[string]change // the last one of each run of this process, by its ID
	clock  time.Duration     // how much the server's clock is ahead
	set    time.Time         // when that was found out; zero if it is not known
	purges map[*time.Timer]bool
	closed bool
}

var _ run.Store = (*Runs)(nil)

// NewRuns returns the runs in the stream of that name. Nothing is sent before the first call, which
// creates the stream if it does not exist. Hints are messages of subjects that begin with the name and "-hint.".
//
// The entries of a run are deleted when its retention time is over, by its process. If that has died,
// the stream's MaxAge does so, which is a day if [WithMaxAge] does not say otherwise. It must be longer than
// a run takes together with its retention time. [WithMaxEvents] and [WithIdempotencyWindow] have no effect.
//
// The caller configures the connection, may share it, and closes it after [Runs.Close].
func NewRuns(js jetstream.JetStream, stream string, opts ...Option) *Runs {
	const day = 24 * time.Hour
	opts = append([]Option{WithMaxAge(day)}, opts...)
	l := New(js, stream, append(opts, WithMaxEvents(0), WithIdempotencyWindow(time.Minute))...)
	l.config.Description = "runs"
	return &Runs{
		log: l, hints: newHints(js.Conn()), owned: make(map[string]change), purges: make(map[*time.Timer]bool),
	}
}

// Close ends what the store has started. Shut down the runners that use it first.
func (r *Runs) Close() error {
	r.mu.Lock()
	r.closed = true
	for t := range r.purges {
		t.Stop()
	}
	r.mu.Unlock()
	r.hints.close()
	return nil
}

// A change is what has happened to a run, and what is known of the run then. The last change of a
// subject is the state of the key.
type change struct {
	ID        string           `json:"id"`
	Starter   string           `json:"starter,omitempty"`
	Lease     time.Duration    `json:"lease"`
	Retention time.Duration    `json:"retention"`
	Started   time.Time        `json:"started,omitzero"` // zero in the first one
	Begin     uint64           `json:"begin,omitempty"`  // the first one's sequence number; 0 in that one
	Renewed   time.Time        `json:"renewed,omitzero"` // when the lease was; zero if this does
	Events    int              `json:"events"`
	Bytes     int64            `json:"bytes,omitempty"`
	Entries   []string         `json:"entries,omitempty"` // the last ones of Events
	Stop      *run.StopRequest `json:"stop,omitempty"`
	End       *run.End         `json:"end,omitempty"`

	mark // of its message
}

// record returns what a change says.
func (c *change) record(key string, now time.Time) run.Record {
	r := run.Record{
		Claim: run.Claim{Key: key, ID: c.ID, Starter: c.Starter, Lease: c.Lease, Retention: c.Retention},
		End:   run.End{Events: c.Events, Bytes: c.Bytes}, Started: c.Started,
	}
	if c.End != nil {
		r.End, r.Ended = *c.End, c.time
	} else {
		r.Left = max(c.until().Sub(now), 0)
	}
	return r
}

// until returns when the lease ends.
func (c *change) until() time.Time {
	if c.Renewed.IsZero() {
		return c.time.Add(c.Lease)
	}
	return c.Renewed.Add(c.Lease)
}

// subject returns the subject of a key.
func (r *Runs) subject(key string) string { return r.log.stream + "." + token(key) }

func token(key string) string { return strings.ReplaceAll(url.QueryEscape(key), ".", "%2E") }

func (r *Runs) fail(what, key string, err error) error {
	if errors.Is(err, run.ErrNotHeld) {
		return run.ErrNotHeld
	}
	return r.log.fail(what+" the run "+strconv.Quote(key), err)
}

// direct asks for messages. If there is no stream, there are none.
func (r *Runs) direct(ctx context.Context, n int, request any) ([]change, bool, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, false, err
	}
	messages, err := r.log.direct(ctx, text, n)
	if errors.Is(err, errNoAccess) || errors.Is(err, nats.ErrNoResponders) {
		if _, err = r.log.ask(ctx, r.log.reads); err == nil { // now it exists
			messages, err = r.log.direct(ctx, text, n)
		}
	}
	if err != nil || len(messages) == 0 {
		return nil, false, err
	}
	changes := make([]change, len(messages))
	for i, m := range messages {
		c := &changes[i]
		if err := json.Unmarshal(m.Data, c); err != nil {
			return nil, false, fmt.Errorf("message %d: %w", m.sequence, err)
		}
		if c.mark = m.mark; c.Begin == 0 {
			c.Begin, c.Started = m.sequence, m.time
		}
	}
	more := messages[len(messages)-1].Header.Get(headerPending) != "0"
	return changes, more, nil
}

// last returns the last change of a key, or nil.
func (r *Runs) last(ctx context.Context, key string) (*change, error) {
	changes, _, err := r.direct(ctx, 1, map[string]any{"multi_last": []string{r.subject(key)}})
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return &changes[0], nil
}

// now returns the time of the server.
func (r *Runs) now(ctx context.Context, exact bool) (time.Time, error) {
	r.mu.Lock()
	known := !exact && time.Since(r.set) < time.Minute
	clock := r.clock
	r.mu.Unlock()
	if known {
		return time.Now().Add(clock), nil
	}
	began := time.Now()
	s, err := within(ctx, r.log, r.log.reads, func(ctx context.Context) (jetstream.Stream, error) {
		return r.log.js.Stream(ctx, r.log.stream)
	})
	if err != nil {
		return time.Time{}, err
	}
	// The answer was made after the question was sent, so this clock is never ahead of the server's.
	now := s.CachedInfo().TimeStamp
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock, r.set = now.Sub(time.Now()), began //nolint:gocritic // the other way round
	return now, nil
}

// state returns the last change of a key, or nil. If the run's lease has ended, it is lost from now on.
func (r *Runs) state(ctx context.Context, key string) (*change, time.Time, error) {
	for {
		c, err := r.last(ctx, key)
		if err != nil || c == nil {
			return nil, time.Time{}, err
		}
		now, err := r.now(ctx, false)
		if err == nil && c.End == nil && !now.Before(c.until()) { // it seems so
			now, err = r.now(ctx, true)
		}
		if err != nil {
			return nil, time.Time{}, err
		}
		if c.End != nil || now.Before(c.until()) {
			return c, now, nil
		}
		if _, err := r.lose(ctx, key, *c); err != nil {
			return nil, time.Time{}, err
		}
	}
}

// lose records that a run is lost, unless something else has happened.
func (r *Runs) lose(ctx context.Context, key string, c change) (bool, error) {
	next := c
	next.Entries = nil
	next.End = &run.End{Outcome: run.Lost, Events: c.Events, Bytes: c.Bytes}
	_, done, err := r.add(ctx, key, c.sequence, next)
	if done {
		r.hint(key, run.HintEvents)
		r.purge(key, next)
	}
	return done, err
}

// add adds a change, and reports whether the one before it was still the last one.
func (r *Runs) add(ctx context.Context, key string, after uint64, c change) (sequence uint64, done bool, err error) {
	text, err := json.Marshal(c)
	if err != nil {
		return 0, false, err
	}
	m := &nats.Msg{Subject: r.subject(key), Data: text}
	ack, err := within(ctx, r.log, r.log.adds, func(ctx context.Context) (*jetstream.PubAck, error) {
		return r.log.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(after))
	})
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if _, err := r.log.ask(ctx, r.log.adds); err != nil {
			return 0, false, err
		}
		return 0, false, nil // look again, now that it exists
	}
	if wrong, ok := errors.AsType[*jetstream.APIError](err); ok && wrong.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return ack.Sequence, true, nil
}

// Claim implements [run.Store].
func (r *Runs) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	for {
		last, now, err := r.state(ctx, c.Key)
		if err != nil {
			return run.Record{}, r.fail("claim", c.Key, err)
		}
		after := uint64(0)
		if last != nil {
			if last.ID == c.ID {
				r.own(*last)
			}
			if last.End == nil || last.ID == c.ID {
				return last.record(c.Key, now), nil
			}
			after = last.sequence
		}
		first := change{ID: c.ID, Starter: c.Starter, Lease: c.Lease, Retention: c.Retention}
		if _, _, err := r.add(ctx, c.Key, after, first); err != nil { // the server sets its time
			return run.Record{}, r.fail("claim", c.Key, err)
		}
	}
}

func (r *Runs) own(c change) {
	c.Entries = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owned[c.ID] = c
}

func (r *Runs) disown(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, id)
}

// change adds a change to a run of this process: what f makes of the last one, which returns false if there is
// nothing to add. The error is ErrLost if the run does not go on.
func (r *Runs) change(ctx context.Context, c run.Claim, f func(*change) (bool, error)) (change, error) {
	r.mu.Lock()
	last, ok := r.owned[c.ID]
	r.mu.Unlock()
	for {
		if !ok {
			now, _, err := r.state(ctx, c.Key)
			switch {
			case err != nil:
				return change{}, err
			case now == nil || now.ID != c.ID:
				return change{}, fmt.Errorf("it is not held: %w", run.ErrLost)
			}
			last = *now
		}
		next := last
		next.Entries, next.Renewed = nil, time.Time{}
		some, err := f(&next)
		if err != nil {
			if errors.Is(err, errHole) {
				if _, err := r.lose(ctx, c.Key, last); err != nil {
					return change{}, err
				}
			}
			r.disown(c.ID)
			return change{}, err
		}
		if !some {
			return last, nil
		}
		if last.End != nil {
			r.disown(c.ID)
			return change{}, fmt.Errorf("it has ended: %w", run.ErrLost)
		}
		sent, err := r.now(ctx, false)
		if err != nil {
			return change{}, err
		}
		if ok && !sent.Before(last.until()) {
			ok = false // let the server say so
			continue
		}
		var done bool
		if next.sequence, done, err = r.add(ctx, c.Key, last.sequence, next); err != nil {
			return change{}, err
		}
		if done {
			next.time = sent // at the earliest
			r.own(next)
			return next, nil
		}
		ok = false
	}
}

// errHole means that the server has lost entries.
var errHole = fmt.Errorf("it does not have all events: %w", run.ErrLost)

// Append implements [run.Store].
func (r *Runs) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	some := false
	last, err := r.change(ctx, c, func(next *change) (bool, error) {
		n := next.Events - b.First + 1 // that it has already
		if n < 0 {
			return false, errHole
		}
		if some = n < len(b.Entries); some {
			next.Entries, next.Bytes = b.Entries[n:], b.Bytes
			next.Events += len(next.Entries)
		}
		return true, nil
	})
	if err != nil {
		return nil, r.fail("append to", c.Key, err)
	}
	if some {
		r.hint(c.Key, run.HintEvents)
	}
	return last.Stop, nil
}

// End implements [run.Store].
func (r *Runs) End(ctx context.Context, c run.Claim, e run.End) error {
	last, err := r.change(ctx, c, func(next *change) (bool, error) {
		switch {
		case next.End != nil && *next.End == e:
			return false, nil
		case next.End == nil && next.Events != e.Events:
			return false, errHole
		}
		next.End = &e
		return true, nil
	})
	if err != nil {
		return r.fail("end", c.Key, err)
	}
	r.disown(c.ID)
	r.hint(c.Key, run.HintEvents)
	r.purge(c.Key, last)
	return nil
}

// purge deletes a run when it need not be held any more.
func (r *Runs) purge(key string, c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(max(c.Retention, c.Lease), func() {
		r.mu.Lock()
		delete(r.purges, t)
		r.mu.Unlock()
		_, _ = within(context.Background(), r.log, r.log.adds, func(ctx context.Context) (bool, error) {
			s, err := r.log.js.Stream(ctx, r.log.stream)
			if err == nil {
				err = s.Purge(ctx, jetstream.WithPurgeSubject(r.subject(key)), jetstream.WithPurgeSequence(c.sequence+1))
			}
			return true, err // MaxAge does the rest
		})
	})
	r.purges[t] = true
}

// held returns the run that a key has now.
func (r *Runs) held(ctx context.Context, key string) (*change, run.Record, error) {
	c, now, err := r.state(ctx, key)
	if err != nil {
		return nil, run.Record{}, err
	}
	if c == nil || c.End != nil && (c.Retention <= 0 || !now.Before(c.time.Add(c.Retention))) {
		return nil, run.Record{}, run.ErrNotHeld
	}
	return c, c.record(key, now), nil
}

// Get implements [run.Store].
func (r *Runs) Get(ctx context.Context, key string) (run.Record, error) {
	_, rec, err := r.held(ctx, key)
	if err != nil {
		return run.Record{}, r.fail("read", key, err)
	}
	return rec, nil
}

// Read implements [run.Store]. A cursor is the sequence number of the last message that was read, which is
// read again: so there is one, unless the run is not held any more.
func (r *Runs) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	p, err := r.read(ctx, key, id, cursor)
	if err != nil {
		return run.Page{}, r.fail("read", key, err)
	}
	return p, nil
}

func (r *Runs) read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	const most = 256 // messages
	seen, _ := strconv.ParseUint(cursor, 10, 64)
	from := max(seen, 1)
	if cursor == "" {
		last, err := r.last(ctx, key)
		switch {
		case err != nil:
			return run.Page{}, err
		case last != nil && last.ID == id:
			from = last.Begin
		}
	}
	for {
		changes, more, err := r.direct(ctx, most, map[string]any{
			"seq": from, "next_by_subj": r.subject(key), "batch": most, "max_bytes": pageBytes,
		})
		if err != nil {
			return run.Page{}, err
		}
		var page run.Page
		var last *change
		for i := range changes {
			c := &changes[i]
			from = c.sequence
			if c.ID != id && last != nil {
				more = false // of a later run
				break
			}
			if c.ID != id {
				continue
			}
			last = c
			if c.sequence > seen {
				page.Entries = append(page.Entries, c.Entries...)
			}
		}
		switch {
		case last == nil && (!more || seen > 0):
			return run.Page{}, run.ErrNotHeld
		case last == nil: // of earlier runs
			continue
		}
		now, err := r.now(ctx, false)
		if err != nil {
			return run.Page{}, err
		}
		if last.End == nil && !more && !now.Before(last.until()) { // it seems that the lease has ended
			if _, _, err := r.state(ctx, key); err != nil {
				return run.Page{}, err
			}
			if now, err = r.now(ctx, true); err != nil {
				return run.Page{}, err
			}
			more = true // one way or the other
		}
		page.Record, page.Cursor, page.More = last.record(key, now), strconv.FormatUint(last.sequence, 10), more
		return page, nil
	}
}

// Stop implements [run.Store].
func (r *Runs) Stop(ctx context.Context, key string, s run.StopRequest) (run.Record, error) {
	for {
		c, rec, err := r.held(ctx, key)
		if err != nil {
			return run.Record{}, r.fail("stop", key, err)
		}
		if c.End != nil || c.Stop != nil {
			return rec, nil
		}
		next := *c
		next.Entries, next.Stop, next.Renewed = nil, &s, c.until().Add(-c.Lease)
		_, done, err := r.add(ctx, key, c.sequence, next)
		if err != nil {
			return run.Record{}, r.fail("stop", key, err)
		}
		if done {
			r.hint(key, run.HintStop)
			return rec, nil
		}
	}
}

// List implements [run.Store]. It asks for each run.
func (r *Runs) List(ctx context.Context) ([]run.Record, error) {
	subjects, err := within(ctx, r.log, r.log.reads, func(ctx context.Context) (map[string]uint64, error) {
		s, err := r.log.js.Stream(ctx, r.log.stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(r.log.stream+".>"))
		if err != nil {
			return nil, err
		}
		return info.State.Subjects, nil
	})
	if err != nil {
		return nil, r.log.fail("list", err)
	}
	var records []run.Record
	for subject := range subjects {
		key, err := url.QueryUnescape(strings.TrimPrefix(subject, r.log.stream+"."))
		if err != nil {
			continue // it is somebody else's
		}
		rec, err := r.Get(ctx, key)
		switch {
		case errors.Is(err, run.ErrNotHeld): // it has just gone
		case err != nil:
			return nil, err
		default:
			records = append(records, rec)
		}
	}
	return slices.Clip(records), nil
}

func (r *Runs) hintSubject(key string, h run.Hint) string {
	return r.log.stream + "-hint." + string(h) + "." + token(key)
}

// hint is best effort: a connection that cannot write must not be waited for.
func (r *Runs) hint(key string, h run.Hint) { r.hints.publish(r.hintSubject(key, h)) }

// Watch implements [run.Store].
func (r *Runs) Watch(key string, h run.Hint, f func()) (cancel func()) {
	return r.hints.watch(r.hintSubject(key, h), f)
}
