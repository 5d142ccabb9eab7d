package feed

import "errors"

// A Pump is a stream that needs no goroutine: its frames are already there, or it calls
// [Feed.Wake] when there may be more. Its methods are called by one goroutine at a time.
type Pump interface {
	// Next appends the frames that are to be sent next, at most about 128 KiB of them.
	// Each is one event in the form of [core.Event.AppendText]. The session reads them
	// until Next or Close is called again; they must not change until then.
	//
	// Next does not wait. If more is true, it is called again soon, otherwise after a
	// Wake. It must not call the application: the session's lock is held, and other
	// sessions wait for the same worker.
	//
	// An error ends the stream: cleanly if it is io.EOF, and otherwise as the stream's
	// failure, for which frames that come with it are not sent, because something among
	// them is missing. But after [ErrNotReady], Prepare is called.
	Next(frames *[][]byte) (more bool, err error)

	// Prepare does the work that Next cannot do because it takes time. It runs in a
	// goroutine of the session. When it has returned, Next is called again. It must
	// return soon after the session's context has ended.
	Prepare()

	// Close is called once, after all other calls and before the session ends.
	Close()
}

// ErrNotReady is what [Pump.Next] returns if [Pump.Prepare] has to be called first.
var ErrNotReady = errors.New("feed: the next frames must be prepared first")
