package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// A Position is where a subscription begins if its client sends no last event ID.
// It is [Now], [Oldest], or [After] an event.
type Position struct {
	after  string
	oldest bool
}

var (
	// Now is the position of what is published from now on. It is the zero Position.
	Now = Position{}

	// Oldest is the position of the oldest event that is held, and that [WithMaxReplay]
	// allows.
	Oldest = Position{oldest: true}
)

// After returns the position after the event that has this ID. An empty ID stands for
// [Now].
func After(id string) Position { return Position{after: id} }

// A subscriber takes at most about this many bytes of frames and this many frames at once.
// With many names it takes fewer frames, because each is looked for under all of them.
const (
	batchSize   = 128 << 10
	batchFrames = 1 << 10
	batchWork   = 1 << 14
)

// Subscribe returns the events of some topics and patterns (see [Check]), in the
// order in which they were published. It begins after the client's last event ID
// (see [core.LastEventID]), or at the time of this call if there is none.
//
// The stream has every event after that, or a gap event (see [Gap]) where the log
// has dropped some. It ends when ctx does, with the session that it is returned to, and with
// [Hub.Kick], [Hub.Finish] and [Hub.Shutdown].
// Its only element is an error if [Check] refuses the names, or [core.ErrShutdown] if it
// begins after a Shutdown. If Subscribe itself was called after that, the client also gets
// a 503, as long as the view returns the stream and ctx is that of its request.
//
// The client chooses its last event ID, and may send any. So beginning at the time of the
// call does not keep older events from anybody: a client that may not read a topic's past
// must not subscribe to it, unless [WithMaxReplay] bounds how much of it a client gets.
//
// Nothing is held until the stream runs. It may run several times, even at once;
// each run is a subscription of its own. Return it from the view as it is if
// you can: then its frames are encoded once for all clients. A generator that
// ranges over it gets the same events, decoded.
func (h *Hub) Subscribe(ctx context.Context, topics ...string) core.Stream {
	return h.SubscribeFrom(ctx, Now, topics...)
}

// SubscribeFrom is Subscribe for clients whose first connection does not begin now, but
// with the [Oldest] event, or [After] an event whose ID has come in another way than in the
// Last-Event-ID header, such as with the page. The client's own last event ID, which
// [core.LastEventID] returns, takes precedence.
func (h *Hub) SubscribeFrom(ctx context.Context, from Position, topics ...string) core.Stream {
	return h.subscribe(ctx, topics, selection{from: from})
}

// SubscribeWith is Subscribe with options.
func (h *Hub) SubscribeWith(ctx context.Context, topics []string, opts ...SubscribeOption) core.Stream {
	var with selection
	for _, o := range opts {
		if o != nil {
			o(&with)
		}
	}
	return h.subscribe(ctx, topics, with)
}

func (h *Hub) subscribe(ctx context.Context, topics []string, with selection) core.Stream {
	err := Check(topics...)
	topics = distinct(topics)
	begin, closed := h.locate(core.LastEventID(ctx), with)
	if closed && err == nil {
		err = errShutdown
		core.Refuse(ctx, err)
	}
	var stream core.Stream
	stream = func(yield func(core.Event, error) bool) {
		if err != nil {
			yield(core.Event{}, err)
			return
		}
		s := &subscription{hub: h, ctx: ctx, start: begin, choice: with.choice}
		if err := s.run(stream, topics, yield); err != nil {
			yield(core.Event{}, err)
		}
	}
	return stream
}

// distinct returns a copy without repeats.
func distinct(names []string) []string {
	if len(names) == 1 {
		return []string{names[0]}
	}
	seen := make(map[string]bool, len(names))
	var kept []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			kept = append(kept, name)
		}
	}
	return kept
}

// A start is where in the log a subscription begins. Its cursor moves on later.
type start struct {
	cursor   uint64   // everything up to this event has been read
	gap      *Gap     // the client is told of it first
	oldest   bool     // it begins with the oldest event that is held when the stream begins
	resuming bool     // WithMaxReplay has yet to be applied
	horizon  int64    // for resuming: what has come before is too old; in ns since the hub began
	request  *request // only for a hub with a Log, until arrive
}

// A request is what a client has asked of a hub with a Log.
type request struct {
	lastEventID string
	from        Position
	newest      string // the ID at the call of Subscribe; empty if the log had not answered
}

// locate returns where a client begins, and whether the hub is closed.
func (h *Hub) locate(lastEventID string, with selection) (at start, closed bool) {
	h.lock()
	defer h.mu.Unlock()
	from := with.from
	if h.follower != nil {
		at = start{cursor: h.last, request: &request{lastEventID, from, h.follower.at}}
	} else {
		at = h.find(lastEventID, from)
	}
	at.resuming, at.horizon = h.maxReplay > 0, h.now()-int64(h.maxReplay)
	if with.state != nil && lastEventID == "" && from == Now {
		at.gap = &Gap{} // so that the client is sent the state
	}
	return at, h.closed
}

// find returns where in the memory a client begins.
func (h *Hub) find(lastEventID string, from Position) start {
	var gap *Gap
	for _, id := range []string{lastEventID, from.after} {
		if id == "" {
			continue
		}
		epoch, number, ok := parseID(id)
		switch {
		case ok && epoch != h.epoch:
			return start{oldest: true, gap: &Gap{Reason: GapRestarted, After: id}}
		case ok && number <= h.last:
			return start{cursor: number, gap: gap}
		case gap == nil:
			gap = &Gap{Reason: GapUnknown, After: id}
		}
	}
	return start{cursor: h.last, oldest: from.oldest, gap: gap}
}

// A subscription is a position in the log that moves on. The hub's lock guards its links,
// ending and final; the rest belongs to the stream.
type subscription struct {
	start
	choice

	hub *Hub
	ctx context.Context //nolint:containedctx // it ends the stream

	joined int32       // how many of links the join hook was called for
	idle   atomic.Bool // it has a filter, has read everything, and was not woken since
	moving bool        // it has read at least once, even if there was nothing
	ending bool        // the stream ends after the event of the number final
	over   bool        // the stream ends at once
	zipped bool        // its frames are blocks
	states uint8       // how many states were sent, one right after the other

	lost  uint64 // the last event that was lost to its patterns before they existed
	links []link
	final uint64

	listed uint64 // the links were enlisted when the hub's last event was listed-1; 0 if they never were

	older    uint64 // events up to this one must be searched for: its patterns do not have them
	searched uint64 // how far that search has come

	reach    *reach    // nil without a Log
	snapshot *snapshot // the state that is sent next; nil if none is
	errand   *errand   // for Prepare; nil if there is none

	// What is woken when there may be something to do.
	wake    atomic.Pointer[chan struct{}] // see listen
	feed    feed.Feed                     // of the session that the stream was handed over to; nil if it was not
	unwatch func() bool                   // see onClose; nil if there is nothing to stop
}

// A link is a subscription's membership of a source.
type link struct {
	subscription *subscription
	source       *source
	member       int    // its index in source.members
	slot         int    // its index in source.waiting, if it is there, or in source.watchers
	round        uint64 // it is in source.waiting if this is source.round+1
	next         int    // index of the next record, while records are taken

	passed atomic.Uint64 // events of the source up to this one were read, or the filter does not want them
}

// wakeToEnd is wakeUp for a subscription that must end, or whose context has ended.
func (s *subscription) wakeToEnd() {
	if s.feed != nil {
		s.feed.WakeToEnd()
	}
	s.wakeUp()
}

func (s *subscription) wakeUp() {
	if s.feed != nil {
		s.feed.Wake()
	}
	select {
	case s.bell() <- struct{}{}:
	default: // it is woken already, or has no goroutine
	}
}

// listen makes the bell of a goroutine, which wakeUp rings. Most subscriptions that were handed
// over have none.
func (s *subscription) listen() {
	bell := make(chan struct{}, 1)
	s.wake.Store(&bell)
}

// bell returns what listen has made, or nil.
func (s *subscription) bell() chan struct{} {
	if bell := s.wake.Load(); bell != nil {
		return *bell
	}
	return nil
}

// run runs the stream, or hands it over.
func (s *subscription) run(stream core.Stream, topics []string, yield func(core.Event, error) bool) error {
	if s.ctx.Err() != nil {
		return nil
	}
	f, own := feed.Of(yield)
	if own && s.ctx != f.Context() {
		s.endWith(f.Context())
	}
	s.zipped = own && f.Compressed()
	if own && f.Handover(stream, s) {
		s.feed = f
	} else {
		s.listen()
		defer s.Close()
	}
	if s.hub.follower != nil {
		if err := s.arrive(); err != nil {
			s.over = true
			return ignoreEnd(err)
		}
	}
	if err := s.join(topics); err != nil {
		s.over = true // as for subscriptions that joined before the shutdown
		return ignoreEnd(err)
	}
	if s.feed == nil || s.ctx != f.Context() {
		s.onClose(context.AfterFunc(s.ctx, s.wakeToEnd)) // waiting for wake alone is cheaper than for two channels
	}
	for i := range s.links { // only a link's source may be read without the lock
		s.joined++
		if s.hub.config.join != nil {
			s.hub.config.join(context.WithoutCancel(s.ctx), s.links[i].source.name)
		}
	}
	switch {
	case s.feed != nil:
		return nil
	case own:
		return s.forward(f)
	default:
		return s.decode(yield)
	}
}

// endWith has the subscription end with its session, too. The application has given it another
// context, which may live longer.
func (s *subscription) endWith(session context.Context) {
	ctx, cancel := context.WithCancel(s.ctx)
	unwatch := context.AfterFunc(session, cancel)
	s.ctx = ctx
	s.onClose(func() bool { cancel(); return unwatch() })
}

// onClose has Close call stop before what earlier calls have asked for.
func (s *subscription) onClose(stop func() bool) {
	if before := s.unwatch; before != nil {
		s.unwatch = func() bool { stop(); return before() }
		return
	}
	s.unwatch = stop
}

// take appends about most bytes of frames that have not been read. If there are no
// more, the subscription is woken when there may be. An error comes without frames. It is
// io.EOF if there will never be more, or if the context has ended.
func (s *subscription) take(frames *[][]byte, most int) (more bool, err error) {
	gap, more, err := s.read(frames, most)
	switch {
	case err == errPage: //nolint:errorlint // the very one
		return true, s.page(frames)
	case err == errState: //nolint:errorlint // the very one
		return true, s.sendState(frames, most)
	case gap != nil:
		return true, s.tell(frames, gap)
	case more && len(*frames) == 0:
		runtime.Gosched() // a step of many
	}
	return more, err
}

// tell appends a gap event. It calls the application, so the hub must not be locked, and
// it must not run in a worker's goroutine.
func (s *subscription) tell(frames *[][]byte, gap *Gap) error {
	if s.state == nil { // otherwise startOver has counted it
		s.hub.gaps.add(gap.Reason)
	}
	if s.gapErrors {
		return &GapError{*gap}
	}
	e := s.hub.gapEvent(*gap)
	e.ID = gap.Through
	frame, err := s.encoder().encode(e)
	if err != nil {
		return fmt.Errorf("hub: gap event: %w", err)
	}
	*frames = append(*frames, frame)
	return nil
}

// errPage means that what comes next must be read from the Log.
var errPage = errors.New("hub: not in memory")

// read is take for the memory. It leaves slow work to the caller: telling of a gap, for
// which it returns the gap and no frames, reading from the Log, for which the error is
// errPage, the state, for which it is errState, and the blocks of many events for a session that a
// worker serves, for which it is errBlocks.
func (s *subscription) read(frames *[][]byte, most int) (gap *Gap, more bool, err error) {
	if s.filter != nil || s.zipped {
		gap, more, err = s.readSome(frames, most)
	} else {
		gap, more, err = s.readAll(&batch{frames: frames}, most)
	}
	if n := len(*frames); n > 0 {
		s.hub.delivered.Add(int64(n))
	}
	return gap, more, err
}

// readAll is read without the filter.
func (s *subscription) readAll(to *batch, most int) (gap *Gap, more bool, err error) {
	if s.over || s.ctx.Err() != nil {
		return nil, false, io.EOF
	}
	h := s.hub
	h.lock()
	defer h.mu.Unlock()
	if s.filter != nil {
		s.idle.Store(false)
	}
	switch {
	case h.trim():
		return nil, true, nil
	case s.snapshot != nil:
		return nil, true, errState
	case s.gap != nil && s.state != nil:
		return nil, true, s.startOver(s.gap)
	}
	if s.reach != nil {
		gap = s.brokenOff()
		if gap == nil && !s.locate() {
			return nil, true, errPage
		}
	}
	switch {
	case gap != nil:
	case s.bound():
		return nil, true, nil
	case s.reach != nil:
		gap = s.pending()
	default:
		gap = s.overtaken()
	}
	switch {
	case s.lagged(gap):
		return nil, false, ErrLagged
	case gap != nil && s.state != nil:
		return nil, true, s.startOver(gap)
	case gap != nil:
		return gap, true, nil
	}
	s.states = 0
	toCome := s.toCome()
	more = s.takeHeld(to, most)
	if s.reach != nil {
		s.moved(!more && !s.ending) // or only to where it ends
	}
	switch {
	case more:
		return nil, true, nil
	case toCome && to.size() == 0:
		return nil, true, errPage
	case s.ending && to.size() == 0:
		return nil, false, h.ending()
	case s.ending:
		return nil, true, nil
	}
	s.enlist()
	return nil, false, nil
}
