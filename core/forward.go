package core

import (
	"context"
	"reflect"
	"slices"
)

// A Feed is what a stream that shares its frames among many clients sees of the
// session that runs it. [FeedOf] gives it. It cannot end the session.
type Feed struct{ session *Session }

// FeedOf returns the feed of the session that yield is of, and false if anything
// stands between them. A stream that shares its frames asks once, when it begins,
// and then gives them to [Feed.Forward] instead of yielding events:
//
//	func(yield func(core.Event, error) bool) {
//		if f, ok := core.FeedOf(yield); ok {
//			// f.Forward(frames)
//		}
//	}
//
// It must work without one: who ranges over a stream, or wraps it in a stream of
// their own, is yielded events as ever.
func FeedOf(yield func(Event, error) bool) (f Feed, ok bool) {
	if reflect.ValueOf(yield).Pointer() != ownYield {
		return Feed{}, false
	}
	var q question // because the code alone does not tell whose it is
	yield(Event{}, &q)
	return Feed(q), true
}

// ownYield is the code of every session's yield, and of nothing else.
var ownYield = reflect.ValueOf((*Session)(nil).yield).Pointer()

// pieceSize is how many bytes of frames that come together are sent at once, not
// counting the last one. A host pays for each Send: net/http makes three write calls of
// a chunk. And it bounds what a client that does not read costs its session: a larger
// event is sent in pieces, and stays where it is shared.
const pieceSize = 128 << 10

// A question is an error that no stream can fail with.
type question struct{ session *Session }

func (*question) Error() string { return "core: whose yield is this?" }

// asked reports whether err is a question, and answers it.
func (s *Session) asked(err error) bool {
	q, ok := err.(*question) //nolint:errorlint // nobody wraps it
	if ok {
		q.session = s
	}
	return ok
}

// Context returns the session's context.
func (f Feed) Context() context.Context { return f.session.ctx }

// Forward sends frames as if their events had been yielded one after the other,
// and likewise reports whether the stream may go on. Each is one event, as
// [Event.AppendText] has made it; they are not looked at again. Frames that come
// together share their flushes: what is left of them below 128 KiB is sent at once,
// or within the flush window after the flush before.
//
// Each element of frames is set to nil when it has been copied. What it was a part
// of is then not held while a client is slow to read, except for one event of over
// 128 KiB, of which no more than that is copied at a time.
//
// It is for the goroutine that runs the stream.
func (f Feed) Forward(frames [][]byte) bool {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return false
	}
	for len(frames) > 0 {
		n, left := takePiece(s.buffer(), frames)
		frames = frames[n:]
		for len(left) > 0 { // of a large event, which is sent to its end
			if !s.push(s.now(), true) {
				return false
			}
			left = addPiece(s.buffer(), left)
		}
		if n == 0 && !s.flush(s.now()) || n > 0 && !s.gathered(n) || s.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// takePiece appends frames to b until there are pieceSize bytes, and sets to nil
// those that it has copied. It returns how many. A frame that is larger than a piece
// goes into an empty buffer only; what is left of it follows in pieces.
func takePiece(b *[]byte, frames [][]byte) (n int, left []byte) {
	size := len(*b) - headroom
	for n < len(frames) && size < pieceSize && (len(frames[n]) <= pieceSize || size == 0) {
		size += len(frames[n])
		n++
	}
	*b = slices.Grow(*b, min(size, 2*pieceSize)+len("\r\n")) // for a chunk
	for i, frame := range frames[:n] {
		frames[i] = nil
		if len(frame) > pieceSize {
			return n, addPiece(b, frame)
		}
		*b = append(*b, frame...)
	}
	return n, nil
}

// addPiece appends a piece of a frame to an empty buffer, and returns the rest.
func addPiece(b *[]byte, frame []byte) (left []byte) {
	n := min(len(frame), pieceSize)
	*b = append(*b, frame[:n]...)
	return frame[n:]
}
