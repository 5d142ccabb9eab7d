package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/pause"
)

const (
	// silence is how long a log may yield nothing before it is not healthy.
	silence = 5 * time.Second

	// The pause before a log that has failed is followed again doubles from the first
	// to the last.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// A follower brings a Log's entries into its hub's memory.
type follower struct {
	hub    *Hub
	log    Log
	reader *reader         // of what is not in the memory
	ctx    context.Context //nolint:containedctx // it ends with the hub's shutdown
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
	ready  chan struct{} // closed when at is known

	// The hub's lock guards these.
	at     string // the ID of the last entry
	since  string // the memory has everything after this ID
	broken uint64 // the number of the last gap in the log; subscriptions before it are told
	gap    string // the ID of that gap
	newest int64  // the time of the last entry, see timeOf

	heard time.Time // when the log last yielded something
	err   error     // why following has failed since

	pageErr    error // why a subscription could not read the log
	pageFailed time.Time

	published string        // the ID of the last event that this process has published
	awaited   string        // the ID that ending subscriptions wait for
	arrived   chan struct{} // closed when awaited has come; nil if none waits

	stats LogStats // without Silent
}

// Healthy returns why events from the hub's [Log] are late or do not come at
// present: the log has not answered yet, has failed, has been silent for 5 s, or cannot
// be read for subscriptions that want older events. After a shutdown the error is
// [core.ErrShutdown]. It returns nil if all is well, and for a hub without a Log. A
// process should get traffic only when this is nil.
func (h *Hub) Healthy() error {
	h.lock()
	defer h.mu.Unlock()
	return h.healthy()
}

// healthy is Healthy of a hub that is locked.
func (h *Hub) healthy() error {
	f := h.follower
	switch {
	case f == nil:
		return nil
	case h.closed:
		return errShutdown
	case f.err != nil:
		return fmt.Errorf("hub: the log cannot be followed: %w", f.err)
	case f.at == "":
		return errors.New("hub: the log has not answered yet")
	case time.Since(f.heard) > silence:
		return fmt.Errorf("hub: the log has not answered since %s", f.heard.Format(time.RFC3339))
	case f.pageErr != nil && time.Since(f.pageFailed) < silence: // subscriptions that read try again before that
		return fmt.Errorf("hub: the log cannot be read: %w", f.pageErr)
	}
	return nil
}

// follow starts to follow a log.
func (h *Hub) follow(log Log) {
	ctx, cancel := context.WithCancel(context.Background())
	h.follower = &follower{
		hub:    h,
		log:    log,
		reader: newReader(log),
		ctx:    ctx,
		cancel: cancel,
		ended:  make(chan struct{}),
		ready:  make(chan struct{}),
		heard:  time.Now(),
		newest: math.MinInt64,
	}
	go h.follower.run()
	if h.config.logger != nil {
		(&monitor{hub: h, logger: h.config.logger}).start()
	}
}

// run follows the log until the shutdown.
func (f *follower) run() {
	defer close(f.ended)
	ctx := f.ctx
	after, again := "", time.Duration(0)
	for ctx.Err() == nil {
		err := errors.New("its Follow returned without an error")
		for e, failure := range f.log.Follow(ctx, after) {
			if failure != nil {
				err = failure
				break
			}
			if e.ID != "" {
				after = e.ID
			}
			again = 0
			f.apply(e)
		}
		if ctx.Err() != nil {
			return
		}
		f.hub.lock()
		f.err = err
		f.stats.Reconnects++
		f.hub.mu.Unlock()
		again = min(max(2*again, firstPause), lastPause)
		pause.For(ctx, again)
	}
}

// apply brings an entry into the memory.
func (f *follower) apply(e Entry) {
	var room [4]departure
	off := room[:0]
	h := f.hub
	now := time.Now()
	e.Event.ID = e.ID
	var d draft
	if e.Topic != "" && large(e.Event) {
		d = h.newDraft(e.Event)
	}
	h.lock()
	f.heard, f.err = now, nil
	switch {
	case e.ID == "":
	case e.Gap:
		off = f.breakOff(e.ID, off)
	case e.Topic == "":
		f.at = e.ID
	default:
		f.at = e.ID
		var err error
		p := publication{key: e.Key, keyed: e.Keyed, topics: slices.Clone(e.Topics), time: f.timeOf(e, now), draft: d}
		p.tidy(e.Topic)
		p.details = newDetails(e.Attributes, e.Topic, p.topics)
		if off, err = h.add(e.Topic, e.Event, p, off); err != nil {
			f.stats.Skipped++ // not published by a hub
			break
		}
		f.stats.Events++
		f.stats.Bytes = h.written
		f.stats.Lag = max(now.Sub(e.Time), 0)
	}
	if f.at != "" {
		select {
		case <-f.ready:
		default:
			f.since = f.at
			close(f.ready)
		}
	}
	if f.arrived != nil && f.order(f.at, f.awaited) >= 0 {
		close(f.arrived)
		f.arrived = nil
		if h.closed {
			f.cancel()
		}
	}
	h.mu.Unlock()
	h.wake(off)
}

// until returns the ID after which subscriptions end that are ended now: that of the last
// event that has come from the log, or that was published here and has yet to come. come
// is false in the second case. The hub is locked.
func (f *follower) until() (id string, come bool) {
	if f.published == "" || f.order(f.at, f.published) >= 0 {
		return f.at, true
	}
	f.awaited = f.published
	if f.arrived == nil {
		f.arrived = make(chan struct{})
	}
	return f.published, false
}

// order compares two IDs. An ID of an earlier epoch comes before any of the present one:
// the log leads on from there.
func (f *follower) order(a, b string) int {
	switch a {
	case "":
		return -1
	case b:
		return 0
	}
	order, err := f.log.Compare(a, b)
	if err == nil {
		return order
	}
	if _, err := f.log.Compare(a, a); err != nil {
		return -1
	}
	return 1
}

// timeOf returns when the log got an entry, by hub.timeOf. It never decreases, even if the
// log's clock does.
func (f *follower) timeOf(e Entry, now time.Time) int64 {
	f.newest = max(f.newest, f.hub.timeOf(e.Time, now))
	return f.newest
}

// breakOff begins again after a gap in the log. It drops what is held, because what
// comes next does not follow it, and all subscriptions are told.
func (f *follower) breakOff(id string, off []departure) []departure {
	h := f.hub
	f.at, f.since, f.gap = id, id, id
	f.stats.Gaps++
	h.last++
	f.broken = h.last
	h.forget()
	for _, t := range h.topics {
		off = h.sendAll(&t.source, off)
	}
	for _, s := range h.patterns {
		off = h.sendAll(s, off)
	}
	return off
}

// sendAll appends all that wait for an event of the source, to be told of a gap.
func (h *Hub) sendAll(s *source, off []departure) []departure {
	if links := s.send(); links != nil {
		off = append(off, departure{s, links})
	}
	s.watchers.broken = h.last
	h.inquire(s)
	return off
}

// forget drops everything that is held.
func (h *Hub) forget() {
	h.dropped, h.bytes = h.last, 0
	h.order, *h.ids = list[place]{}, list[identity]{}
	h.idle, h.joints = nil, nil
	for name, t := range h.topics {
		t.records, t.keys, t.keyOf, t.idle = list[record]{}, nil, nil, false
		if len(t.members) == 0 {
			delete(h.topics, name)
		}
	}
	for _, s := range h.patterns {
		s.records, s.since = list[record]{}, h.last
	}
}

// publish appends an event to the log.
func (f *follower) publish(ctx context.Context, topic string, e core.Event, p publication) (id string, err error) {
	h := f.hub
	if err := checkTopics(topic, p.topics); err != nil {
		return "", err
	}
	frame, err := e.AppendText(nil)
	if size := len(frame) + p.details.size(); err == nil && h.memory.maxBytes > 0 && size > h.memory.maxBytes {
		err = tooLarge(size, int64(h.memory.maxBytes))
	}
	if err != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", topic, err)
	}
	h.lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return "", errShutdown
	}
	entry := Entry{Topic: topic, Event: e, Key: p.key, Keyed: p.keyed, Topics: p.topics, Attributes: p.details.all()}
	if p.idempotency != "" {
		entry.IdempotencyKey = jointName(topic, p.topics) + "\x00" + p.idempotency // a topic has no NUL
	}
	id, err = f.log.Append(ctx, entry)
	if err != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", topic, err)
	}
	h.lock()
	h.published++
	if f.order(id, f.published) > 0 {
		f.published = id
	}
	h.mu.Unlock()
	return id, nil
}

// find returns the number of the last event in the memory whose ID is not after id. If
// events were dropped between it and the next one, it returns the next one's number less
// one.
func (f *follower) find(id string) (uint64, error) {
	var failure error
	number := f.hub.ids.before(f.hub.last, func(e identity) bool {
		order, err := f.log.Compare(e.id, id)
		if err != nil {
			failure = err
		}
		return order > 0
	})
	return number, failure
}
