package hubtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/hub"
)

// errAccident is what an unreliable log fails with.
var errAccident = errors.New("hubtest: an accident")

// An unreliable is a log that fails in ways that a log may.
type unreliable struct {
	hub.Log

	t    testing.TB
	page int // the most entries of a page; 0 is no limit

	mu      sync.Mutex
	now     accidents
	changed chan struct{} // closed when now changes
}

// The accidents that last.
type accidents struct {
	appends  act // doFailAppend, doLoseAnswer, or 0
	reads    act // doFailRange, doHangRange, or 0
	heldUp   bool
	breakOff int // after how many entries Follow fails; 0 is never
}

func newUnreliable(t testing.TB, l hub.Log, page int) *unreliable {
	return &unreliable{Log: l, t: t, page: page, changed: make(chan struct{})}
}

// fail begins an accident, or ends all of them if what is doRecover.
func (l *unreliable) fail(what act, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch what {
	case doFailAppend, doLoseAnswer:
		l.now.appends = what
	case doFailRange, doHangRange:
		l.now.reads = what
	case doBreakOff:
		l.now.breakOff = 1 + n%5
	case doHoldUp:
		l.now.heldUp = true
	default:
		l.now = accidents{}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *unreliable) state() (now accidents, changed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.changed
}

// Append implements [hub.Log].
func (l *unreliable) Append(ctx context.Context, e hub.Entry) (string, error) {
	now, _ := l.state()
	if now.appends == doFailAppend {
		return "", errAccident
	}
	id, err := l.Log.Append(ctx, e)
	if now.appends == doLoseAnswer && err == nil {
		return "", errAccident
	}
	return id, err
}

// Last implements [hub.Log].
func (l *unreliable) Last(ctx context.Context) (string, error) {
	if err := l.reads(ctx); err != nil {
		return "", err
	}
	return l.Log.Last(ctx)
}

// Range implements [hub.Log].
func (l *unreliable) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	if err := l.reads(ctx); err != nil {
		return nil, err
	}
	if l.page > 0 {
		n = min(n, l.page)
	}
	entries, err := l.Log.Range(ctx, after, n)
	if wrong := judgePage(l.Log, entries); wrong != nil {
		l.t.Errorf("the page after %q: %v", after, wrong)
	}
	return entries, err
}

// judgePage returns what is wrong with a page, whatever is in the log.
func judgePage(l hub.Log, entries []hub.Entry) error {
	for i := 1; i < len(entries); i++ {
		e := entries[i]
		if e.Gap {
			return fmt.Errorf("entry %d, %q, is a gap, which may only be the first one", i, e.ID)
		}
		order, err := l.Compare(entries[i-1].ID, e.ID)
		if err == nil && order >= 0 {
			return fmt.Errorf("entry %d, %q, comes after %q", i, e.ID, entries[i-1].ID)
		}
	}
	return nil
}

// TopicOf implements [hub.Log].
func (l *unreliable) TopicOf(ctx context.Context, id string) (string, error) {
	if err := l.reads(ctx); err != nil {
		return "", err
	}
	return l.Log.TopicOf(ctx, id)
}

// reads fails or hangs if it should.
func (l *unreliable) reads(ctx context.Context) error {
	for {
		now, changed := l.state()
		switch now.reads {
		case doFailRange:
			return errAccident
		case doHangRange:
			select {
			case <-changed:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		default:
			return nil
		}
	}
}

// Follow implements [hub.Log].
func (l *unreliable) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		for e, err := range l.Log.Follow(ctx, after) {
			if err == nil && l.breaksOff(e) {
				yield(hub.Entry{}, errAccident)
				return
			}
			if !l.passes(ctx) || !yield(e, err) {
				return
			}
		}
	}
}

func (l *unreliable) breaksOff(e hub.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.breakOff == 0 || e.ID == "" {
		return false
	}
	l.now.breakOff--
	return l.now.breakOff == 0
}

// passes waits while Follow is held up, and reports whether it continues.
func (l *unreliable) passes(ctx context.Context) bool {
	for {
		now, changed := l.state()
		if !now.heldUp {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
