package feed

import "errors"

// A Pump is a stream that needs no goroutine: its frames are there already, or it
// says when there may be more, with [Feed.Wake]. Its methods are called by one
// goroutine at a time. Take may hold up the other sessions of its writer as long as
// it runs, and is called under the session's lock, so it calls nothing of the
// application's.
type Pump interface {
	// Take appends frames that are to be sent next, each one event as
	// [core.Event.AppendText] has made it, about 128 KiB of them at most. It does not
	// wait for anything: with none, it is called again after a Wake. If more is true
	// it is called again soon without one. The frames are read until Take or Leave
	// is called again, and do not change.
	//
	// An error ends the stream: cleanly if it is io.EOF, and as the stream's failure
	// otherwise. But [ErrWait] has Wait called. Frames that come with a failure are not
	// sent, because what should have been among them is missing.
	Take(frames *[][]byte) (more bool, err error)

	// Wait does what takes its time, in a goroutine of the session's. Take is called
	// again when it has returned. It returns soon after the context has ended.
	Wait()

	// Leave is called once, after everything else, before the session ends.
	Leave()
}

// ErrWait is what [Pump.Take] returns when it needs [Pump.Wait].
var ErrWait = errors.New("feed: what comes next is to be waited for")
