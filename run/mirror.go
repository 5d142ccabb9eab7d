package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// A mirror is what this process has read of a run from the store. Its hub has the same events
// with the same IDs as the one of the run's own process. While it has readers, a goroutine
// follows the run.
type mirror struct {
	runner *Runner
	store  Store
	key    string
	id     string
	lease  time.Duration
	hub    *hub.Hub
	wake   chan struct{} // has a value if there may be more in the store
	turn   chan struct{} // has a value while somebody reads the store

	bytes int64 // that the runner counts; guarded by the runner's lock

	// Of the one whose turn it is.

	cursor string

	mu      sync.Mutex // guards what follows
	asked   time.Time  // when the store was asked that has answered last, or when somebody began to wait for it
	events  int
	done    bool          // its streams have ended
	clean   bool          // cleanly
	moved   chan struct{} // closed when events have come, or the end
	readers int
	cancel  context.CancelFunc // ends the goroutine; nil if there is none
	idle    *time.Timer        // drops the mirror, unless it has readers
}

func newMirror(r *Runner, rec Record) (*mirror, error) {
	if !validID(rec.ID) {
		return nil, fmt.Errorf("run: %q: the store says that its ID is %q, which no run has", rec.Key, rec.ID)
	}
	m := &mirror{
		runner: r, store: r.config.store, key: rec.Key, id: rec.ID, lease: min(max(rec.Lease, time.Millisecond), pause.Longest),
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), moved: make(chan struct{}),
	}
	m.hub = hub.New(hub.WithMaxEvents(0), hub.WithMaxBytes(0), hub.WithEpoch(rec.ID),
		hub.WithJoin(func(context.Context, string) { m.join() }),
		hub.WithLeave(func(context.Context, string) { m.leave() }))
	m.idle = time.AfterFunc(m.lease, m.drop)
	return m, nil
}

// validID reports whether an ID has the form of those that hubs draw.
func validID(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return len(id) == 8 //nolint:mnd // see hub.WithEpoch
}

// attach returns the stream of a request, or refuses it. rec is what the store has just said of the run.
func (m *mirror) attach(ctx context.Context, a attach, rec Record) core.Stream {
	if !m.following() || rec.Outcome != "" { // it may not be up to date
		if _, err := m.update(ctx); err != nil {
			core.Refuse(ctx, err) // with 503
			return failed(err)
		}
	}
	if err := m.reach(ctx, core.LastEventID(ctx)); err != nil {
		return refuse(ctx, 410, err)
	}
	m.mu.Lock()
	events, clean := m.events, m.clean
	m.mu.Unlock()
	return a.stream(ctx, m.hub, events, clean)
}

// reach waits until the event with an ID has come. A client may have seen it in the run's own
// process, before it was in the store. That process retries what the store has not answered, so if the store says
// twice that it does not have the event, nothing is gained by waiting longer: the hub sends a gap, and then everything.
func (m *mirror) reach(ctx context.Context, id string) error {
	epoch, digits, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	if epoch != m.id || err != nil {
		return nil
	}
	m.join()
	defer m.leave()
	for answers := 0; ; {
		m.mu.Lock()
		events, done, moved := m.events, m.done, m.moved
		m.mu.Unlock()
		switch {
		case number <= uint64(events): //nolint:gosec // it is not negative
			return nil
		case done:
			return fmt.Errorf("run: %q: the client has seen more of it than the store: %w", m.key, ErrLost)
		case answers == 2: //nolint:mnd // see above
			return nil
		}
		select {
		case <-moved:
		case <-time.After(2 * retry(m.lease)): // so that the run's process has retried in the meantime
			if _, err := m.update(ctx); err == nil {
				answers++
			}
		case <-ctx.Done():
			return fmt.Errorf("run: %q: event %d has not reached the store: %w", m.key, number, context.Cause(ctx))
		}
	}
}

// following reports whether a goroutine follows the run.
func (m *mirror) following() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cancel != nil && !m.done
}

// join is called when a reader begins.
func (m *mirror) join() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers++
	m.idle.Stop()
	if m.cancel == nil && !m.done {
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(context.Background())
		m.asked = time.Now()
		go m.follow(ctx)
	}
}

// leave is called when a reader has ended.
func (m *mirror) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readers--; m.readers > 0 {
		return
	}
	m.idle.Reset(m.lease)
	if m.cancel != nil {
		m.cancel()
		m.cancel = nil
	}
}

func (m *mirror) drop() { m.runner.dropMirror(m) }

func (m *mirror) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// follow reads what comes.
func (m *mirror) follow(ctx context.Context) {
	defer m.signal() // the next one's signal may have come here
	defer m.store.Watch(m.key, HintEvents, m.signal)()
	for {
		next, err := m.update(ctx)
		if m.over() || ctx.Err() != nil {
			return
		}
		if err != nil {
			pause.For(ctx, retry(m.lease))
			continue
		}
		select {
		case <-m.wake:
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}

func (m *mirror) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}

// update reads all that the store has, and returns when to do so again at the latest. If the store
// has not answered for the time of a lease, the mirror ends: nobody can tell its readers
// whether the run goes on.
func (m *mirror) update(ctx context.Context) (next time.Duration, err error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	m.mu.Lock()
	if m.cancel == nil { // nobody waits yet
		m.asked = time.Now()
	}
	m.mu.Unlock()
	for !m.over() {
		began := time.Now()
		p, err := m.read(ctx)
		if err == nil && p.More && p.Cursor == m.cursor {
			err = errors.New("the store says that there is more, but does not return it")
		}
		switch {
		case errors.Is(err, ErrNotHeld):
			m.lose(fmt.Errorf("run: %q: the store does not hold it any more: %w", m.key, ErrLost))
		case err != nil && ctx.Err() == nil && !time.Now().Before(m.deadline()):
			m.lose(fmt.Errorf("run: %q: the store could not be read for %v: %w: %w", m.key, m.lease, ErrLost, err))
		case err != nil:
			return 0, err
		default:
			m.cursor = p.Cursor
			m.mu.Lock()
			if began.After(m.asked) {
				m.asked = began
			}
			m.mu.Unlock()
			if !m.add(p) {
				return min(renewal(m.lease), max(p.Record.Left, 0)+time.Millisecond), nil
			}
		}
	}
	return 0, nil
}

// deadline returns until when readers wait for an answer of the store.
func (m *mirror) deadline() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked.Add(m.lease)
}

func (m *mirror) read(ctx context.Context) (Page, error) {
	ctx, cancel := context.WithDeadline(ctx, earlier(time.Now().Add(attempt(m.lease)), m.deadline()))
	defer cancel()
	return m.store.Read(ctx, m.key, m.id, m.cursor)
}

// add adds a page, and reports whether to read on.
func (m *mirror) add(p Page) (more bool) {
	m.mu.Lock()
	events := m.events
	m.mu.Unlock()
	size := int64(0)
	for _, text := range p.Entries {
		n, err := m.publish(text)
		if err != nil {
			m.lose(fmt.Errorf("run: %q: event %d in the store: %w", m.key, events+1, err))
			return false
		}
		events++
		size += n
	}
	if size > 0 {
		m.runner.countMirror(m, size)
		m.move(func() { m.events = events })
	}
	_, end := p.Record.errors()
	switch {
	case p.More:
		return true
	case p.Record.Outcome == "":
		return false
	case p.Record.Events != events && p.Record.Outcome != Lost:
		end = fmt.Errorf("run: %q: the store has only %d of %d events: %w", m.key, events, p.Record.Events, ErrLost)
	}
	m.finish(end)
	return false
}

func (m *mirror) publish(text string) (size int64, err error) {
	var e core.Event
	if err := e.UnmarshalText([]byte(text)); err != nil {
		return 0, err
	}
	want := e.ID
	e.ID = ""
	id, err := m.hub.Publish(context.Background(), topic, e)
	if err == nil && id != want {
		err = fmt.Errorf("it has the ID %q instead of %q", want, id)
	}
	return sizeOf(e), err
}

// move changes something, and wakes those that wait for that.
func (m *mirror) move(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	close(m.moved)
	m.moved = make(chan struct{})
}

// finish ends the streams.
func (m *mirror) finish(end error) {
	if err := m.hub.Finish(end); err != nil {
		panic(err) // nobody else finishes it
	}
	m.move(func() { m.done, m.clean = true, end == nil })
}

// lose ends the streams although the run may go on: who attaches after that begins again.
func (m *mirror) lose(err error) {
	m.drop()
	m.finish(err)
}
