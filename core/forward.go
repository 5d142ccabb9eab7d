package core

import (
	"reflect"
	"slices"
)

// SessionOf returns the session that yield feeds, if yield is a session's own,
// and nil if anything stands between them. A stream that shares its frames among
// many clients asks once, when it begins, and then gives them to
// [Session.Forward] instead of yielding events:
//
//	func(yield func(core.Event, error) bool) {
//		if s := core.SessionOf(yield); s != nil {
//			// s.Forward(frames)
//		}
//	}
//
// It needs no such session: who ranges over a stream, or wraps it in one of
// their own, is yielded events as ever.
func SessionOf(yield func(Event, error) bool) *Session {
	if reflect.ValueOf(yield).Pointer() != ownYield {
		return nil
	}
	var q question // for the code alone does not tell whose it is
	yield(Event{}, &q)
	return q.session
}

// ownYield is the code of every session's yield, and of nothing else.
var ownYield = reflect.ValueOf((*Session)(nil).yield).Pointer()

// forwardSize is how many bytes of frames that come together are sent at once. A
// host pays for each Send: net/http makes three write calls of a chunk.
const forwardSize = 128 << 10

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

// Forward sends frames as if their events had been yielded one after the other,
// and likewise reports whether the stream may go on. Each is one event, as
// [Event.AppendText] has made it; they are not looked at again. Frames that come
// together share their flushes: what is left of them below 128 KiB is sent at once,
// or within the flush window after the flush before.
//
// Each element of frames is set to nil when it has been copied, which is before it
// is sent: what it was a part of is not held while a client is slow to read.
//
// It is for the goroutine that runs the stream.
func (s *Session) Forward(frames [][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return false
	}
	for len(frames) > 0 {
		n, size := 0, 0
		for n < len(frames) && size < forwardSize {
			size += len(frames[n])
			n++
		}
		b := s.buffer()
		*b = slices.Grow(*b, size)
		for _, frame := range frames[:n] {
			*b = append(*b, frame...)
		}
		clear(frames[:n])
		frames = frames[n:]
		if !s.gathered(n) || s.ctx.Err() != nil {
			return false
		}
	}
	return true
}
