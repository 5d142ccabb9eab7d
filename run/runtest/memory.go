package runtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/internal/watch"
	"github.com/yieldsse/yieldsse/run"
)

// A Memory is a store in the memory of this process, for tests. The zero Memory is empty. It
// has no goroutines or timers, so it may be used in a testing/synctest bubble.
type Memory struct {
	watchers watch.Set // by hints and keys

	mu   sync.Mutex       // guards what follows
	now  map[string]*held // by the keys
	all  map[string]*held // by the keys and IDs
	down bool
}

// held is a run.
type held struct {
	run.Record

	entries []string
	until   time.Time // the end of the lease, or of what is held after the run's end
	stop    *run.StopRequest
}

var _ run.Store = (*Memory)(nil)

var errDown = errors.New("runtest: the store is down")

// SetDown has all calls fail until it is called with false.
func (m *Memory) SetDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// Clear forgets all runs.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.now)
	clear(m.all)
}

// begin locks the store.
func (m *Memory) begin(ctx context.Context) (unlock func(), err error) {
	m.mu.Lock()
	switch {
	case m.down:
		err = errDown
	case ctx.Err() != nil:
		err = fmt.Errorf("runtest: %w", context.Cause(ctx))
	default:
		return m.mu.Unlock, nil
	}
	m.mu.Unlock()
	return nil, err
}

// find returns a run, or nil. With an empty ID it returns the run that the key has now.
func (m *Memory) find(key, id string) *held {
	h := m.all[key+" "+id]
	if id == "" {
		h = m.now[key]
	}
	if h == nil {
		return nil
	}
	if h.Outcome == "" && !time.Now().Before(h.until) {
		h.Outcome, h.Ended = run.Lost, h.until
		h.until = h.until.Add(max(h.Retention, h.Lease))
		m.hint(key, run.HintEvents)
	}
	switch now := time.Now(); {
	case h.Outcome == "":
		return h
	case !now.Before(h.until):
		delete(m.all, key+" "+h.ID)
		if m.now[key] == h {
			delete(m.now, key)
		}
		return nil
	case id == "" && !now.Before(h.Ended.Add(h.Retention)):
		return nil
	}
	return h
}

// record returns what the store says of a run.
func (h *held) record() run.Record {
	r := h.Record
	if r.Outcome == "" {
		r.Left = time.Until(h.until)
	}
	return r
}

// Claim implements [run.Store].
func (m *Memory) Claim(ctx context.Context, c run.Claim) (run.Record, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return run.Record{}, err
	}
	defer unlock()
	if h := m.find(c.Key, ""); h != nil && (h.Outcome == "" || h.ID == c.ID) {
		return h.record(), nil
	}
	h := &held{Record: run.Record{Claim: c, Started: time.Now()}, until: time.Now().Add(c.Lease)}
	if m.all == nil {
		m.all, m.now = make(map[string]*held), make(map[string]*held)
	}
	m.all[c.Key+" "+c.ID], m.now[c.Key] = h, h
	return h.record(), nil
}

// Append implements [run.Store].
func (m *Memory) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	h := m.find(c.Key, c.ID)
	switch {
	case h == nil || h.Outcome != "":
		return nil, fmt.Errorf("runtest: append to %q: %w", c.Key, run.ErrLost)
	case b.First > len(h.entries)+1:
		return nil, fmt.Errorf("runtest: append to %q: entries before %d are missing: %w", c.Key, b.First, run.ErrLost)
	}
	if n := len(h.entries) - b.First + 1; n < len(b.Entries) {
		h.entries = append(h.entries, b.Entries[n:]...)
		h.Events, h.Bytes = len(h.entries), b.Bytes
		m.hint(c.Key, run.HintEvents)
	}
	h.until = time.Now().Add(c.Lease)
	return h.stop, nil
}

// End implements [run.Store].
func (m *Memory) End(ctx context.Context, c run.Claim, e run.End) error {
	unlock, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	h := m.find(c.Key, c.ID)
	switch {
	case h != nil && h.End == e:
		return nil
	case h == nil || h.Outcome != "" || len(h.entries) != e.Events:
		return fmt.Errorf("runtest: end %q: %w", c.Key, run.ErrLost)
	}
	h.End, h.Ended = e, time.Now()
	h.until = h.Ended.Add(max(c.Retention, c.Lease))
	m.hint(c.Key, run.HintEvents)
	return nil
}

// Get implements [run.Store].
func (m *Memory) Get(ctx context.Context, key string) (run.Record, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return run.Record{}, err
	}
	defer unlock()
	h := m.find(key, "")
	if h == nil {
		return run.Record{}, run.ErrNotHeld
	}
	return h.record(), nil
}

// Read implements [run.Store]. A page has at most 100 entries.
func (m *Memory) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return run.Page{}, err
	}
	defer unlock()
	h := m.find(key, id)
	if h == nil {
		return run.Page{}, run.ErrNotHeld
	}
	from, _ := strconv.Atoi(cursor) // an empty one is 0
	from = min(from, len(h.entries))
	to := min(from+100, len(h.entries))
	return run.Page{
		Record: h.record(), Entries: slices.Clone(h.entries[from:to]), Cursor: strconv.Itoa(to), More: to < len(h.entries),
	}, nil
}

// Stop implements [run.Store].
func (m *Memory) Stop(ctx context.Context, key string, r run.StopRequest) (run.Record, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return run.Record{}, err
	}
	defer unlock()
	h := m.find(key, "")
	if h == nil {
		return run.Record{}, run.ErrNotHeld
	}
	if h.Outcome == "" && h.stop == nil {
		h.stop = &r
		m.hint(key, run.HintStop)
	}
	return h.record(), nil
}

// List implements [run.Store].
func (m *Memory) List(ctx context.Context) ([]run.Record, error) {
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var all []run.Record
	for key := range m.now {
		if h := m.find(key, ""); h != nil {
			all = append(all, h.record())
		}
	}
	return all, nil
}

// Watch implements [run.Store].
func (m *Memory) Watch(key string, h run.Hint, f func()) (cancel func()) {
	return m.watchers.Add(string(h)+" "+key, f)
}

func (m *Memory) hint(key string, h run.Hint) { m.watchers.Call(string(h) + " " + key) }
