package natslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/run"
)

// A change is what has happened to a run, and what is known of the run then. The last change of a
// subject is the state of the key.
type change struct {
	mark // of its message

	Prev      uint64           `json:"prev,omitempty"` // the number of the key's message before it
	ID        string           `json:"id"`
	Starter   string           `json:"starter,omitempty"`
	Lease     time.Duration    `json:"lease"`
	Retention time.Duration    `json:"retention"`
	Started   time.Time        `json:"started,omitzero"` // zero in the first one
	Begin     uint64           `json:"begin,omitempty"`  // the first one's sequence number; 0 in that one
	Renewed   time.Time        `json:"renewed,omitzero"` // when the lease was; zero if this does
	Events    int              `json:"events"`
	Bytes     int64            `json:"bytes,omitempty"`
	Entries   []string         `json:"-"`               // the last ones of Events, which follow the JSON
	Sizes     []int            `json:"sizes,omitempty"` // theirs
	Stop      *run.StopRequest `json:"stop,omitempty"`
	End       *run.End         `json:"end,omitempty"`
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

// encode returns a change as the payload of a message: a line of JSON, and the entries as they are.
func (c *change) encode() ([]byte, error) {
	c.Sizes = nil
	for _, e := range c.Entries {
		c.Sizes = append(c.Sizes, len(e))
	}
	text, err := compact(c)
	for _, e := range c.Entries {
		text = append(text, e...)
	}
	return text, err
}

// compact returns JSON in a line.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // an event of HTML would have six times its size
	err := e.Encode(v)
	return b.Bytes(), err
}

// parse is the inverse of encode.
func parse(m mark, payload []byte) (*change, error) {
	c := &change{mark: m}
	line, rest, _ := bytes.Cut(payload, []byte("\n"))
	if len(line) == 0 { // a marker of the server's, which says that older messages are gone
		c.End = new(run.End)
		return c, nil
	}
	if err := json.Unmarshal(line, c); err != nil {
		return nil, fmt.Errorf("message %d: %w", m.sequence, err)
	}
	entries := string(rest)
	for _, n := range c.Sizes {
		if n < 0 || n > len(entries) {
			return nil, fmt.Errorf("message %d is too short", m.sequence)
		}
		c.Entries = append(c.Entries, entries[:n])
		entries = entries[n:]
	}
	if c.Begin == 0 {
		c.Begin, c.Started = m.sequence, m.time
	}
	return c, nil
}

// insist calls f again while it is not answered, as long as ctx allows: a stream in a cluster that has no leader, for example
// because it has just been created, does not answer later.
func insist[T any](ctx context.Context, f func(ctx context.Context) (T, error)) (T, error) {
	const answer = time.Second // how long f may take, usually
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		once, cancel := context.WithTimeout(ctx, answer)
		value, err := f(once)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return value, err
		}
	}
}

// get asks the stream's leader for a change, or nil.
func (r *Runs) get(ctx context.Context, request map[string]any) (*change, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	epoch, _ := r.log.seen()
	m, err := insist(ctx, func(ctx context.Context) (*found, error) { return r.log.find(ctx, r.log.reads, string(text)) })
	if wrong, ok := errors.AsType[*jetstream.APIError](err); ok && wrong.ErrorCode == jetstream.JSErrCodeStreamNotFound {
		return nil, nil
	}
	if err != nil || m == nil {
		return nil, err
	}
	r.log.know(epoch, m.Sequence)
	return parse(mark{m.Sequence, m.Time}, m.Data)
}

// last returns the last change of a key, or nil.
func (r *Runs) last(ctx context.Context, key string) (*change, error) {
	return r.get(ctx, map[string]any{"last_by_subj": r.subject(key)})
}

// now returns the time of the server.
func (r *Runs) now(ctx context.Context, exact bool) (time.Time, error) {
	r.mu.Lock()
	last := r.clock
	r.mu.Unlock()
	if age := time.Since(last.at); !exact && age < time.Minute {
		return last.server.Add(age), nil // even if this machine's clock was set in the meantime
	}
	s, err := insist(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		return within(ctx, r.log, r.log.reads, func(ctx context.Context) (jetstream.Stream, error) {
			return r.log.js.Stream(ctx, r.log.stream)
		})
	})
	if err != nil {
		return time.Time{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// The answer was made before it came, so this clock is never ahead of the server's.
	r.clock = reading{s.CachedInfo().TimeStamp, time.Now()}
	return r.clock.server, nil
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

// settled is state, but asks once more if the answer is not the expected one: a server that has just become
// the stream's leader may not have the last messages yet.
func (r *Runs) settled(ctx context.Context, key string, expected func(*change) bool) (*change, time.Time, error) {
	c, now, err := r.state(ctx, key)
	if err != nil || c != nil && expected(c) {
		return c, now, err
	}
	if _, err := insist(ctx, func(ctx context.Context) (state, error) { return r.log.look(ctx, r.log.reads) }); err != nil {
		return nil, time.Time{}, err
	}
	return r.state(ctx, key)
}

// lose records that a run is lost, unless something else has happened.
func (r *Runs) lose(ctx context.Context, key string, c change) (bool, error) {
	next := c
	next.Entries = nil
	next.End = &run.End{Outcome: run.Lost, Events: c.Events, Bytes: c.Bytes}
	sequence, done, err := r.add(ctx, key, c.sequence, next)
	if done {
		next.sequence = sequence
		r.hint(key, run.HintEvents)
		r.purge(key, next, max(next.Retention, next.Lease))
	}
	return done, err
}

// Errors of the server.
const (
	codeTooLarge jetstream.ErrorCode = 10054 // the message is larger than the stream's MaxMsgSize
	codeBusy     jetstream.ErrorCode = 10164 // in a cluster, another message of the subject is being added
)

// add adds a change, and reports whether the one before it was still the last one.
func (r *Runs) add(ctx context.Context, key string, after uint64, c change) (sequence uint64, done bool, err error) {
	c.Prev = after
	text, err := c.encode()
	if err != nil {
		return 0, false, err
	}
	epoch, _ := r.log.seen()
	m := &nats.Msg{Subject: r.subject(key), Data: text}
	ack, err := within(ctx, r.log, r.log.adds, func(ctx context.Context) (*jetstream.PubAck, error) {
		return r.log.js.PublishMsg(ctx, m,
			jetstream.WithExpectStream(r.log.stream), jetstream.WithExpectLastSequencePerSubject(after))
	})
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if _, err := insist(ctx, func(ctx context.Context) (state, error) { return r.log.ask(ctx, r.log.adds) }); err != nil {
			return 0, false, err
		}
		return 0, false, nil // look again, now that it exists
	}
	wrong, _ := errors.AsType[*jetstream.APIError](err)
	switch {
	case wrong != nil && (wrong.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || wrong.ErrorCode == codeBusy):
		return 0, false, nil
	case wrong != nil && wrong.ErrorCode == codeTooLarge, errors.Is(err, nats.ErrMaxPayload):
		return 0, false, fmt.Errorf("%w: %w", run.ErrTooLarge, err)
	case err != nil:
		return 0, false, err
	}
	r.log.know(epoch, ack.Sequence)
	return ack.Sequence, true, nil
}

// own keeps the last change of a run of this process. Now and then it drops those of runs that were lost without a call
// that says so: their leases have ended long ago.
func (r *Runs) own(c change) {
	c.Entries = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owned[c.ID] = c
	if len(r.owned) < r.sweep {
		return
	}
	now := r.clock.server.Add(time.Since(r.clock.at))
	maps.DeleteFunc(r.owned, func(_ string, c change) bool { return now.After(c.until().Add(c.Lease)) })
	r.sweep = 2*len(r.owned) + 16 // so that a sweep costs no more than the calls since the last one
}

func (r *Runs) disown(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, id)
}

// present asks for the last change of a run, of which this process knows one.
func (r *Runs) present(ctx context.Context, c run.Claim, known uint64) (change, error) {
	now, _, err := r.settled(ctx, c.Key, func(now *change) bool { return now.ID == c.ID && now.sequence >= known })
	switch {
	case err != nil:
		return change{}, err
	case now == nil || now.ID != c.ID:
		r.disown(c.ID)
		return change{}, fmt.Errorf("it is not held: %w", run.ErrLost)
	}
	return *now, nil
}

// change adds a change to a run of this process: what f makes of the last one, which returns false if there is
// nothing to add. The error is ErrLost if the run does not go on.
func (r *Runs) change(ctx context.Context, c run.Claim, f func(*change) (bool, error)) (change, error) {
	r.mu.Lock()
	last, ok := r.owned[c.ID]
	r.mu.Unlock()
	for {
		if !ok {
			var err error
			if last, err = r.present(ctx, c, last.sequence); err != nil {
				return change{}, err
			}
		}
		next := last
		next.Entries, next.Renewed = nil, time.Time{}
		some, err := f(&next)
		if err != nil {
			if errors.Is(err, errHole) && last.End == nil {
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
