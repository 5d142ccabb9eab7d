package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A Store shares runs between processes, see [WithStore]. It keeps each run apart from all
// others, so that reading one costs the same however many there are. Package runtest has the
// tests that a store must pass.
//
// The store decides what is true, and its clock alone decides when a lease ends. A run that
// has not ended when its lease does is lost: whichever call notices that records it, with
// the [Outcome] [Lost], and nothing is added to the run after that. What has ended stays as it is
// for the run's retention time, or for its lease if that is longer. After that nothing of the
// run is left.
//
// Its methods may be called by several goroutines at once. They return soon after their
// context ends. An error says what has failed and where. Each method may return [ErrTooLarge], and
// then has had no effect. After an error that is none of [ErrLost], [ErrNotHeld] and ErrTooLarge, it is not
// known whether the call has had its effect, and it may be made again: each call has its effect once.
type Store interface {
	// Claim begins a run, and returns it. If the key has a run that has not ended, Claim
	// returns that instead. It replaces a run that has ended; what that has stored can be read by
	// its ID until it is dropped.
	Claim(ctx context.Context, c Claim) (Record, error)

	// Append adds entries to a run, in one step, and renews its lease. It does so with no
	// entries as well. It skips entries whose numbers the run has already. It returns the
	// request of a call of Stop, or nil. The error is ErrLost if the run has ended, is not
	// held, or lacks entries before the first one of b.
	Append(ctx context.Context, c Claim, b Batch) (*StopRequest, error)

	// End records that a run has ended and has e.Events entries. If it has ended like that
	// already, nothing changes. The error is ErrLost if it has ended otherwise, is not held, or has
	// another number of entries.
	End(ctx context.Context, c Claim, e End) error

	// Get returns the run that a key has now. The error is ErrNotHeld if it has none, or
	// one whose retention time is over.
	Get(ctx context.Context, key string) (Record, error)

	// Read returns a run, and some of its entries: those after a cursor that an earlier Read of
	// this run has returned, or the first ones if the cursor is empty. It returns none if there
	// are no more now. If it returns the last ones, the record says whether more can come. What was in the
	// store before the call is not missing, whichever process has added it. The error is
	// ErrNotHeld if the store does not hold the run.
	Read(ctx context.Context, key, id, cursor string) (Page, error)

	// Stop asks the process of a run to end it. Only the first request for a run counts. It returns
	// the run that the key had then. If that has ended already, nothing changes. The error is ErrNotHeld
	// if the key has no run.
	Stop(ctx context.Context, key string, r StopRequest) (Record, error)

	// List returns the runs of all keys, in any order.
	List(ctx context.Context) ([]Record, error)

	// Watch has f called when something may have happened to a run of a key, until cancel
	// is called. f does not block. A call may come for nothing, be late or be lost. Watch
	// returns at once. cancel may be called more than once.
	Watch(key string, h Hint, f func()) (cancel func())
}

// A Claim is what a process says of a run that it begins.
type Claim struct {
	Key       string
	ID        string // of this run alone; the IDs of its events begin with it
	Starter   string
	Lease     time.Duration // how long the run goes on without a sign of its process
	Retention time.Duration // how long a run is held after its end, see [WithRetention]
}

// A Batch is some entries of a run.
type Batch struct {
	First   int      // the number of the first entry; a run's first one has the number 1
	Entries []string // events in their wire form, with their IDs
	Bytes   int64    // the size of the run with these entries, see [State.Bytes]
}

// An Outcome is how a run has ended.
type Outcome string

// The outcomes of runs.
const (
	Returned Outcome = "returned" // its generator has returned
	Failed   Outcome = "failed"
	Stopped  Outcome = "stopped"
	ShutDown Outcome = "shut down"
	Lost     Outcome = "lost" // only a [Store] says so
)

// An End is the end of a run.
type End struct {
	Outcome Outcome
	Clean   bool   // its streams end cleanly
	Message string // why it has failed
	Events  int    // how many there are
	Bytes   int64
}

// A Record is what a [Store] knows of a run.
type Record struct {
	Claim
	End // the Outcome is empty while the run goes on; then Events and Bytes are those that it has now

	Started time.Time     // by the store's clock
	Ended   time.Time     // by the store's clock; zero while the run goes on
	Left    time.Duration // for how much longer the lease holds; only while the run goes on
}

// A Page is what [Store.Read] returns.
type Page struct {
	Record  Record
	Entries []string
	Cursor  string // for the next Read
	More    bool   // there are more entries now; then Cursor is not that of the Read before
}

// A StopRequest is a call of [Runner.Stop] in another process.
type StopRequest struct {
	Last []string // the events to add, in their wire form; their IDs mean nothing
}

// A Hint is what [Store.Watch] watches for.
type Hint string

// The hints.
const (
	HintEvents Hint = "events" // a run may have new entries, or may have ended
	HintStop   Hint = "stop"   // a run may have a [StopRequest]
)

// ErrLost means that the process of a run has died, or could not reach the [Store] for as
// long as [WithLease] allows, or that the store has lost a part of the run. Its streams fail
// with it in all processes.
var ErrLost = errors.New("run: the run was lost")

// ErrTooLarge means that a [Store] never accepts as much at once as a call has asked for. A run fails with
// it if the store does not accept one of its events.
var ErrTooLarge = errors.New("run: it is too large for the store")

// What a lease means for calls of the store. A long one does not make them slow.

// attempt is how long a call may take, so that there is time for another one.
func attempt(lease time.Duration) time.Duration { return min(lease/2, 5*time.Second) }

// retry is how long to wait after a call that has failed.
func retry(lease time.Duration) time.Duration { return min(lease/50, 200*time.Millisecond) }

// renewal is how often the lease is renewed, and how often the store is read without a hint.
func renewal(lease time.Duration) time.Duration { return min(lease/3, 5*time.Second) }

// An otherError is the error of a run of another process.
type otherError struct{ message string }

func (e otherError) Error() string { return e.message }

// errors returns why a run has ended, as in [State.Err], and what its streams end with.
func (e *End) errors() (err, end error) {
	switch e.Outcome {
	case "", Returned:
		return nil, nil
	case Stopped:
		err = ErrStopped
	case ShutDown:
		err = shutdownError{}
	case Lost:
		err = ErrLost
	case Failed:
		err = otherError{e.Message}
	default:
		err = otherError{"run: the store says that the run was " + string(e.Outcome)}
	}
	if e.Clean {
		return err, nil
	}
	return err, err
}

// maxMessage is how many bytes of an error's text a store gets.
const maxMessage = 4 << 10

// newEnd is the inverse of errors. An error is perhaps the user's, whose methods may panic.
func newEnd(err, end error) (e End) {
	e = End{Outcome: outcomeOf(err), Clean: end == nil}
	switch e.Outcome {
	case Failed:
	case Lost:
		e.Outcome = Failed // only a store says that a run was lost
	default:
		return e
	}
	defer func() {
		if v := recover(); v != nil {
			e.Message = fmt.Sprintf("run: a method of the error, a %T, has panicked: %v", err, v)
		}
		if len(e.Message) > maxMessage {
			e.Message = e.Message[:maxMessage]
		}
		e.Message = strings.ToValidUTF8(e.Message, "\uFFFD")
	}()
	e.Message = err.Error()
	return e
}

// outcomeOf returns how a run has ended. err is perhaps the user's, whose methods may panic.
func outcomeOf(err error) (o Outcome) {
	o = Failed
	defer func() { _ = recover() }() // then it is not one of ours
	switch {
	case err == nil:
		o = Returned
	case errors.Is(err, ErrStopped):
		o = Stopped
	case errors.Is(err, core.ErrShutdown):
		o = ShutDown
	case errors.Is(err, ErrLost):
		o = Lost
	}
	return o
}

// state returns what a record says.
func (r *Record) state() State {
	err, _ := r.errors()
	return State{
		Key: r.Key, ID: r.ID, Starter: r.Starter, Started: r.Started, Ended: r.Ended,
		Events: r.Events, Bytes: r.Bytes, Err: err,
	}
}
