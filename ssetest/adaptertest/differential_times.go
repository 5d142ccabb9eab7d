package adaptertest

import (
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// slacks are how much longer than the model says things may take in the first try of a
// program and in the next ones, because the machine may be busy.
var slacks = []time.Duration{10 * time.Second, 15 * time.Second, 20 * time.Second}

// grace is how long a write may take when its session has ended, and how long a host may
// keep a connection open after that.
const grace = time.Second

// The times of a trial.
type times struct {
	opened time.Time
	due    time.Time     // when something should have ended the session; zero if nothing has
	cause  string        // what
	reader bool          // it ends the session only when the client has everything
	read   time.Time     // when the client last got something
	closed time.Time     // when the observer was told of its end
	done   time.Time     // when the client was at its end
	yield  time.Duration // the longest call
}

// owe says that the session must come to its end after at, because of cause. The first time
// counts.
func (r *trial) owe(cause string, at time.Time) {
	r.update(func() {
		if t := &r.times; t.due.IsZero() || t.reader || at.Before(t.due) {
			t.due, t.cause, t.reader = at, cause, false
		}
	})
}

// oweReader is owe for what ends the session when its client has everything, which does not
// count if there is something else.
func (r *trial) oweReader(cause string) {
	r.update(func() {
		if t := &r.times; t.due.IsZero() && r.reads() {
			t.due, t.cause, t.reader = time.Now(), cause, true
		}
	})
}

// begin says when a session that has begun must end.
func (r *trial) begin() {
	now := time.Now()
	r.update(func() { r.times.opened = now })
	for _, limit := range []struct {
		cause string
		after time.Duration
	}{{"its maximum duration", r.MaxAge}, {"its deadline", r.Deadline}} {
		if limit.after > 0 {
			r.owe(limit.cause, now.Add(limit.after))
		}
	}
	if r.Expiry == soon {
		r.owe("its credential's expiry", r.guarded.expires)
	}
}

// close records the end of a session.
func (r *trial) close(end core.Summary) {
	now := time.Now()
	if same(end.Cause, core.ErrExpired) && now.Before(r.guarded.expires) {
		r.problemf("the session ends %v before it expires", r.guarded.expires.Sub(now))
	}
	r.update(func() {
		r.ended = append(r.ended, end)
		r.times.closed = now
	})
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// late says what has taken too long. A session that must end may be in the middle of a
// write, and then has to write what waits, and the end.
func (r *trial) late(slack time.Duration) (all []string) {
	check := func(what string, took, bound time.Duration) {
		if took > bound {
			all = append(all, fmt.Sprintf("%s takes %v, want at most %v", what, took, bound))
		}
	}
	t := &r.times
	if t.opened.IsZero() || t.closed.IsZero() {
		return nil // which is a problem in itself, or there was no session
	}
	if !t.due.IsZero() {
		since := latest(t.due, t.opened)
		if t.reader {
			since = latest(since, t.read)
		}
		check("the session's end after "+t.cause, t.closed.Sub(since), 3*grace+slack)
	}
	if !t.done.IsZero() { // a client takes its time for what it still reads
		check("the client's end after the session's", t.done.Sub(latest(t.closed, t.read)), grace+slack)
	}
	if r.WriteTimeout > 0 { // of another write, too, that yield waits for
		check("a call of yield", t.yield, 2*r.WriteTimeout+grace+slack)
	}
	return all
}
