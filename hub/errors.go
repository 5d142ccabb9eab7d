package hub

import (
	"errors"

	"github.com/yieldsse/yieldsse/core"
)

// errShutdown is what a hub says once it was shut down.
var errShutdown error = shutdownError{}

type shutdownError struct{}

func (shutdownError) Error() string { return "hub: it has been shut down" }

func (shutdownError) Unwrap() error { return core.ErrShutdown }

// ErrNotHeld is what [Hub.TopicOf] says of an ID that no event has that is held.
var ErrNotHeld = errors.New("hub: no event that is held has this ID")

// ErrLagged ends the stream of a subscriber that the log has overtaken, if
// [WithGapPolicy] says so.
var ErrLagged = errors.New("hub: the subscriber was too slow: events were dropped before it has read them")
