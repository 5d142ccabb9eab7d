package host

import (
	"container/heap"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// A worker serves sessions that were handed over, one batch of each in turn. Its writes
// never block: a session whose writes could is left to serveAlone. It also calls the ticks
// of its sessions. A worker has a goroutine only while it has something to do.
type worker struct {
	mu          sync.Mutex
	first, last *detachedConn // to be served
	running     bool
	start       func() // run, as a value that is allocated once
	agenda      agenda
	timer       *time.Timer // calls resume at the next appointment, or when a flush window has ended
	alarm       int64       // when the timer fires; 0 if it has fired
	ender       ender

	// Only the goroutine uses what follows.
	batch   *detachedConn // to be served next
	delayed delayed       // those whose flush window has not ended
	frames  [][]byte
	buf     []byte   // for one chunk
	parts   [][]byte // of events, that are in it
}

var (
	hire      sync.Once
	crew      []*worker // one for each core, up to as many as home can tell apart
	handovers atomic.Uint64
)

// nextHome returns the index of the worker whose turn it is to get a session.
func nextHome() uint16 {
	hire.Do(func() {
		for range min(runtime.GOMAXPROCS(0), math.MaxUint16) {
			w := new(worker)
			w.start = w.run
			crew = append(crew, w)
		}
	})
	return uint16(handovers.Add(1) % uint64(len(crew))) //nolint:gosec // see crew
}

// inTurn is how many sessions a worker serves, and how many ticks it calls, before it turns to
// the others: neither many events nor many heartbeats keep the other waiting.
const inTurn = 64

// push adds c to the queue.
func (w *worker) push(c *detachedConn) {
	w.mu.Lock()
	if w.last == nil {
		w.first = c
	} else {
		w.last.next = c
	}
	w.last = c
	start := !w.running
	w.running = true
	w.mu.Unlock()
	if start {
		go w.start()
	}
}

// resume is called by the timer.
func (w *worker) resume() {
	w.mu.Lock()
	start := !w.running
	w.running = true
	w.alarm = 0
	w.mu.Unlock()
	if start {
		w.run()
	}
}

// schedule makes the worker call the tick of c's session at a time in terms of clock.
func (w *worker) schedule(c *detachedConn, due int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agenda.put(c, due)
	if !w.running { // otherwise pull does it
		w.setAlarm(w.nextDue())
	}
}

// unschedule makes the worker forget what schedule has arranged.
func (w *worker) unschedule(c *detachedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agenda.remove(c)
}

// appointed returns a session whose tick must be called now, or nil.
func (w *worker) appointed() *detachedConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.agenda.next(clock())
}

// nextDue returns when a flush window ends or a tick must be called next, in terms of clock.
func (w *worker) nextDue() int64 {
	due := int64(math.MaxInt64)
	if len(w.delayed) > 0 {
		due = w.delayed[0].due
	}
	if len(w.agenda.order) > 0 {
		due = min(due, w.agenda.order[0].due)
	}
	return due
}

// setAlarm makes the timer fire at due, which is what nextDue returns, unless it fires early
// enough. The worker is locked, and has no goroutine or is about to end it.
func (w *worker) setAlarm(due int64) {
	if due == math.MaxInt64 || w.alarm != 0 && w.alarm <= due {
		return
	}
	w.alarm = due
	if wait := time.Duration(due - clock()); w.timer == nil {
		w.timer = time.AfterFunc(wait, w.resume)
	} else {
		w.timer.Reset(wait)
	}
}

func (w *worker) run() {
	done := false
	defer func() {
		if !done {
			go w.run() // a pump's Next has ended the goroutine
		}
	}()
	for {
		for len(w.delayed) > 0 && w.delayed[0].due <= clock() {
			c := heap.Pop(&w.delayed).(*detachedConn) //nolint:forcetypeassert // the heap's only type
			c.delayed = false
			w.serve(c)
		}
		for range inTurn {
			c := w.appointed()
			if c == nil {
				break
			}
			c.tick()
		}
		if done = !w.pull(); done {
			return
		}
		for n := 0; n < inTurn && w.batch != nil; n++ {
			c := w.batch
			w.batch, c.next = c.next, nil
			switch {
			case !c.waits:
				c.queued.Store(false)
				w.serve(c)
			case c.session.ctx.Err() == nil:
				go c.serveAlone()
			default:
				w.ender.push(ending{conn: c})
			}
		}
	}
}

// pull takes the whole queue as the next batch, if the last one is done. If there is nothing
// to do, it reports false and the goroutine must end.
func (w *worker) pull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.batch == nil {
		w.batch = w.first
		w.first, w.last = nil, nil
	}
	due := w.nextDue()
	if w.batch != nil || due <= clock() {
		return true
	}
	w.setAlarm(due)
	w.running = false
	return false
}

// serveAlone is serve for a session whose writes may block, in a goroutine of its own.
func (c *detachedConn) serveAlone() {
	w := loners.Get().(*worker) //nolint:forcetypeassert // the pool's only type
	w.serve(c)
	loners.Put(w)
}

var loners = sync.Pool{New: func() any { return new(worker) }}

// serve does what a session needs now.
func (w *worker) serve(c *detachedConn) {
	s := c.session
	if !c.waits && !c.served.Load() { // the session's own goroutine may hold the lock and wait for the client
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.waits {
		defer s.recoverHost()
		c.queued.Store(false) // not earlier, so that at most one goroutine waits for the lock
		if !c.served.Load() {
			return
		}
	}
	if c.behind != nil {
		w.catchUp(c)
	}
	if c.behind == nil && c.result == nil && s.open() {
		w.pump(c)
	}
	switch {
	case c.behind != nil:
		if len(c.behind.rest) == 0 {
			c.wake() // there is room for more, after the other sessions' turn
		}
	case c.delayed && !c.more && c.result == nil && s.open():
	case c.result == feed.ErrNotReady && s.open(): //nolint:errorlint // the very one, because any other is the application's
		c.result = nil
		c.served.Store(false)
		go s.run(func(func(core.Event, error) bool) { c.pump.Prepare() })
	case c.result != nil || !s.open():
		w.end(c)
	case c.more:
		c.wake()
	}
}

// end leaves the end of the session to the ender, because it calls functions of the
// application, which may take long.
func (w *worker) end(c *detachedConn) {
	s, p := c.session, c.pump
	if c.failed() {
		s.fail(c.result)
	}
	c.served.Store(false)
	c.pump = nil
	c.worker().ender.push(ending{c, func(func(core.Event, error) bool) { p.Close() }})
}

// pump sends what the pump has, unless the flush window is open.
func (w *worker) pump(c *detachedConn) {
	s := c.session
	now := s.now()
	if wait := s.window(now); wait > 0 && s.events.Load() > 0 && !c.more && !c.ending.Load() {
		w.delay(c, wait)
		return
	}
	w.next(c)
	if len(w.frames) > 0 {
		s.events.Add(int64(len(w.frames)))
		s.flushed.Store(int64(now))
		w.sendPiece(now, c, nil, w.frames)
	}
	w.drop()
}

// drop releases the frames of a pump's Next.
func (w *worker) drop() {
	clear(w.frames)
	w.frames = w.frames[:0]
}

// sendPiece sends what is left of an event, and as many frames after it as fit into a piece.
// The others are kept for later.
func (w *worker) sendPiece(now time.Duration, c *detachedConn, left []byte, frames [][]byte) {
	b := slices.Grow(w.buf[:0], headroom)[:headroom]
	w.parts = w.parts[:0]
	ended := 0
	if len(left) > 0 {
		left = addPiece(&b, left, &w.parts)
		ended++
	}
	if len(left) == 0 {
		n, rest := takePiece(&b, frames, c.session.gzip.blocks(), &w.parts)
		frames, left = frames[n:], rest
		ended += n
	}
	if len(left) > 0 {
		ended--
	}
	c.send(now, Frames{b}, core.Write{Events: ended}, w.parts, left, frames)
	clear(w.parts) // they keep memory alive
	w.keep(b)
}

// keep keeps the memory of a chunk for the next one.
func (w *worker) keep(b []byte) {
	if w.buf = b; cap(b) > 2*pieceSize {
		w.buf = nil // too large
	}
}

// next calls the pump's Next, whose panic must not end the worker.
func (w *worker) next(c *detachedConn) {
	returned := false
	w.drop()
	defer func() {
		if !returned {
			w.drop()
			c.session.fail(&core.PanicError{Value: recover(), Stack: debug.Stack()})
			c.wake() // after runtime.Goexit nothing else does
		}
	}()
	c.more, c.result = c.pump.Next(&w.frames)
	returned = true
	if c.failed() {
		w.drop()
	}
}

// failed reports whether the pump has failed.
func (c *detachedConn) failed() bool {
	return c.result != nil && c.result != io.EOF && c.result != feed.ErrNotReady //nolint:errorlint // the very ones
}

// delay makes the worker serve c when its flush window has ended.
func (w *worker) delay(c *detachedConn, wait time.Duration) {
	switch {
	case c.waits:
		c.session.flushAfter(wait) // its timer wakes c up
	case !c.delayed:
		c.delayed, c.due = true, clock()+int64(wait)
		heap.Push(&w.delayed, c)
	}
}

// clock returns a monotonic time in ns.
func clock() int64 { return int64(time.Since(epoch)) }

var epoch = time.Now()

// delayed is a heap, ordered by due.
type delayed []*detachedConn //nolint:recvcheck // as container/heap wants it

func (d delayed) Len() int           { return len(d) }
func (d delayed) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delayed) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(c any)        { *d = append(*d, c.(*detachedConn)) } //nolint:forcetypeassert // the heap's only type
func (d *delayed) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return c
}
