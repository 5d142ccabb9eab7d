package hub

import (
	"context"
	"iter"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// A Log keeps the events of hubs in several processes, in one order: see
// [WithLog]. It assigns the IDs, which are short and made of [0-9A-Za-z._~-], grow
// with the order, and contain an epoch that changes when the log begins again.
//
// Its methods may be called by several goroutines at once. They return soon after
// their context ends, with an error that says what has failed and where.
type Log interface {
	// Append adds an entry and returns its ID. Then the log keeps it, as durably as it
	// keeps anything. After an error it may or may not have the entry, or get it later,
	// but only once. An entry whose IdempotencyKey the log has seen lately is not added
	// again; the ID of the first is returned. A log may forget the keys of entries that
	// it has dropped.
	Append(ctx context.Context, e Entry) (id string, err error)

	// Last returns the ID of the last entry, or of the log's beginning if it has
	// none.
	Last(ctx context.Context) (id string, err error)

	// Range returns up to n of the oldest entries after an ID, and none if there
	// are none. The first one, and no other, is a Gap if the log has dropped some of the
	// entries that it should return. With an empty ID it returns the oldest entries that it has,
	// with a position before them.
	Range(ctx context.Context, after string, n int) ([]Entry, error)

	// TopicOf returns the topic of the entry that has an ID, or an empty one if the log
	// does not hold such an entry.
	TopicOf(ctx context.Context, id string) (topic string, err error)

	// Follow yields the entries after an ID, as they come. If the ID is empty it yields
	// those after the last entry, and first a position. It yields a Gap where the log has
	// dropped some entries, or has begun again. While there are none it yields the
	// zero Entry about every second, to show that the log answers. It ends with an error
	// when the log does not answer, or with ctx; the caller may then follow again.
	Follow(ctx context.Context, after string) iter.Seq2[Entry, error]

	// Compare returns the order of two IDs, as [cmp.Compare] does. The error is
	// ErrOtherEpoch if one of them is of another epoch than the one that the log was last
	// seen in, and another error if one of them is not an ID of this log. Compare must not
	// wait, because it is called while the hub is locked.
	Compare(a, b string) (int, error)
}

// An Entry is an event in a [Log], or a position between two events, which has no
// topic and may come anywhere among them. A position that is a Gap says that entries
// up to there may be missing.
type Entry struct {
	ID    string    // assigned by the log
	Time  time.Time // when it was appended, by the log's clock
	Topic string
	Event core.Event // without an ID
	Key   string     // see WithKey; only if Keyed
	Keyed bool
	Gap   bool

	Topics     []string   // up to 15 more topics of the event, without control characters; see WithTopics
	Attributes Attributes // in valid UTF-8; see WithAttributes

	IdempotencyKey string // made of the set of topics and the key of WithIdempotencyKey; only set for Append
}

// ErrOtherEpoch is what [Log.Compare] returns for an ID from before the log began
// again.
var ErrOtherEpoch = eventid.ErrOtherEpoch
