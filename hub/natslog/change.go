package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/run"
)

// A change is what has happened to a run, and what is known of the run then. The last change of a
// subject is the state of the key.
type change struct {
	mark // of its message

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
	r.clock, r.set = time.Until(now), began
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
