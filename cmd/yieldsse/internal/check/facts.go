package check

import (
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/internal/mediatype"
)

// Facts are what was seen. The subjects judge them.
type Facts struct {
	URL    string
	Method string
	Origin string // of the page that reads the stream; empty if there is none
	Sent   http.Header

	Requests int
	Watch    time.Duration // how long the first connection was to be watched

	First     Exchange   // the connection that was watched
	Resumed   []Resumed  // attempts to resume it
	Gzip      *Exchange  // one that accepts compression
	Again     *Exchange  // what comes after an end, with the last event ID if there was one
	Preflight *Preflight // what a browser would ask before
}

// An Exchange is a request and what came of it.
type Exchange struct {
	Err error // there was no response

	Redirects error // why one of them was not followed: the answer is a redirect

	URL              string // where redirects led
	Status           int
	Proto            string
	ProtoMajor       int
	TLS              bool
	Header           http.Header
	ContentLength    int64 // below zero if it was not told
	TransferEncoding []string

	// Times since the request. See Bytes and Events for whether these came.
	Headers    time.Duration
	FirstByte  time.Duration
	FirstEvent time.Duration
	Watched    time.Duration // until reading stopped

	Bytes   int64
	Events  int
	Silence time.Duration // the longest, with that before the first and that after the last byte
	Pause   time.Duration // the longest between two events
	Bursts  []Burst       // bounded
	Head    []Seen        // the first events, bounded
	Tail    []Seen        // the last events, bounded
	Tally   int           // events in a row at the end that have one type
	IDs     IDs
	LastID  string // with which a client would come back
	Wire    Wire
	End     End
	EndErr  error // how it broke
}

// A Seen is an event.
type Seen struct {
	ID    string // empty if the event brought none of its own
	Type  string
	Print uint64 // of type and data: equal for equal events
	Done  bool   // its data is what says the end: [DONE]
}

// IDs are what is known of the IDs that events brought.
type IDs struct {
	Own    int    // events that brought one
	Twice  int    // those that brought one which an earlier event had brought
	Again  string // one of these
	Unsafe string // one that a browser may ask about before it sends it to another origin
	Long   int    // the bytes of one that is too long for a header
	seen   map[uint64]struct{}
}

const (
	maxIDs    = 100_000 // that are compared
	maxSafeID = 128
	maxID     = 8 << 10 // what many servers take for a header
)

func (ids *IDs) add(id string) {
	if id == "" {
		return
	}
	ids.Own++
	if len(id) > maxID {
		ids.Long = max(ids.Long, len(id))
	}
	if len(id) > maxSafeID || strings.ContainsAny(id, "\"():<>?@[\\]{}\x7F") {
		ids.Unsafe = id
	}
	key := maphash.String(seed, id)
	if _, again := ids.seen[key]; again {
		ids.Twice++
		ids.Again = id
	} else if len(ids.seen) < maxIDs {
		if ids.seen == nil {
			ids.seen = make(map[uint64]struct{})
		}
		ids.seen[key] = struct{}{}
	}
}

// A Burst is what came with hardly a pause in it.
type Burst struct {
	At     time.Duration // since the request
	Until  time.Duration
	Bytes  int64
	Events int
	Inside bool // it stopped in the middle of an event
}

// An End says why reading stopped.
type End int

// The ends.
const (
	Unread   End = iota // the answer was no stream
	TimeUp              // the time was over
	Enough              // everything was known
	Clean               // the response came to its end
	Broken              // it broke off
	TooLarge            // an event was
)

// A Resumed is an attempt to resume.
type Resumed struct {
	After    string // the ID that was sent
	Expected string // the ID that the first connection saw behind it; empty if it saw none
	Exchange Exchange
}

// A Preflight is the answer to an OPTIONS request.
type Preflight struct {
	Err     error
	Method  string   // that was asked for
	Headers []string // that were asked for
	Status  int
	Header  http.Header
}

// isStream reports whether the answer was an event stream that could be read.
func (e *Exchange) isStream() bool {
	return e.Status == http.StatusOK && isEventStream(e.Header) && !compressed(e.Header)
}

func isEventStream(h http.Header) bool {
	kind, _ := mediatype.Of(h.Values("Content-Type"))
	return kind == mediatype.EventStream
}

func compressed(h http.Header) bool {
	coding := h.Get("Content-Encoding")
	return coding != "" && coding != "identity"
}
