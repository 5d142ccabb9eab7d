package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/pause"
)

const (
	// silence is how long a log may say nothing before it is not healthy.
	silence = 5 * time.Second

	// The pause before a log that has failed is asked again doubles from one to
	// the other.
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
	ended  chan struct{} // closed when it follows no more
	ready  chan struct{} // closed when at is known

	// The hub's lock guards these.
	at     string // the ID of the last entry
	since  string // the ID after which the memory has everything
	broken uint64 // the number of the last gap in the log; subscribers before it are told
	gap    string // its ID
	newest int64  // the time of the last entry, see timeOf

	heard time.Time // when the log has last answered
	err   error     // what it has failed with since

	pageErr    error // what a subscription could not read the log for
	pageFailed time.Time

	published string        // the last ID that a publisher of this process was told
	awaited   string        // what those wait for who are to end behind it
	arrived   chan struct{} // closed when it has come; nil if nobody waits

	stats FollowStats
}

// FollowStats says how a hub follows its [Log].
type FollowStats struct {
	Events     int64         // that have come from the log
	Bytes      int64         // of their frames
	Lag        time.Duration // how old the last event was when it came: the two machines' clocks count
	Reconnects int64         // how often following has failed and begun again
	Gaps       int64         // how often the log had dropped what was to come
	Skipped    int64         // entries of other programs that no client is sent, because Publish would refuse them
}

// FollowStats returns how the hub follows its Log. Without one it is zero.
func (h *Hub) FollowStats() FollowStats {
	h.lock()
	defer h.mu.Unlock()
	if h.follower == nil {
		return FollowStats{}
	}
	return h.follower.stats
}

// Healthy returns why events from the hub's [Log] are late or do not come at
// present: it has not answered yet, has failed, has been silent for 5 s, or cannot
// be read by those who come back for older events. After a shutdown that is
// [core.ErrShutdown]. It returns nil if all is well, and for a hub without a Log. A
// process should get traffic once this is nil.
func (h *Hub) Healthy() error {
	h.lock()
	defer h.mu.Unlock()
	f := h.follower
	switch {
	case f == nil:
		return nil
	case h.closed:
		return errShutdown
	case f.err != nil:
		return fmt.Errorf("hub: the log: %w", f.err)
	case f.at == "":
		return errors.New("hub: the log has not answered yet")
	case time.Since(f.heard) > silence:
		return fmt.Errorf("hub: the log has not answered since %s", f.heard.Format(time.RFC3339))
	case f.pageErr != nil && time.Since(f.pageFailed) < silence: // those who read try again before that
		return fmt.Errorf("hub: the log cannot be read: %w", f.pageErr)
	}
	return nil
}

// follow begins to follow a log.
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
}

// run follows the log until the shutdown.
func (f *follower) run() {
	defer close(f.ended)
	ctx := f.ctx
	after, again := "", time.Duration(0)
	for ctx.Err() == nil {
		err := errors.New("the log has ended what was followed")
		for e, failure := range f.log.Follow(ctx, after) {
			if failure != nil {
				err = failure
				break
			}
			if e.ID != "" {
				after = e.ID
			}
			again = 0
			f.take(e)
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

// take brings an entry into the memory.
func (f *follower) take(e Entry) {
	var room [4]departure
	off := room[:0]
	h := f.hub
	now := time.Now()
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
		e.Event.ID = e.ID
		var err error
		p := publication{key: e.Key, keyed: e.Keyed, time: f.timeOf(e, now)}
		if off, err = h.add(e.Topic, e.Event, p, off); err != nil {
			f.stats.Skipped++ // no hub has published it
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

// until returns the ID behind which those end who are ended now: of the last event
// that has come from the log, or that was published here and is to come. The hub is
// locked.
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

// order compares two IDs. An epoch that is over comes before any other, for the log
// leads on from there, and the present one behind one that is over.
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

// timeOf returns when the log got an entry, in ns since the hub began. It only grows,
// also if the log's clock does not, and is never to come.
func (f *follower) timeOf(e Entry, now time.Time) int64 {
	latest := int64(now.Sub(f.hub.began))
	f.newest = min(max(f.newest, int64(e.Time.Sub(f.hub.began))), latest)
	return f.newest
}

// breakOff begins anew after a gap in the log: what is held is of no use, for what
// comes next does not follow it. All subscribers are told.
func (f *follower) breakOff(id string, off []departure) []departure {
	h := f.hub
	f.at, f.since, f.gap = id, id, id
	f.stats.Gaps++
	h.last++
	f.broken = h.last
	h.forget()
	for _, t := range h.topics {
		if links := t.send(); links != nil {
			off = append(off, departure{&t.source, links})
		}
	}
	for _, s := range h.patterns {
		if links := s.send(); links != nil {
			off = append(off, departure{s, links})
		}
	}
	return off
}

// forget drops everything that is held.
func (h *Hub) forget() {
	h.dropped, h.bytes = h.last, 0
	h.order, *h.ids = list[place]{}, list[identity]{}
	h.idle = nil
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
	if err := CheckTopic(topic); err != nil {
		return "", err
	}
	frame, err := e.AppendText(nil)
	if err == nil && h.memory.maxBytes > 0 && len(frame) > h.memory.maxBytes {
		err = tooLarge(len(frame), int64(h.memory.maxBytes))
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
	entry := Entry{Topic: topic, Event: e, Key: p.key, Keyed: p.keyed}
	if p.idempotency != "" {
		entry.IdempotencyKey = topic + "\x00" + p.idempotency // no topic has a NUL
	}
	id, err = f.log.Append(ctx, entry)
	if err != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", topic, err)
	}
	h.lock()
	if f.order(id, f.published) > 0 {
		f.published = id
	}
	h.mu.Unlock()
	return id, nil
}

// find returns the number of the last event in the memory whose ID is not after
// id, as far as anybody can tell: of one that is not held, the next one's less one.
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
