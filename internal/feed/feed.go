// Package feed is the seam between a session and a stream that shares its encoded
// events among many clients, such as a hub's subscription. Such a stream gives the
// session whole frames, and may continue without a goroutine.
//
// This package does not import core/host; core/host imports it.
package feed

import (
	"context"
	"reflect"

	"github.com/yieldsse/yieldsse/core"
)

// A Feed is the session as a stream that shares its frames sees it: it cannot end the
// session. [Of] returns it.
type Feed interface {
	// Context returns the session's context.
	Context() context.Context

	// Compressed reports whether the response is compressed. If so, each frame that Forward
	// or [Pump.Next] is given is a Block of package deflate, of the event in the form that it
	// has otherwise. Those that are given together may belong to one Context.
	Compressed() bool

	// Forward sends frames as if their events had been yielded one by one, and like
	// yield it reports whether the stream may continue. Each frame is one event in the
	// form of [core.Event.AppendText], which Forward does not check. Frames that come
	// together are flushed together, in pieces of 128 KiB; the last piece is sent at
	// once, or when the flush window of the previous flush ends.
	//
	// Forward sets each element of frames to nil when it has copied it, so that a slow
	// client does not keep the memory that the frame is a part of. The exception is an
	// event of over 128 KiB, which is copied in pieces of that size.
	//
	// Only the goroutine that runs the stream may call it.
	Forward(frames [][]byte) bool

	// Handover makes the session continue with p when the stream has returned, and
	// reports whether it will. If so, the stream must return. It will not if the session
	// is not detached from its handler.
	//
	// stream is the function that calls Handover. A session hands over only the stream
	// that its view has returned: a stream that wraps it may have something to do after
	// it. (Two streams of the same function literal cannot be told apart.)
	Handover(stream core.Stream, p Pump) bool

	// Wake makes the session call [Pump.Next] soon. It costs little. Any goroutine may
	// call it, at any time after Handover.
	Wake()

	// WakeToEnd is Wake for a stream that has to end: Next is called without waiting for
	// the end of the flush window.
	WakeToEnd()
}

// Of returns the feed of the session that yield belongs to, and false if yield is not a
// session's own. A stream that shares its frames calls it once, when it begins, and then
// passes frames to [Feed.Forward] instead of yielding events:
//
//	func(yield func(core.Event, error) bool) {
//		if f, ok := feed.Of(yield); ok {
//			// f.Forward(frames)
//		}
//	}
//
// The stream must also work without a feed: code that ranges over it, or wraps it in
// another stream, gets events from its yield as usual.
func Of(yield func(core.Event, error) bool) (f Feed, ok bool) {
	if yield == nil || reflect.ValueOf(yield).Pointer() != sessions {
		return nil, false
	}
	var q QuestionError // the code pointer alone does not say which session's yield it is
	yield(core.Event{}, &q)
	return q.Answer, true
}

// sessions is the code pointer that every session's yield has, and nothing else; 0 if
// the program has no sessions.
var sessions uintptr

// Register tells Of what the yield of sessions is: a method value of any session. It is
// called when the program starts.
func Register(yield func(core.Event, error) bool) struct{} {
	sessions = reflect.ValueOf(yield).Pointer()
	return struct{}{}
}

// A QuestionError is an error that no stream can fail with: a session to which it is
// yielded sets Answer and continues.
type QuestionError struct{ Answer Feed }

func (*QuestionError) Error() string { return "feed: a stream asks which session its yield belongs to" }
