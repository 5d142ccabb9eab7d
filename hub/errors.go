package hub

import (
	"errors"
	"fmt"

	"github.com/yieldsse/yieldsse/core"
)

// errShutdown is the error of a hub that was shut down.
var errShutdown error = shutdownError{}

type shutdownError struct{}

func (shutdownError) Error() string { return "hub: the hub was shut down" }

func (shutdownError) Unwrap() error { return core.ErrShutdown }

// ErrNotHeld is what [Hub.TopicOf] returns if no event that is held has the ID.
var ErrNotHeld = errors.New("hub: no event with this ID is held")

// ErrFinished is what [Hub.Publish] returns after [Hub.Finish].
var ErrFinished = errors.New("hub: the hub has finished: nothing more can be published")

// ErrLagged ends the stream of a subscriber that the log has overtaken, if
// [WithGapPolicy] says [GapEnd]. The error of a subscription whose state was too old each time wraps
// it, see [WithState].
var ErrLagged = errors.New("hub: the subscriber was too slow: events were dropped before it read them")

// errStale is the error of a subscription whose state was too old each time.
var errStale error = staleError{}

type staleError struct{}

func (staleError) Error() string {
	return fmt.Sprintf("hub: the state was sent %d times in a row, and each time the hub had dropped events that follow it: "+
		"let the hub hold more, or the state take less time; "+
		"if the state ends with an ID, it must be that of the last event of all its topics", maxStates)
}

func (staleError) Unwrap() error { return ErrLagged }

// A foreignError is an error of the application, whatever it is, with which a stream fails. Nobody
// takes it for what the stream says of itself: that it has ended cleanly, or that there is a gap.
// A hub that finishes calls no method of the application's error, which may panic.
type foreignError struct{ error }

// Original returns the application's error, for code that wants its type.
func (e *foreignError) Original() error { return e.error }

// Is is for [errors.Is]. There is no Unwrap, which would give a GapError away.
func (e *foreignError) Is(target error) bool { return errors.Is(e.error, target) }

// As is for [errors.As].
func (e *foreignError) As(target any) bool {
	_, gap := target.(**GapError)
	return !gap && errors.As(e.error, target)
}
