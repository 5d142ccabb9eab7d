package config

import "time"

// A Group is what a session sees of a core.Group.
type Group interface {
	// Join adds m, or returns why it refuses to.
	Join(m Member) error

	Leave(m Member)
}

// A Member is what a core.Group sees of a session.
type Member interface {
	// Shutdown ends the session, and tells its client to come back after retry.
	Shutdown(retry time.Duration)
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
