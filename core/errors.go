package core

import (
	"errors"
	"fmt"
	"time"
)

// Why a session ended before its generator did. [context.Cause] of the
// session's context gives one of these, or the cause of the context that the
// host gave to the request (a deadline that a middleware set, say).
var (
	// ErrClientGone means that the client has left: it closed the connection,
	// or a write to it failed. It also stands for a request's context that was
	// cancelled without a cause, for that is how hosts tell of it.
	ErrClientGone = errors.New("core: the client has gone")

	// ErrSlowClient means that a write took longer than [WithWriteTimeout].
	ErrSlowClient = errors.New("core: the client does not read")

	// ErrMaxDuration means that the session reached [WithMaxDuration].
	ErrMaxDuration = errors.New("core: the session has reached its maximum duration")

	// ErrShutdown means that the server, or a [Group] of the session's, shuts
	// down. A session that comes later is refused with it.
	ErrShutdown = errors.New("core: the server is shutting down")
)

// ErrGroupFull refuses a session for which its [Group] has no room.
var ErrGroupFull = errors.New("core: the group is full")

// ErrEventTooLarge ends a stream that [Parser.MaxEventSize] was too small for.
var ErrEventTooLarge = errors.New("core: event too large")

// ErrNotStream is the end of a response that was not an event stream, whatever its
// media type said: it had lines that are neither fields nor comments, and no field.
var ErrNotStream = errors.New("core: not an event stream")

// A RefusedError says that a stream could not begin. Nothing has been written:
// the host answers with Status, and with a Retry-After if RetryAfter is not zero.
type RefusedError struct {
	Status     int           // the HTTP status: 503 if it may work later, 500 if it cannot
	RetryAfter time.Duration // whole seconds
	Err        error         // ErrGroupFull, ErrShutdown, or what is wrong with the host's writer
}

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// A StreamError says that a stream has failed after its response had begun, so that
// there is nothing to answer any more. Every other error is from before that. Look for a
// StreamError first, because what a stream fails with may wrap a [RefusedError] of
// somebody else's:
//
//	var (
//		failed  *core.StreamError
//		refused *core.RefusedError
//	)
//	switch {
//	case errors.As(err, &failed):
//		log.Print(err)
//	case errors.As(err, &refused):
//		http.Error(w, refused.Error(), refused.Status)
//	}
type StreamError struct {
	Err error // what the generator has yielded, or what is wrong with the host's writer
}

func (e *StreamError) Error() string { return e.Err.Error() }

// Unwrap returns e.Err.
func (e *StreamError) Unwrap() error { return e.Err }

// A PanicError is what [WithErrorEvent] and [WithObserver] are told when a
// generator panics, or calls runtime.Goexit. The panic itself goes on to the
// host's recovery, if the session runs in the handler.
type PanicError struct {
	Value any    // what the generator panicked with; nil after runtime.Goexit
	Stack []byte // where, as [runtime/debug.Stack] has it, if no recovery of the host's will tell
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "core: the generator called runtime.Goexit"
	}
	return fmt.Sprintf("core: the generator panicked: %v", e.Value)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
