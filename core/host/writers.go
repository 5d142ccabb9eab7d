package host

import (
	"container/heap"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// A writer serves sessions that were handed over, one batch of each in turn, with
// writes that do not wait: those that would have to it leaves to serveAlone. It has a
// goroutine only while there is something to do.
type writer struct {
	mu          sync.Mutex
	first, last *wire // to be served
	running     bool
	start       func()      // run; to make it each time would allocate
	timer       *time.Timer // runs it when a flush window has ended
	ender       ender

	// What follows belongs to the goroutine.
	batch   *wire   // to be served next
	delayed delayed // those whose flush window has not ended
	frames  [][]byte
	buf     []byte // for one chunk
}

// writers are as many as there are cores.
var (
	writers = sync.OnceValue(func() []*writer {
		all := make([]*writer, runtime.GOMAXPROCS(0))
		for i := range all {
			q := new(writer)
			q.start = q.run
			all[i] = q
		}
		return all
	})
	handovers atomic.Uint64
)

func nextWriter() *writer {
	all := writers()
	return all[handovers.Add(1)%uint64(len(all))]
}

// push adds w to those who are to be served.
func (q *writer) push(w *wire) {
	q.mu.Lock()
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		go q.start()
	}
}

// resume is push by the timer.
func (q *writer) resume() {
	q.mu.Lock()
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		q.run()
	}
}

func (q *writer) run() {
	done := false
	defer func() {
		if !done {
			go q.run() // a Take has ended the goroutine
		}
	}()
	for {
		for len(q.delayed) > 0 && q.delayed[0].due <= clock() {
			w := heap.Pop(&q.delayed).(*wire) //nolint:forcetypeassert // the heap's only type
			w.delayed = false
			q.serve(w)
		}
		if done = !q.pull(); done {
			return
		}
		for q.batch != nil {
			w := q.batch
			q.batch, w.next = w.next, nil
			switch {
			case !w.waits:
				w.queued.Store(false)
				q.serve(w)
			case w.session.ctx.Err() == nil:
				go w.serveAlone()
			default:
				q.ender.push(ending{wire: w})
			}
		}
	}
}

// pull takes all who are to be served. If there is nobody the goroutine ends.
func (q *writer) pull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.batch == nil {
		q.batch = q.first
		q.first, q.last = nil, nil
	}
	if q.batch != nil {
		return true
	}
	if len(q.delayed) > 0 {
		wait := time.Duration(q.delayed[0].due - clock())
		if q.timer == nil {
			q.timer = time.AfterFunc(wait, q.resume)
		} else {
			q.timer.Reset(wait)
		}
	}
	q.running = false
	return false
}

// serveAlone is serve in a goroutine of its own, for a session whose writes have to
// be waited for.
func (w *wire) serveAlone() {
	q := loners.Get().(*writer) //nolint:forcetypeassert // the pool's only type
	q.serve(w)
	loners.Put(q)
}

var loners = sync.Pool{New: func() any { return new(writer) }}

// serve does what there is to do for a session now.
func (q *writer) serve(w *wire) {
	s := w.session
	if !w.waits && !w.served.Load() { // its own goroutine may hold the lock, and wait for the client
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.waits {
		defer s.recoverHost()
		w.queued.Store(false) // not before, so that one at the most waits for the lock
		if !w.served.Load() {
			return
		}
	}
	if w.behind != nil {
		q.catchUp(w)
	}
	if w.behind == nil && w.said == nil && s.open() {
		q.pump(w)
	}
	switch {
	case w.behind != nil:
		if len(w.behind.rest) == 0 {
			w.wake() // there is room for more, when the others have had their turn
		}
	case w.delayed && !w.more && w.said == nil && s.open():
	case errors.Is(w.said, feed.ErrWait) && s.open():
		w.said = nil
		w.served.Store(false)
		go s.run(func(func(core.Event, error) bool) { w.pump.Wait() })
	case w.said != nil || !s.open():
		q.end(w)
	case w.more:
		w.wake()
	}
}

// end has the session ended elsewhere, because the functions of the application that
// are called then may take their time.
func (q *writer) end(w *wire) {
	s, p := w.session, w.pump
	if w.said != nil && w.said != io.EOF && s.open() { //nolint:errorlint // the very one
		s.fail(w.said)
	}
	w.served.Store(false)
	w.pump = nil
	w.writer.ender.push(ending{w, func(func(core.Event, error) bool) { p.Leave() }})
}

// pump sends what there is, unless the flush window is open.
func (q *writer) pump(w *wire) {
	s := w.session
	now := s.now()
	if wait := s.window(now); wait > 0 && s.events > 0 && !w.more && !w.ending.Load() {
		q.delay(w, wait)
		return
	}
	q.take(w)
	if len(q.frames) > 0 {
		s.events += len(q.frames)
		s.flushed = now
		q.sendPiece(now, w, q.frames)
	}
	q.drop()
}

// drop forgets the frames of a Take.
func (q *writer) drop() {
	clear(q.frames)
	q.frames = q.frames[:0]
}

// sendPiece sends the first of these frames, as many as go into a piece. The others
// are left for later.
func (q *writer) sendPiece(now time.Duration, w *wire, frames [][]byte) {
	b := slices.Grow(q.buf[:0], headroom)[:headroom]
	n, left := takePiece(&b, frames)
	if len(left) > 0 {
		n--
		frames[n] = left
	}
	w.send(now, Frames{b}, frames[n:], len(left) > 0)
	if q.buf = b; cap(b) > 2*pieceSize {
		q.buf = nil // not to be held any longer
	}
}

// take asks the pump, and sees to it that nothing of the application's takes the
// writer down.
func (q *writer) take(w *wire) {
	returned := false
	q.drop()
	defer func() {
		if !returned {
			q.drop()
			w.session.fail(&core.PanicError{Value: recover(), Stack: debug.Stack()})
			w.wake() // because after runtime.Goexit nothing else will
		}
	}()
	w.more, w.said = w.pump.Take(&q.frames)
	returned = true
	if w.said != nil && w.said != io.EOF && !errors.Is(w.said, feed.ErrWait) { //nolint:errorlint // the very one
		q.drop()
	}
}

// delay has w served when its flush window has ended.
func (q *writer) delay(w *wire, wait time.Duration) {
	switch {
	case w.waits:
		w.session.flushAfter(wait) // which wakes it up
	case !w.delayed:
		w.delayed, w.due = true, clock()+int64(wait)
		heap.Push(&q.delayed, w)
	}
}

// clock is a time in ns that only grows.
func clock() int64 { return int64(time.Since(epoch)) }

var epoch = time.Now()

// delayed is a heap by due.
type delayed []*wire //nolint:recvcheck // as container/heap wants it

func (d delayed) Len() int           { return len(d) }
func (d delayed) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delayed) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(w any)        { *d = append(*d, w.(*wire)) } //nolint:forcetypeassert // the heap's only type
func (d *delayed) Pop() any {
	last := len(*d) - 1
	w := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return w
}
