package host

import (
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// An ender ends sessions that were handed over, one after the other, in a goroutine that
// exists only while there are any. Many may end at once, and a goroutine for each of them
// would take the CPU from the workers.
//
// Ending a session calls functions of the application, and may wait for a client. If
// that takes long, other goroutines continue with the other sessions, twice as many each
// time, so that stuck clients do not add up for the rest.
type ender struct {
	mu    sync.Mutex
	queue []ending
	busy  int    // goroutines at work
	begun uint64 // endings that they have begun
	seen  uint64 // begun, when help last looked
	armed bool   // help will be called
}

// An ending is what has to be done for a session: to run stream, after which it ends. If
// stream is nil, the session is served first, which may wait for the client.
type ending struct {
	conn   *detachedConn
	stream core.Stream
}

// stall is how long endings may take before other goroutines help.
const stall = 100 * time.Millisecond

func (e *ender) push(x ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, x)
	if e.busy == 0 {
		e.start()
	} else if !e.armed {
		e.watch()
	}
}

// watch arranges a call of help.
func (e *ender) watch() {
	e.armed, e.seen = true, e.begun
	time.AfterFunc(stall, e.help)
}

func (e *ender) start() {
	e.busy++
	go e.run()
}

// help doubles the number of goroutines if no ending has begun since it last looked.
func (e *ender) help() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.armed = len(e.queue) > 0; !e.armed {
		return
	}
	if e.begun == e.seen {
		for range min(e.busy, len(e.queue)) {
			e.start()
		}
	}
	e.watch()
}

func (e *ender) run() {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.busy--; e.busy == 0 && len(e.queue) > 0 {
			e.start() // a function of the application has ended the goroutine
		}
	}()
	for x, ok := e.pull(); ok; x, ok = e.pull() {
		if x.stream == nil {
			x.conn.serveAlone()
		} else {
			x.conn.session.run(x.stream)
		}
	}
}

func (e *ender) pull() (x ending, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		e.queue = nil
		return ending{}, false
	}
	x, e.queue[0] = e.queue[0], ending{}
	e.queue = e.queue[1:]
	e.begun++
	return x, true
}
