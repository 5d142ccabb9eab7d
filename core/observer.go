package core

import (
	"context"
	"time"
)

// An Observer is told about each session, for logs and metrics. Each of its functions may be
// nil, and then costs nothing. They are called in the goroutine that runs the stream, or in
// another one in its place, so calls for different sessions may overlap; those for one session
// do not. The context is the session's and carries the values of the request's context.
type Observer struct {
	// Refused is called when the request is refused: by a full or closing [Group], by
	// [Refuse], by a shutdown before the response began, or because a stream cannot be sent
	// on the host's writer. The context has ended by then. None of the other functions is
	// called for such a request.
	Refused func(ctx context.Context, err *RefusedError)

	// Opened is called when the headers have been sent. The session cannot write until it
	// returns.
	Opened func(ctx context.Context)

	// Wrote is called after each write, between Opened and Closed. Until it returns, the
	// session cannot write, and perhaps other sessions get no events, heartbeats or timeouts.
	// So it must return at once: count, and neither wait nor lock anything that is locked
	// while an event is yielded. If it panics, the stream fails with a *[PanicError].
	Wrote func(ctx context.Context, w Write)

	// Closed is called once for each Opened, when nothing more will be written.
	// The context has ended by then: use [context.WithoutCancel] for calls that
	// need one that has not.
	Closed func(ctx context.Context, end Summary)
}

// A Write describes what a session has passed to its host at once. The first one has the
// headers of the response, and perhaps a comment.
type Write struct {
	Events    int  // that end in it: a large event takes several writes
	Bytes     int  // of the stream as it is sent, perhaps compressed; also those that the client has not accepted
	Heartbeat bool // it is a heartbeat, and nothing else

	// Duration is how long the host took to accept it, or to fail. The client, or a proxy
	// before it, has not accepted what came before if that is long.
	Duration time.Duration
}

// A Summary describes a session that has ended.
type Summary struct {
	// Cause is why the session ended early: ErrClientGone, ErrSlowClient,
	// ErrMaxDuration, ErrExpired, ErrShutdown, ErrEvicted, the cause that a Group or a
	// Member was given, the error of WithRecheck, the cause of the request's context, or an
	// error of the host, for example that a middleware holds the stream back. It is nil if
	// the generator returned or failed.
	Cause error

	// Err is the generator's failure, a *PanicError if it panicked, or nil. If Cause is set
	// too, the generator failed after that, which matters only if it panicked.
	Err error

	Events   int           // events taken from the generator
	Bytes    int64         // bytes passed to the host, perhaps compressed, heartbeats included
	Duration time.Duration // from Opened to Closed
}
