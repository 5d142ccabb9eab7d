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

	// Progress returns how far the session has come. It does not wait for the client.
	Progress() Progress

	// End ends the session cleanly with cause, unless it has been called before. If retry
	// is not zero, the client is told to come back after it.
	End(cause error, retry time.Duration)
}

// A Progress is how far a session has come. The fields of core.Member document it.
type Progress struct {
	ID        uint64
	Opened    time.Time
	Events    int
	Bytes     int64
	LastEvent time.Time
	Behind    time.Duration
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
