package host

import (
	"sync"
	"time"
)

// linger is how long a client may take to close its side of a connection that has
// ended. To close ours sooner could destroy what is still under way to it.
const linger = 500 * time.Millisecond

// theLobby has all connections that have ended and linger.
var theLobby lobby

// A lobby closes connections when they have lingered, unless their clients have done
// so before. It has one timer for all: many sessions may end together.
type lobby struct {
	mu    sync.Mutex
	queue []lingering // in the order in which they are due
	armed bool        // the timer will fire
}

type lingering struct {
	wire *wire
	due  int64 // as clock has it
}

func (l *lobby) enter(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, lingering{w, clock() + int64(linger)})
	l.arm()
}

// arm has the timer fire when the first one is due.
func (l *lobby) arm() {
	if !l.armed && len(l.queue) > 0 {
		l.armed = true
		time.AfterFunc(time.Duration(l.queue[0].due-clock()), l.close)
	}
}

// close closes those that are due.
func (l *lobby) close() {
	for w := l.leave(); w != nil; w = l.leave() {
		w.part()
	}
}

// leave takes the first one that is due, or arms the timer for the next one.
func (l *lobby) leave() *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && l.queue[0].due <= clock() {
		w := l.queue[0].wire
		l.queue[0] = lingering{}
		l.queue = l.queue[1:]
		return w
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
	l.armed = false
	l.arm()
	return nil
}
