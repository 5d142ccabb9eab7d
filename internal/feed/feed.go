// Package feed is the seam between a session and a stream that shares its encoded
// events among many clients, as a hub's subscription does. Such a stream gives the
// session whole frames, and may go on without a goroutine.
//
// It does not know sessions: those of core/host know it.
package feed

import (
	"context"
	"reflect"

	"github.com/yieldsse/yieldsse/core"
)

// A Feed is what a stream that shares its frames among many clients sees of the
// session that runs it. [Of] gives it. It cannot end the session.
type Feed interface {
	// Context returns the session's context.
	Context() context.Context

	// Forward sends frames as if their events had been yielded one after the other,
	// and likewise reports whether the stream may go on. Each is one event, as
	// [core.Event.AppendText] has made it; they are not looked at again. Frames that
	// come together share their flushes: what is left of them below 128 KiB is sent at
	// once, or within the flush window after the flush before.
	//
	// Each element of frames is set to nil when it has been copied. What it was a part
	// of is then not held while a client is slow to read, except for one event of over
	// 128 KiB, of which no more than that is copied at a time.
	//
	// It is for the goroutine that runs the stream.
	Forward(frames [][]byte) bool

	// Handover has the session go on with p when the stream has returned, if it is
	// detached from its handler. The stream that calls it is to return then.
	//
	// stream is the function that calls Handover. A session hands over only what its
	// view has returned: if another stream stands around it, there may be something to
	// do after it. (Two streams of the same function literal cannot be told apart.)
	Handover(stream core.Stream, p Pump) bool

	// Wake has [Pump.Take] called soon. It costs little, and may be called by any
	// goroutine, at any time after Handover.
	Wake()

	// WakeToEnd is Wake for a stream that is to end: it does not wait for the flush
	// window.
	WakeToEnd()
}

// Of returns the feed of the session that yield is of, and false if anything stands
// between them. A stream that shares its frames asks once, when it begins, and then
// gives them to [Feed.Forward] instead of yielding events:
//
//	func(yield func(core.Event, error) bool) {
//		if f, ok := feed.Of(yield); ok {
//			// f.Forward(frames)
//		}
//	}
//
// It must work without one: who ranges over a stream, or wraps it in a stream of
// their own, is yielded events as ever.
func Of(yield func(core.Event, error) bool) (f Feed, ok bool) {
	if yield == nil || reflect.ValueOf(yield).Pointer() != sessions {
		return nil, false
	}
	var q QuestionError // because the code alone does not tell whose it is
	yield(core.Event{}, &q)
	return q.Answer, true
}

// sessions is the code of every session's yield, and of nothing else; 0 if the program
// has no sessions.
var sessions uintptr

// Register has Of know the yield of sessions: a method value of any of them. It is
// called when the program begins.
func Register(yield func(core.Event, error) bool) struct{} {
	sessions = reflect.ValueOf(yield).Pointer()
	return struct{}{}
}

// A QuestionError is an error that no stream can fail with: a session that is yielded one sets
// Answer and goes on.
type QuestionError struct{ Answer Feed }

func (*QuestionError) Error() string { return "feed: whose yield is this?" }
