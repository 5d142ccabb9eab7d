package hub

import (
	"context"
	"iter"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// A Log keeps the events of hubs in several processes, in one order: see
// [WithLog]. It gives the IDs, which are short and made of [0-9A-Za-z._~-], grow
// with the order, and hold an epoch that changes when the log begins anew.
//
// Its methods may be called by several goroutines at once. They return soon after
// their context ends, with an error that says where and what the trouble is.
type Log interface {
	// Append adds an entry and returns the ID that it has got. Then the log has
	// it for good, as far as it keeps anything for good. After an error it may
	// or may not have it. An entry whose IdempotencyKey the log has seen lately is
	// not added again; its ID is returned.
	Append(ctx context.Context, e Entry) (id string, err error)

	// Last returns the ID of the last entry, or of the log's beginning if it has
	// none.
	Last(ctx context.Context) (id string, err error)

	// Range returns up to n of the oldest entries after an ID, and none if there
	// are none. The first one is a Gap if the log has dropped some of what it
	// should return. With an empty ID it returns the oldest entries that there
	// are, after a position in front of them.
	Range(ctx context.Context, after string, n int) ([]Entry, error)

	// TopicOf returns the topic of the entry that has an ID. It is empty if the log
	// does not hold one, or not any more.
	TopicOf(ctx context.Context, id string) (topic string, err error)

	// Follow yields entries after an ID, as they come, or after the last one if
	// that is empty; then the first thing that it yields is a position. It yields a
	// Gap where the log has dropped some, or has begun anew. While there is
	// nothing it yields the zero Entry about every second, to show that the log
	// answers. It ends with an error when the log does not, or with ctx; it is
	// for the caller to follow again.
	Follow(ctx context.Context, after string) iter.Seq2[Entry, error]

	// Compare tells the order of two IDs, as [cmp.Compare] does. The error is
	// ErrOtherEpoch if one of them is of another epoch than the log was last seen
	// in, and another one if it is none of this log's IDs.
	Compare(a, b string) (int, error)
}

// An Entry is an event in a [Log], or a position between two: one without a
// topic; it may come anywhere among them. A position that is a Gap says that entries
// up to there may be missing.
type Entry struct {
	ID    string    // given by the log
	Time  time.Time // when it was appended, by the log's clock
	Topic string
	Event core.Event // without an ID
	Key   string     // see WithKey; only if Keyed
	Keyed bool
	Gap   bool

	IdempotencyKey string // see WithIdempotencyKey; made of the topic and that; only Append is given it
}

// ErrOtherEpoch is what [Log.Compare] says of an ID from before the log began
// anew.
var ErrOtherEpoch = eventid.ErrOtherEpoch
