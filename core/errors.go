package core

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Why a session ended before its generator did. [context.Cause] of the session's
// context returns one of these, or the cause of the request's context, such as a
// deadline that a middleware has set.
var (
	// ErrClientGone means that the client has left: it closed the connection,
	// or a write to it failed. A request's context that was cancelled without a
	// cause counts as well, because that is how hosts report it.
	ErrClientGone = errors.New("core: the client has gone")

	// ErrSlowClient means that a write took longer than [WithWriteTimeout].
	ErrSlowClient = errors.New("core: the client does not read")

	// ErrMaxDuration means that the session reached [WithMaxDuration].
	ErrMaxDuration = errors.New("core: the session has reached its maximum duration")

	// ErrExpired means that the time of [WithExpiry] has come. A request that comes after
	// it is refused with it, and 401.
	ErrExpired = errors.New("core: the credential has expired")

	// ErrShutdown means that the server or a [Group] of the session is shutting
	// down. A new session is refused with it.
	ErrShutdown = errors.New("core: the server is shutting down")

	// ErrEvicted means that a newer session has taken the place of this one in a [Group]
	// with Evict, or that [Group.End] or [Member.End] was called without another cause.
	ErrEvicted = errors.New("core: the session has lost its place")
)

// Why a [Group] has refused a session, besides ErrShutdown.
var (
	// ErrGroupFull means that there are Limit sessions.
	ErrGroupFull = errors.New("core: the group is full")

	// ErrKeyFull means that there are KeyLimit sessions of the same key.
	ErrKeyFull = errors.New("core: too many sessions of the same key")

	// ErrRate means that more than Rate sessions would begin in a second.
	ErrRate = errors.New("core: too many new sessions")
)

// ErrEventTooLarge ends a stream that has an event larger than [Parser.MaxEventSize].
var ErrEventTooLarge = errors.New("core: event too large")

// ErrNotStream ends a response that is not an event stream, whatever its media type: it
// has lines that are neither fields nor comments, and no field.
var ErrNotStream = errors.New("core: not an event stream")

// A RefusedError means that a stream could not begin. Nothing has been written. The
// host answers with Status and [RefusedError.Answer], and with a Retry-After if RetryAfter is
// not zero.
type RefusedError struct {
	Status     int           // the HTTP status, such as 503 if it may work later, 500 if it cannot; 503 if it is none of 204 and 300 to 599
	RetryAfter time.Duration // whole seconds
	Message    string        // what the client is told, as one line; if it is empty, the text of Err
	Err        error         // why: ErrGroupFull, ErrShutdown, or for example an error of the host's writer
}

// Error returns the text of e.Err for logs, as one line, as that of a [StreamError] is.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return cmp.Or(oneLine(e.Message), "core: the request is refused")
	}
	return oneLine(fmt.Sprint(e.Err)) // even if its method panics
}

// Answer returns the text for the client.
func (e *RefusedError) Answer() string { return cmp.Or(e.Message, e.Error()) }

// Unwrap returns e.Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// A StreamError means that a stream has failed after its response had begun, so it is too
// late to answer the request. Every other error comes from before that. Look for a
// StreamError first, because it may wrap a [RefusedError] from another server:
//
//	var (
//		failed  *core.StreamError
//		refused *core.RefusedError
//	)
//	switch {
//	case errors.As(err, &failed):
//		log.Print(err)
//	case errors.As(err, &refused):
//		http.Error(w, refused.Answer(), refused.Status)
//	}
type StreamError struct {
	Err error // the error that the generator has yielded, or one of the host's writer
}

// Error returns the text of e.Err as one line, because servers and middlewares write it into
// their logs: if the text has control characters or line separators, it is quoted.
func (e *StreamError) Error() string { return oneLine(fmt.Sprint(e.Err)) } // even if its method panics

func oneLine(text string) string {
	if strings.ContainsFunc(text, breaksLine) {
		return strconv.Quote(text)
	}
	return text
}

func breaksLine(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) }

// Unwrap returns e.Err.
func (e *StreamError) Unwrap() error { return e.Err }

// A PanicError is the error that [WithErrorEvent] and [WithObserver] get when a
// generator panics or calls runtime.Goexit. The panic itself continues to the host's
// recovery, if the session runs in the handler.
type PanicError struct {
	Value any    // what the generator panicked with; nil after runtime.Goexit
	Stack []byte // from [runtime/debug.Stack], if no recovery of the host will print it; otherwise nil
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
