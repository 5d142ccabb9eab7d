package host

import (
	"sync"
	"time"
)

// linger is how long a client may take to close its side of a connection after ours.
// Closing the whole connection sooner could destroy what is still in transit.
const linger = 500 * time.Millisecond

// theLobby holds all connections that linger.
var theLobby lobby

// A lobby closes connections that have lingered long enough, unless their clients have
// closed them before. It has one timer for all, because many sessions may end together.
type lobby struct {
	mu    sync.Mutex
	queue []lingering // ordered by due
	armed bool        // the timer will fire
}

type lingering struct {
	conn *detachedConn
	due  int64 // in terms of clock
}

func (l *lobby) enter(c *detachedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, lingering{c, clock() + int64(linger)})
	l.arm()
}

// arm starts the timer for the first connection, unless it is running.
func (l *lobby) arm() {
	if !l.armed && len(l.queue) > 0 {
		l.armed = true
		time.AfterFunc(time.Duration(l.queue[0].due-clock()), l.close)
	}
}

// close closes the connections that are due.
func (l *lobby) close() {
	for c := l.next(); c != nil; c = l.next() {
		c.stopLingering()
	}
}

// next removes and returns the first connection if it is due. If not, it returns nil and
// arms the timer.
func (l *lobby) next() *detachedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && l.queue[0].due <= clock() {
		c := l.queue[0].conn
		l.queue[0] = lingering{}
		l.queue = l.queue[1:]
		return c
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
	l.armed = false
	l.arm()
	return nil
}
