package host

import (
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// An ender ends sessions that were handed over, one after the other in a goroutine
// that it has while there are any. Many may end at once, and a goroutine for each
// would keep the writers from their work.
//
// What ends a session calls functions of the application's, and may wait for a
// client. While it waits, another goroutine goes on with those behind it.
type ender struct {
	mu    sync.Mutex
	queue []ending
	at    int    // goroutines at work
	turns uint64 // endings that they have begun with
	seen  uint64 // turns when help was last to look
	armed bool   // help will be called
}

// An ending is what is to be done for a session: its stream, which ends it. If that
// is nil, it is to be served first, which may have to wait for the client.
type ending struct {
	wire   *wire
	stream core.Stream
}

// stall is how long nothing may move before another goroutine helps.
const stall = 100 * time.Millisecond

func (e *ender) push(x ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, x)
	if e.at == 0 {
		e.start()
	} else if !e.armed {
		e.watch()
	}
}

// watch has help called after a while.
func (e *ender) watch() {
	e.armed, e.seen = true, e.turns
	time.AfterFunc(stall, e.help)
}

func (e *ender) start() {
	e.at++
	go e.run()
}

// help starts another goroutine if those at work have all been waiting.
func (e *ender) help() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.armed = len(e.queue) > 0; !e.armed {
		return
	}
	if e.turns == e.seen {
		e.start()
	}
	e.watch()
}

func (e *ender) run() {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.at--; e.at == 0 && len(e.queue) > 0 {
			e.start() // a function of the application's has ended the goroutine
		}
	}()
	for x, ok := e.pull(); ok; x, ok = e.pull() {
		if x.stream == nil {
			x.wire.serveAlone()
		} else {
			x.wire.session.run(x.stream)
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
	e.turns++
	return x, true
}
