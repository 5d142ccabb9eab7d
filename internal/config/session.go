package config

import (
	"context"
	"time"
)

// A Group is what a session sees of a core.Group.
type Group interface {
	// Join adds m, or returns why it refuses to.
	Join(m Member) error

	Leave(m Member)
}

// A Member is what a core.Group sees of a session.
type Member interface {
	Context() context.Context

	// Progress returns when the response began, or zero, and what has been sent. It does
	// not wait for the client.
	Progress() (opened time.Time, events int, bytes int64)

	// End ends the session cleanly with cause, unless it has been called before. If retry
	// is not zero, the client is told to come back after it.
	End(cause error, retry time.Duration)
}

// Clients that are sent away are told to come back after ReturnFrom plus a part of
// ReturnSpread, so that they do not all come at once.
const (
	ReturnFrom   = time.Second
	ReturnSpread = 4 * time.Second
)

// A SessionKey is the key of a Session in the context of a session.
type SessionKey struct{}

// A Session is what core sees of the session that a context belongs to.
type Session[Request any] interface {
	Request() Request

	// Refuse refuses the session's request with err, if its response has not begun.
	Refuse(err error)
}
