package natslog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

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
	sweep  int               // how many of them there are when those of lost runs are looked for
	clock  reading           // zero if it is not known
	purges map[*time.Timer]bool
	closed bool
}

// A reading is what the server's clock has shown, and when that came.
type reading struct{ server, at time.Time }

var _ run.Store = (*Runs)(nil)

// NewRuns returns the runs in the stream of that name. Nothing is sent before the first call, which
// creates the stream if it does not exist. Hints are messages of subjects that begin with the name and "-hint.".
//
// The entries of a run are deleted when its retention time is over, by its process. If that has died or was
// closed, another process does so when it looks at the run the next time; [Runs.List] looks at all. What nobody looks at is
// deleted by the stream's MaxAge, which is a day if [WithMaxAge] does not say otherwise. It must be longer than
// a run takes together with its retention time. [WithMaxEvents] and [WithIdempotencyWindow] have no effect.
//
// An event must fit into a message: see the server's max_payload, which is 1 MiB by default. A run with a larger
// one fails with [run.ErrTooLarge].
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

// subject returns the subject of a key.
func (r *Runs) subject(key string) string { return r.log.stream + "." + token(key) }

func token(key string) string { return strings.ReplaceAll(url.QueryEscape(key), ".", "%2E") }

func (r *Runs) fail(what, key string, err error) error {
	if errors.Is(err, run.ErrNotHeld) {
		return run.ErrNotHeld
	}
	return r.log.fail(what+" the run "+strconv.Quote(key), err)
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
	r.purge(c.Key, last, max(last.Retention, last.Lease))
	return nil
}

// purge deletes a run after some time, when it need not be held any more.
func (r *Runs) purge(key string, c change, after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(after, func() {
		r.mu.Lock()
		delete(r.purges, t)
		r.mu.Unlock()
		_, _ = within(context.Background(), r.log, r.log.adds, func(ctx context.Context) (bool, error) {
			s, err := r.log.js.Stream(ctx, r.log.stream)
			if err == nil {
				err = s.Purge(ctx, jetstream.WithPurgeSubject(r.subject(key)), jetstream.WithPurgeSequence(c.sequence+1))
			}
			return true, err // who looks next tries again
		})
	})
	r.purges[t] = true
}

// stopShare is which part of a message a request to stop may have, because it is in all later messages.
const stopShare = 4

// held returns the run that a key has now.
func (r *Runs) held(ctx context.Context, key string) (*change, run.Record, error) {
	c, now, err := r.settled(ctx, key, func(*change) bool { return true })
	if err != nil {
		return nil, run.Record{}, err
	}
	switch {
	case c == nil:
		return nil, run.Record{}, run.ErrNotHeld
	case c.End != nil && (c.Retention <= 0 || !now.Before(c.time.Add(c.Retention))):
		if !now.Before(c.time.Add(max(c.Retention, c.Lease))) { // the process that should have has died
			r.purge(key, *c, 0)
		}
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

// Stop implements [run.Store].
func (r *Runs) Stop(ctx context.Context, key string, s run.StopRequest) (run.Record, error) {
	text, err := compact(s)
	if most := r.log.nc.MaxPayload() / stopShare; err == nil && most > 0 && int64(len(text)) > most {
		err = fmt.Errorf("its last events have %d bytes, and may have %d: %w", len(text), most, run.ErrTooLarge)
	}
	if err != nil {
		return run.Record{}, r.fail("stop", key, err)
	}
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
