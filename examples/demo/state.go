package main

import (
	"context"
	"strings"
	"sync"
	"time"
)

const (
	goodToken  = "123"
	maxNotices = 20
)

// notices are the unread notices of the only user, who has the good token.
type notices struct {
	mu     sync.Mutex
	unread []string
}

// add reports whether there was room.
func (n *notices) add(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.unread) >= maxNotices {
		return false
	}
	n.unread = append(n.unread, text)
	return true
}

// take removes and returns the oldest notice.
func (n *notices) take() (text string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.unread) == 0 {
		return "", false
	}
	text, n.unread = n.unread[0], n.unread[1:]
	return text, true
}

func (n *notices) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unread)
}

// jobs remembers when each job began. Two are known.
type jobs struct {
	mu             sync.Mutex
	backup, report time.Time
}

// begin returns when the job began. A job that has ended, after length, begins again,
// unless the client has seen some of it. If the client has seen some of a job that is not
// known here, the job began that long ago.
func (j *jobs) begin(name string, seen, length time.Duration) (begin time.Time, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var job *time.Time
	switch name {
	case "backup":
		job = &j.backup
	case "report":
		job = &j.report
	default:
		return time.Time{}, false
	}
	if job.IsZero() || seen == 0 && time.Since(*job) > length {
		*job = time.Now().Add(-seen)
	}
	return *job, true
}

// drops lets the page cut its own streams, to show that the browser reconnects and that
// the stream continues where it left off.
type drops struct{ sessions sync.Map } // from a string to a *context.CancelFunc

// context returns a context that ends with ctx, or when the session is dropped.
func (d *drops) context(ctx context.Context, session string) context.Context {
	if session == "" {
		return ctx
	}
	session = strings.Clone(session) // fiber reuses the memory of its strings
	ctx, cancel := context.WithCancel(ctx)
	d.sessions.Store(session, &cancel)
	context.AfterFunc(ctx, func() { d.sessions.CompareAndDelete(session, &cancel) })
	return ctx
}

// drop reports whether there was such a session.
func (d *drops) drop(session string) bool {
	cancel, ok := d.sessions.LoadAndDelete(session)
	if ok {
		(*cancel.(*context.CancelFunc))() //nolint:forcetypeassert // the map's only type
	}
	return ok
}
