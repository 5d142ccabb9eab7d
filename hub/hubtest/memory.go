package hubtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/hub"
)

// A MemoryLog is a [hub.Log] in memory, for tests: the hubs of one process can
// share it as those of several processes share a real one, and it fails on demand.
// The zero MemoryLog works. Its methods may be called by any goroutine.
type MemoryLog struct {
	mu      sync.Mutex
	epoch   string
	first   int // the number of the first entry that is kept
	entries []hub.Entry
	once    map[string]string
	err     error
	changed chan struct{} // closed at the next change
}

// idle is how often a follower hears from a silent log.
const idle = time.Second

// lock locks the log, and returns what is closed at the next change.
func (l *MemoryLog) lock() (changed chan struct{}) {
	l.mu.Lock()
	if l.changed == nil {
		l.changed, l.first, l.epoch = make(chan struct{}), 1, newEpoch()
		l.once = make(map[string]string)
	}
	return l.changed
}

func (l *MemoryLog) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Fail makes all calls fail with err, including those of followers, until Fail(nil).
func (l *MemoryLog) Fail(err error) {
	l.lock()
	defer l.mu.Unlock()
	l.err = err
	l.change()
}

// Trim drops the oldest entries until n are left.
func (l *MemoryLog) Trim(n int) {
	l.lock()
	defer l.mu.Unlock()
	if drop := len(l.entries) - n; drop > 0 {
		l.entries = l.entries[drop:]
		l.first += drop
	}
}

// Restart empties the log, which begins a new epoch.
func (l *MemoryLog) Restart() {
	l.lock()
	defer l.mu.Unlock()
	l.epoch = newEpoch()
	l.first, l.entries, l.once = 1, nil, make(map[string]string)
	l.change()
}

// newEpoch returns what all IDs of one epoch begin with.
func newEpoch() string { return "m" + strings.ToLower(rand.Text()[:8]) }

func (l *MemoryLog) id(number int) string { return l.epoch + "-" + strconv.Itoa(number) }

// parse returns the number of an ID of the present epoch.
func (l *MemoryLog) parse(id string) (int, error) {
	epoch, digits, ok := strings.Cut(id, "-")
	number, err := strconv.Atoi(digits)
	if !ok || err != nil || len(epoch) != 9 || epoch[0] != 'm' || digits != strconv.Itoa(number) || number < 0 {
		return 0, fmt.Errorf("hubtest: %q is not an ID of this log", id)
	}
	if epoch != l.epoch {
		return 0, hub.ErrOtherEpoch
	}
	return number, nil
}

// Append implements [hub.Log].
func (l *MemoryLog) Append(ctx context.Context, e hub.Entry) (string, error) {
	l.lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case l.err != nil:
		return "", l.err
	}
	if id, ok := l.once[e.IdempotencyKey]; ok && e.IdempotencyKey != "" {
		return id, nil
	}
	e.ID, e.Time = l.id(l.first+len(l.entries)), time.Now()
	l.once[e.IdempotencyKey] = e.ID
	e.IdempotencyKey = ""
	l.entries = append(l.entries, e)
	l.change()
	return e.ID, nil
}

// Last implements [hub.Log].
func (l *MemoryLog) Last(context.Context) (string, error) {
	l.lock()
	defer l.mu.Unlock()
	return l.id(l.first + len(l.entries) - 1), l.err
}

// Range implements [hub.Log].
func (l *MemoryLog) Range(_ context.Context, after string, n int) ([]hub.Entry, error) {
	l.lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	return l.after(after, n)
}

// TopicOf implements [hub.Log].
func (l *MemoryLog) TopicOf(_ context.Context, id string) (string, error) {
	l.lock()
	defer l.mu.Unlock()
	number, err := l.parse(id)
	switch {
	case l.err != nil:
		return "", l.err
	case errors.Is(err, hub.ErrOtherEpoch):
		return "", nil
	case err != nil:
		return "", err
	case number < l.first || number >= l.first+len(l.entries):
		return "", nil
	}
	return l.entries[number-l.first].Topic, nil
}

func (l *MemoryLog) after(after string, n int) ([]hub.Entry, error) {
	front := hub.Entry{ID: l.id(l.first - 1)}
	if after == "" {
		return append([]hub.Entry{front}, l.entries[:min(n, len(l.entries))]...), nil
	}
	number, err := l.parse(after)
	front.Gap = true
	switch {
	case errors.Is(err, hub.ErrOtherEpoch):
		return []hub.Entry{front}, nil
	case err != nil:
		return nil, err
	case number < l.first-1:
		return append([]hub.Entry{front}, l.entries[:min(n, len(l.entries))]...), nil
	}
	rest := l.entries[min(number-l.first+1, len(l.entries)):]
	return append([]hub.Entry(nil), rest[:min(n, len(rest))]...), nil
}

// Follow implements [hub.Log].
func (l *MemoryLog) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		beat := time.NewTicker(idle)
		defer beat.Stop()
		for ctx.Err() == nil {
			changed := l.lock()
			var entries []hub.Entry
			err := l.err
			switch {
			case err != nil:
			case after == "":
				entries = []hub.Entry{{ID: l.id(l.first + len(l.entries) - 1)}}
			default:
				entries, err = l.after(after, 1)
			}
			l.mu.Unlock()
			if err != nil {
				yield(hub.Entry{}, err)
				return
			}
			for _, e := range entries {
				after = e.ID
				if !yield(e, nil) {
					return
				}
			}
			if len(entries) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-beat.C:
				if !yield(hub.Entry{}, nil) {
					return
				}
			case <-ctx.Done():
			}
		}
	}
}

// Compare implements [hub.Log].
func (l *MemoryLog) Compare(a, b string) (int, error) {
	l.lock()
	defer l.mu.Unlock()
	x, err := l.parse(a)
	if err != nil {
		return 0, err
	}
	y, err := l.parse(b)
	return x - y, err
}

// order compares two IDs of one epoch, which need not be the present one.
func (l *MemoryLog) order(a, b string) (int, error) {
	epoch, digits, ok := strings.Cut(a, "-")
	other, more, _ := strings.Cut(b, "-")
	x, err1 := strconv.Atoi(digits)
	y, err2 := strconv.Atoi(more)
	switch {
	case !ok || err1 != nil || err2 != nil || len(epoch) != len(other):
		return 0, errors.New("hubtest: not an ID")
	case epoch != other:
		return 0, hub.ErrOtherEpoch
	}
	return x - y, nil
}
