package run

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

var (
	// ErrNotHeld means that there is no run with the key, neither running nor held after
	// its end. A request without a last event ID is refused with it and 204: there is nothing
	// to resume. A request with one is refused with 410, because what its client has seen may
	// have been only a part. Both stop an EventSource.
	ErrNotHeld = errors.New("run: there is no run with this key")

	// ErrFinished means that the run has ended cleanly, and has no event that the client has not
	// seen. Its request is refused with it and 204, which stops an EventSource.
	ErrFinished = errors.New("run: the run has ended, and the client has seen all of it")

	// ErrRunning means that a run with the key runs already, see [WithExclusive]. A request is
	// refused with it and 409.
	ErrRunning = errors.New("run: a run with this key is running")

	// ErrStopped means that [Runner.Stop] has ended the run. It is the cause with which the
	// context of the generator ends.
	ErrStopped = errors.New("run: the run was stopped")
)

// A Limit is one of the bounds of a [Runner].
type Limit string

// The bounds of a [Runner].
const (
	LimitRuns       Limit = "runs"        // see [WithMaxRuns]
	LimitTotalBytes Limit = "total bytes" // see [WithMaxTotalBytes]
	LimitEvents     Limit = "events"      // see [WithMaxEvents]
	LimitBytes      Limit = "bytes"       // see [WithMaxBytes]
	LimitDuration   Limit = "duration"    // see [WithMaxDuration]
)

// A LimitError means that a bound of a [Runner] does not allow another run, or an event
// of a run, or that a run has taken too long.
type LimitError struct {
	Key   string // of the run
	Limit Limit
	Max   int64 // runs, bytes, events or, for a duration, nanoseconds
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case LimitRuns:
		return fmt.Sprintf("run: %q cannot start: there are as many runs as WithMaxRuns allows (%d)", e.Key, e.Max)
	case LimitTotalBytes:
		return fmt.Sprintf("run: %q cannot start: all runs have %s already, see WithMaxTotalBytes", e.Key, size(e.Max))
	case LimitEvents:
		return fmt.Sprintf("run: %q has more than %d events, see WithMaxEvents", e.Key, e.Max)
	case LimitBytes:
		return fmt.Sprintf("run: %q is larger than %s, see WithMaxBytes", e.Key, size(e.Max))
	default:
		return fmt.Sprintf("run: %q has taken longer than %v, see WithMaxDuration", e.Key, time.Duration(e.Max))
	}
}

// size returns a number of bytes for people.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		shift uint
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n >= 1<<unit.shift && n%(1<<unit.shift) == 0 {
			return fmt.Sprintf("%d %s", n>>unit.shift, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// A ShutdownError says which runs [Runner.Shutdown] has not waited for.
type ShutdownError struct {
	Keys []string // of the runs whose generators had not returned, sorted
	Err  error    // why it did not wait longer: the cause of its context's end
}

func (e *ShutdownError) Error() string {
	const most = 10
	keys, more, runs := e.Keys, "", "runs"
	if len(keys) > most {
		keys, more = keys[:most], ", ..."
	}
	if len(keys) == 1 {
		runs = "run"
	}
	return fmt.Sprintf("run: shutdown: %d %s had not finished (%s%s): %v", len(e.Keys), runs, strings.Join(quoted(keys), ", "), more, e.Err)
}

// Unwrap returns e.Err.
func (e *ShutdownError) Unwrap() error { return e.Err }

func quoted(keys []string) []string {
	all := make([]string, 0, len(keys))
	for _, key := range keys {
		all = append(all, fmt.Sprintf("%q", key))
	}
	return all
}

// shutdownError is the error of a Runner that was shut down.
type shutdownError struct{}

func (shutdownError) Error() string { return "run: the runner was shut down" }

func (shutdownError) Unwrap() error { return core.ErrShutdown }
