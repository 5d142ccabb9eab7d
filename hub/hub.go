package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// maxIdle is how many topics without events and subscribers are remembered.
const maxIdle = 1 << 14

// A Hub is a log of events by topic, together with the subscriptions that follow it.
// The zero Hub works and has the defaults of [New]. Its methods may be called by any
// goroutine at any time. It must not be copied after its first use.
type Hub struct {
	config
	memory

	mu      sync.Mutex // guards everything here; never held while waiting
	step    int        // stepWork, except in tests
	work    int        // done since mu was locked
	most    int        // the most that was done in one step
	breaths int        // how often mu was released between steps

	drafting func() // called while a large event is encoded; nil, except in tests

	follower *follower // follows the Log; nil without one

	asker func(s *source) // Hub.ask: if publishing called that by its name, it would allocate more

	epoch    string // begins each ID; empty before the first use
	began    time.Time
	expiry   *time.Timer // drops what is too old; nil unless it is needed
	topics   map[string]*topic
	patterns map[string]*source
	tree     tree   // of the patterns
	changes  uint64 // how often patterns was changed
	searches uint64 // how many searches there were, see subscription.search

	merging []*link // of one subscription, while it takes what they have

	idle      []*topic // topics to forget, oldest first
	forgotten uint64   // the greatest topic.lost of the forgotten topics

	running int           // subscriptions
	ended   chan struct{} // closed when none runs; nil unless a Shutdown waits
	closed  bool

	published, replaced int64 // see Stats
	delivered           atomic.Int64
	gaps                gapCounts

	finished bool  // nothing more will be published
	failure  error // what subscriptions fail with at the end of a hub that has finished
}

// New returns a hub. Its defaults: 10,000 events, 64 MiB, no bound by age, and
// subscribers that were overtaken are sent a gap event and continue.
func New(opts ...Option) *Hub {
	h := &Hub{config: newConfig(opts)}
	h.setUp()
	return h
}

func (h *Hub) setUp() {
	switch _, _, ok := eventid.Cut(h.config.epoch + "-"); {
	case ok:
		h.epoch = h.config.epoch
	case h.config.epoch == "":
		h.epoch = eventid.NewEpoch()
	default:
		panic(fmt.Sprintf("hub: the epoch %q does not have 8 characters of a-z and 2-7", h.config.epoch))
	}
	h.began = time.Now()
	h.step = stepWork
	h.asker = h.ask
	h.memory.bounds = h.config.bounds
	h.topics = make(map[string]*topic)
	h.patterns = make(map[string]*source)
	if h.config.log != nil {
		h.ids = new(list[identity])
		h.follow(h.config.log)
	}
}

// Publish appends an event to a topic's log, for those who follow it now and for those who
// resume later, and returns the event's ID. It never waits for a subscriber, and does not
// call its filter or state. Each event has an ID, so an event with only a Comment or a Retry
// reaches the client as well, with empty data.
//
// An error says why the event was not published: the topic is empty, malformed (see [Check])
// or a pattern; the event already has an ID, cannot be encoded or is larger than the log; an
// option is wrong; ctx has ended; or the hub was shut down, or has finished, see
// [Hub.Finish]. Then nothing has changed, with one exception: a [Log] that did not answer may
// have the event nevertheless. With [WithIdempotencyKey] it is safe to publish such an event
// again.
func (h *Hub) Publish(ctx context.Context, name string, e core.Event, opts ...PublishOption) (id string, err error) {
	if ctx.Err() != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", name, context.Cause(ctx))
	}
	if e.ID != "" {
		return "", fmt.Errorf("hub: publish to %q: the event has the ID %q: leave it empty, because the hub assigns the IDs", name, e.ID)
	}
	var p publication
	if len(opts) > 0 {
		p = newPublication(opts)
	}
	if err := p.check(name); err != nil {
		return "", fmt.Errorf("hub: publish to %q: %w", name, err)
	}
	var room [4]departure
	h.lock()
	if h.follower != nil {
		h.mu.Unlock()
		return h.follower.publish(ctx, name, e, p)
	}
	if large(e) {
		h.mu.Unlock()
		p.draft = h.newDraft(e)
		h.lock()
	}
	id, off, err := h.publish(name, e, p, room[:0])
	h.mu.Unlock()
	h.wake(off)
	return id, err
}

// publish appends an event and returns the subscriptions that have waited for it.
func (h *Hub) publish(name string, e core.Event, p publication, off []departure) (string, []departure, error) {
	switch {
	case h.closed:
		return "", nil, errShutdown
	case h.finished:
		return "", nil, ErrFinished
	}
	if p.idempotency != "" {
		if number, ok := h.once[attempt{jointName(name, p.topics), p.idempotency}]; ok {
			return h.id(number), nil, nil
		}
	}
	e.ID = h.id(h.last + 1)
	off, err := h.add(name, e, p, off)
	if err != nil {
		return "", nil, err
	}
	h.published++
	return e.ID, off, nil
}

// add adds an event, which already has its ID, to the memory.
func (h *Hub) add(name string, e core.Event, p publication, off []departure) ([]departure, error) {
	t, err := h.known(name, p.topics)
	if err != nil {
		return nil, err
	}
	r, err := h.encode(e, p)
	if err != nil {
		return nil, fmt.Errorf("hub: publish to %q: %w", name, err)
	}
	if t == nil {
		t = h.newTopics(name, p.topics)
	}
	h.refresh(t)
	if p.keyed {
		if before := t.replaceKey(p.key, h.last+1); before != 0 {
			h.remove(before)
			h.replaced++
		}
	}
	number := h.commit(t, r, p.details, h.now())
	if p.idempotency != "" {
		h.remember(attempt{t.name, strings.Clone(p.idempotency)}, number)
	}
	if h.ids != nil {
		h.ids.push(number, identity{e.ID, p.time})
	}
	if h.trim() {
		h.expireAfter(0)
	}
	for _, s := range t.sources {
		if links := s.send(); links != nil {
			off = append(off, departure{s, links})
		}
		h.inquire(s)
	}
	return off, nil
}

// A departure is the links that have waited for an event of a source.
type departure struct {
	source *source
	links  []*link
}

// wakesAtOnce is how many subscriptions a publisher wakes itself. If more wait, a goroutine wakes
// them, so that Publish does not take longer.
const wakesAtOnce = 64

// wake wakes the subscriptions that have waited. The hub is not locked.
func (h *Hub) wake(off []departure) {
	n := 0
	for _, d := range off {
		n += len(d.links)
	}
	switch {
	case n > wakesAtOnce:
		go h.wakeAll(slices.Clone(off))
	case n > 0:
		h.wakeAll(off)
	}
}

func (h *Hub) wakeAll(off []departure) {
	for _, d := range off {
		for _, l := range d.links {
			l.subscription.wakeUp()
		}
		clear(d.links) // not under the lock, because there may be many
	}
	h.lock()
	defer h.mu.Unlock()
	for _, d := range off {
		d.source.rest(d.links)
	}
}

// LastID returns the ID of the last event that was published, or of the hub's
// beginning if there is none. A page that shows the present state resumes from it:
//
//	h.SubscribeFrom(ctx, hub.After(idOfThePage), topic)
//
// Take it before you read the state: then an event may be shown twice, but none is
// missed.
//
// With a [Log] it is the ID of the last event that has come from the log. It is empty
// before the log has answered for the first time, and an empty ID stands for [Now]. Once
// [Hub.Healthy] has returned nil, it is not empty.
func (h *Hub) LastID() string {
	h.lock()
	defer h.mu.Unlock()
	if h.follower != nil {
		return h.follower.at
	}
	return h.id(h.last)
}

// TopicOf returns the topic of the event that has an ID, the first if there are several. It
// is for a client that sends a last event ID but does not say which topic it had followed.
// With a [Log] it asks the log if this process's memory does not have the event. The error is
// [ErrNotHeld] if no event that is held has the ID, or says why the log did not answer.
//
// An ID that is only a position, such as that of [Hub.LastID] or of a gap, may be the ID of
// another topic's event. An event that a later one of its key has replaced is not held, except
// perhaps by a Log.
//
// The client chooses the ID. The view must check whether the client may read that topic.
func (h *Hub) TopicOf(ctx context.Context, id string) (string, error) {
	if topic := h.topicOf(id); topic != "" {
		return topic, nil
	}
	if h.follower != nil {
		if _, err := h.follower.log.Compare(id, id); err == nil { // an error means that the ID is not one of the log's
			topic, err := h.follower.log.TopicOf(ctx, id)
			if err != nil || topic != "" {
				return topic, err
			}
		}
	}
	return "", ErrNotHeld
}

// topicOf is TopicOf for the memory. It returns "" if the event is not there.
func (h *Hub) topicOf(id string) string {
	h.lock()
	defer h.mu.Unlock()
	var number uint64
	if f := h.follower; f != nil {
		var err error
		if number, err = f.find(id); err != nil {
			return ""
		}
		if i := h.ids.find(number); i < 0 || h.ids.items[i].id != id {
			return ""
		}
	} else {
		epoch, n, ok := parseID(id)
		if !ok || epoch != h.epoch {
			return ""
		}
		number = n
	}
	if i := h.order.find(number); i >= 0 {
		return h.order.items[i].name()
	}
	return ""
}

// Len returns how many running subscriptions of this process have named this topic or
// pattern.
func (h *Hub) Len(topic string) int {
	h.lock()
	defer h.mu.Unlock()
	if s := h.source(topic); s != nil {
		return len(s.members)
	}
	return 0
}

// Topics returns the names of the topics that hold events in this process's memory,
// or that a subscription of this process has named, sorted. A topic that comes or goes
// during the call may or may not be among them.
func (h *Hub) Topics() []string {
	h.lock()
	for h.trim() {
		h.breathe()
	}
	room := len(h.topics)
	h.mu.Unlock()
	names := make([]string, 0, room+room/8) // without the lock, as the sorting: both may take milliseconds
	h.lock()
	for name, t := range h.topics {
		if !t.unused() {
			names = append(names, name)
		}
		h.did(1)
	}
	h.mu.Unlock()
	slices.Sort(names)
	return names
}

// source returns the topic or pattern of that name, or nil.
func (h *Hub) source(name string) *source {
	if t := h.topics[name]; t != nil {
		return &t.source
	}
	return h.patterns[name]
}

func (h *Hub) newTopic(name string) *topic {
	name = strings.Clone(name) // a host may reuse its strings' memory
	t := &topic{source: source{name: name, lost: h.forgotten}}
	h.topics[name] = t
	return t
}

// refresh updates a topic's sources if patterns have changed.
func (h *Hub) refresh(t *topic) {
	if t.sources == nil || t.asOf != h.changes {
		h.work += coldWork
		if t.parts != nil {
			h.refreshParts(t)
		} else {
			t.sources = h.tree.match(t.name, append(t.sources[:0], &t.source), &h.work)
		}
		t.asOf = h.changes
	}
	h.work += len(t.sources)
}
