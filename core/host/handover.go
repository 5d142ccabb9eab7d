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

// handover has the wire's writer go on with p when the stream has returned, if that
// is the one that the view has returned.
func (w *wire) handover(stream core.Stream, p feed.Pump) bool {
	if w.stream == nil || reflect.ValueOf(w.stream).Pointer() != reflect.ValueOf(stream).Pointer() {
		return false
	}
	w.pump, w.writer = p, nextWriter()
	return true
}

// handed is what a wire has for a stream that was handed over.
type handed struct {
	stream core.Stream // that runs, until it has returned
	pump   feed.Pump
	writer *writer
	served atomic.Bool // by the writer: otherwise a goroutine of the session's is at work
	queued atomic.Bool // the writer will look
	ending atomic.Bool // and not wait for the flush window
	next   *wire

	// These are the writer's, under the session's mu.
	behind  *behind // what the client has not taken yet, or nil
	said    error   // what Take has
	more    bool    // Take has more
	due     int64   // when the flush window ends, if delayed
	delayed bool
}

// A behind is what a client has not taken of one Take.
type behind struct {
	rest   []byte   // of a chunk: a copy
	part   bool     // an event has been sent in part
	frames [][]byte // that follow: they are shared with other sessions
}

// begin gives the wire to its writer, if there is a pump.
func (w *wire) begin() bool {
	w.stream = nil
	if w.pump == nil {
		return false
	}
	w.line.KeepUnsent(pieceSize)
	s := w.session
	s.mu.Lock() // a heartbeat may be under way that waits for the client
	if s.open() {
		s.flush(s.now()) // what was yielded before
	}
	w.served.Store(true)
	s.mu.Unlock()
	w.wake()
	return true
}

// wake has the writer look, and reports whether there is one to do so.
func (w *wire) wake() bool {
	if !w.served.Load() {
		return false
	}
	if !w.queued.Load() && !w.queued.Swap(true) {
		w.writer.push(w)
	}
	return true
}

// beat sends a heartbeat.
func (w *wire) beat(now time.Duration) {
	if w.behind != nil {
		return // the client has not even taken what came before
	}
	b := getBuffer()
	defer putBuffer(b)
	*b = w.session.appendOwn(*b, w.session.config.Beats.Heartbeat)
	w.send(now, Frames{*b}, nil, false)
}

// send is a Send that does not wait, if the line does not. frames follow, the first
// of which is the rest of an event if part is true. The session's mu is held.
func (w *wire) send(now time.Duration, f Frames, frames [][]byte, part bool) {
	s := w.session
	s.sent += int64(len(f.Bytes()))
	s.beginSend(now)
	rest := w.write(f.Chunk())
	switch {
	case s.lost != nil:
		w.behind = nil
	case len(rest) == 0 && len(frames) == 0:
		w.behind = nil
		s.endSend(false)
	default:
		w.behind = &behind{slices.Clone(rest), part, slices.Clone(frames)}
		if len(rest) == 0 {
			s.endSend(part)
		}
	}
}

// write writes what the client takes of p now, and returns the rest.
func (w *wire) write(p []byte) (rest []byte) {
	n, err := w.line.TryWrite(p)
	if err != nil {
		w.session.sending.Store(0)
		w.session.written(err)
		return nil
	}
	return p[n:]
}

// catchUp writes a part of what the client is behind with. As long as there is a
// rest of a chunk, the session counts as sending.
func (q *writer) catchUp(w *wire) {
	s, b := w.session, w.behind
	if s.gone.Load() {
		w.behind, s.lost = nil, os.ErrDeadlineExceeded // it did not read, and will hardly do so now
		s.sending.Store(0)
		return
	}
	if len(b.rest) > 0 {
		if b.rest = w.write(b.rest); len(b.rest) > 0 {
			return
		}
		s.endSend(b.part && s.lost == nil)
	}
	if !s.open() { // an event is sent to its end, and no other begun
		b.frames = b.frames[:min(len(b.frames), 1)]
		if !b.part {
			b.frames = nil
		}
	}
	if w.behind = nil; s.lost == nil && len(b.frames) > 0 {
		q.sendPiece(s.now(), w, b.frames)
	}
}
