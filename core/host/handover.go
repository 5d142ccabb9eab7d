package host

import (
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// handover makes a worker continue with p when the stream has returned, if it is the
// stream that the view has returned.
func (c *detachedConn) handover(stream core.Stream, p feed.Pump) bool {
	if c.stream == nil || reflect.ValueOf(c.stream).Pointer() != reflect.ValueOf(stream).Pointer() {
		return false
	}
	c.pump, c.home = p, nextHome()
	return true
}

// handed is the part of a detachedConn that serves a stream that was handed over.
type handed struct {
	stream core.Stream // the one that runs; nil when it has returned
	pump   feed.Pump
	served atomic.Bool // by the worker; if not, a goroutine of the session is at work
	queued atomic.Bool // in the worker's queue
	ending atomic.Bool // so do not wait for the flush window
	home   uint16      // the index of its worker

	// The worker's state, guarded by the session's mu.
	delayed bool
	more    bool    // Next has more
	behind  *behind // what the client has not accepted yet, or nil
	result  error   // what Next has returned
	due     int64   // when the flush window ends, if delayed

	next  *detachedConn
	entry entry // in the worker's agenda
}

// worker returns the worker that serves the session.
func (c *detachedConn) worker() *worker { return crew[c.home] }

// A behind is what a client has not accepted of the frames of one Next.
type behind struct {
	rest   [][]byte // of a chunk, see remainder
	left   []byte   // of an event whose beginning is in the chunk; shared with other sessions
	frames [][]byte // that follow; shared, too

	write core.Write // that rest belongs to
	began time.Duration
}

// keptUnsent is how many bytes that it cannot send yet the kernel keeps for a client, at which it
// accepts no more. It may take up to 64 KiB at once, and so exceed that. More would hardly help a
// client that reads, and thousands may not read.
const keptUnsent = 32 << 10

// begin leaves the connection to the worker, if there is a pump.
func (c *detachedConn) begin() (left bool) {
	c.stream = nil
	if c.pump == nil {
		return false
	}
	c.conn.KeepUnsent(keptUnsent)
	s := c.session
	if !c.waits {
		s.leaveTimer()
	}
	left = true
	defer func() { // even if an observer ends the goroutine
		c.served.Store(true)
		s.mu.Unlock()
		c.wake()
	}()
	s.mu.Lock() // a heartbeat may be waiting for the client
	defer s.recoverHost()
	if s.open() {
		s.flush(s.now()) // what was yielded before
	}
	return left
}

// wake puts the connection into the worker's queue, and reports whether it is served by
// a worker.
func (c *detachedConn) wake() bool {
	if !c.served.Load() {
		return false
	}
	if !c.queued.Load() && !c.queued.Swap(true) {
		c.worker().push(c)
	}
	return true
}

// tick is the session's tick, called by the worker.
func (c *detachedConn) tick() {
	if s := c.session; s.check() && !s.beat(false) {
		go s.beat(true)
	}
}

// beat sends a heartbeat.
func (c *detachedConn) beat(now time.Duration) {
	if c.behind != nil {
		return // the client has not even accepted what came before
	}
	b := getBuffer()
	defer putBuffer(b)
	s := c.session
	s.gzip.skip(b)
	*b = s.appendOwn(*b, s.config.Beats.Heartbeat)
	s.gzip.compress(b)
	c.send(now, Frames{*b}, core.Write{Heartbeat: true}, nil, nil, nil)
	if s.outcome.lost != nil {
		c.wake() // to end it
	}
}

// send is a Send that does not block unless TryWrite does. w is what f is, for the
// observers, and parts are what it is made of, unless f is not made of frames. left is the rest
// of an event that f ends in, and frames follow. The session's mu is held.
func (c *detachedConn) send(now time.Duration, f Frames, w core.Write, parts [][]byte, left []byte, frames [][]byte) {
	s := c.session
	w.Bytes = len(f.Bytes())
	s.sent.Add(int64(w.Bytes))
	s.beginSend(now)
	rest := c.write(f.Chunk())
	switch {
	case s.outcome.lost != nil:
		c.behind = nil
	case len(rest)+len(left)+len(frames) == 0:
		c.behind = nil
		s.endSend(false)
	default:
		c.behind = &behind{remainder(rest, parts), left, slices.Clone(frames), w, now}
		if len(rest) == 0 {
			s.endSend(len(left) > 0)
		}
	}
	if len(rest) == 0 {
		s.tellWrote(now, w)
	}
}

// shareFrom is the size of an event that is not copied for a client that does not accept it. A
// smaller one may be a part of memory that it shares with others, which it would keep alive.
const shareFrom = 4<<10 + 1

// remainder returns what is left of a chunk. parts are all events and parts of events that it is
// made of; the large ones are not copied. rest, which is copied apart from these, is not valid any
// more when the next chunk is made.
func remainder(rest []byte, parts [][]byte) (all [][]byte) {
	end := len(rest) - len("\r\n") // of the parts
	for _, p := range parts {
		end -= len(p)
	}
	copied := 0
	for _, p := range parts {
		begin := max(end, 0)
		if end += len(p); end <= 0 || len(p) < shareFrom {
			continue
		}
		if begin > copied {
			all = append(all, slices.Clone(rest[copied:begin]))
		}
		all = append(all, p[len(p)-(end-begin):])
		copied = end
	}
	if copied < len(rest) {
		all = append(all, slices.Clone(rest[copied:]))
	}
	return all
}

// from returns what follows the first n bytes of parts.
func from(parts [][]byte, n int) [][]byte {
	for n > 0 && n >= len(parts[0]) {
		n -= len(parts[0])
		parts[0] = nil
		parts = parts[1:]
	}
	if n > 0 {
		parts[0] = parts[0][n:]
	}
	return parts
}

// write writes what the client accepts of p now, and returns the rest.
func (c *detachedConn) write(p []byte) (rest []byte) {
	n, err := c.conn.TryWrite(p)
	if err != nil {
		c.session.sending.Store(0)
		c.session.written(err)
		return nil
	}
	return p[n:]
}

// writeRest writes what the client accepts of the rest of a chunk.
func (w *worker) writeRest(c *detachedConn) {
	for rest := &c.behind.rest; len(*rest) > 0; {
		p := w.buf[:0]
		for i := 0; i < len(*rest) && len(p) < 2*keptUnsent; i++ {
			part := (*rest)[i]
			p = append(p, part[:min(len(part), 2*keptUnsent-len(p))]...)
		}
		n := len(p) - len(c.write(p))
		w.keep(p)
		if c.session.outcome.lost != nil {
			*rest = nil
			return
		}
		if *rest = from(*rest, n); n < len(p) {
			return
		}
	}
}

// catchUp writes a part of what the client has not accepted. As long as there is a rest
// of a chunk, the session counts as sending.
func (w *worker) catchUp(c *detachedConn) {
	s, b := c.session, c.behind
	if s.gone.Load() {
		c.behind, s.remember().lost = nil, os.ErrDeadlineExceeded // it did not read, so it will hardly do so now
		s.sending.Store(0)
		if len(b.rest) > 0 {
			s.tellWrote(b.began, b.write)
		}
		return
	}
	if len(b.rest) > 0 {
		if w.writeRest(c); len(b.rest) > 0 {
			return
		}
		s.endSend(len(b.left) > 0 && s.outcome.lost == nil)
		s.tellWrote(b.began, b.write)
	}
	if !s.open() { // finish an event that has been sent in part, and begin no other
		b.frames = nil
	}
	if c.behind = nil; s.outcome.lost == nil && len(b.left)+len(b.frames) > 0 {
		w.sendPiece(s.now(), c, b.left, b.frames)
	}
}
