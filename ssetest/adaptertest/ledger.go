package adaptertest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
)

// A ledger is an observer that checks what it is told of each session: the writes come
// between the beginning and the end, one at a time, and sum up to the summary.
type ledger struct {
	mu      sync.Mutex
	open    map[context.Context]*account
	refused []*core.RefusedError
	wrong   []string
}

type account struct {
	core.Write

	busy bool
}

func (l *ledger) observer() core.Observer {
	l.open = make(map[context.Context]*account)
	return core.Observer{Refused: l.refuse, Opened: l.begin, Wrote: l.add, Closed: l.settle}
}

func (l *ledger) errorf(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *ledger) refuse(ctx context.Context, err *core.RefusedError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, err)
	if l.open[ctx] != nil || ctx.Err() == nil {
		l.errorf("Refused with %v: the session was opened %t, and its context has the error %v", err, l.open[ctx] != nil, ctx.Err())
	}
}

func (l *ledger) begin(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[ctx] = new(account)
}

func (l *ledger) add(ctx context.Context, w core.Write) {
	a := l.enter(ctx)
	if a == nil {
		return
	}
	a.Events += w.Events
	a.Bytes += w.Bytes
	a.Duration += w.Duration
	l.mu.Lock()
	defer l.mu.Unlock()
	a.busy = false
	if w.Events < 0 || w.Bytes < 0 || w.Duration < 0 || w.Heartbeat && (w.Events > 0 || w.Bytes == 0) {
		l.errorf("Wrote got %+v", w)
	}
}

// enter begins a call for a session.
func (l *ledger) enter(ctx context.Context) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.open[ctx]
	switch {
	case a == nil:
		l.errorf("Wrote or Closed was called before Opened or after Closed")
		return nil
	case a.busy:
		l.errorf("two calls for one session overlap")
	}
	a.busy = true
	return a
}

func (l *ledger) settle(ctx context.Context, end core.Summary) {
	a := l.enter(ctx)
	if a == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, ctx)
	whole := end.Cause == nil && end.Err == nil
	if int64(a.Bytes) != end.Bytes || a.Events > end.Events || whole && a.Events != end.Events || a.Duration > end.Duration {
		l.errorf("Wrote was told of %d events, %d bytes and %v in all, want those of %+v", a.Events, a.Bytes, a.Duration, end)
	}
}

// check reports what was wrong.
func (l *ledger) check(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.wrong {
		t.Errorf("the observer: %s", text)
	}
}

// wantRefused checks that the observer was told of the refusals of these statuses, and of no
// others.
func (l *ledger) wantRefused(t testing.TB, statuses ...int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []int
	for _, err := range l.refused {
		got = append(got, err.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(statuses) {
		t.Errorf("the observer was told of refusals with %v, want %v", got, statuses)
	}
}
