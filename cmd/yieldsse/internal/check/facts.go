package check

import (
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/internal/mediatype"
)

// Facts are the observations that the subjects judge.
type Facts struct {
	URL    string
	Method string
	Origin string // of the page that reads the stream; empty if there is none
	Sent   http.Header

	Requests int
	Watch    time.Duration // how long to watch the first connection

	First     Exchange   // the connection that was watched
	Resumed   []Resumed  // attempts to resume it
	Gzip      *Exchange  // a connection that accepts compression
	Again     *Exchange  // the connection after an end, with the last event ID if there was one
	Preflight *Preflight // the request that a browser would send first
}

// An Exchange is a request and its outcome.
type Exchange struct {
	Err error // there was no response

	Redirects error // why a redirect was not followed: the answer is that redirect

	URL              string // after redirects
	Status           int
	Proto            string
	ProtoMajor       int
	TLS              bool
	Header           http.Header
	ContentLength    int64 // negative if it is not known
	TransferEncoding []string

	// Times since the request. FirstByte and FirstEvent are valid if Bytes and Events
	// are not zero.
	Headers    time.Duration
	FirstByte  time.Duration
	FirstEvent time.Duration
	Watched    time.Duration // until reading stopped

	Bytes   int64
	Events  int
	Silence time.Duration // the longest, including those before the first and after the last byte
	Pause   time.Duration // the longest between two events
	Bursts  []Burst       // bounded
	Head    []Seen        // the first events, bounded
	Tail    []Seen        // the last events, bounded
	Tally   int           // events in a row at the end that have one type
	IDs     IDs
	LastID  string // with which a client would reconnect
	Wire    Wire
	End     End
	EndErr  error // how it broke
}

// A Seen is an event.
type Seen struct {
	ID    string // empty if the event brought none
	Type  string
	Print uint64 // of type and data: equal for equal events
	Done  bool   // its data marks the end: [DONE]
}

// IDs describe the IDs that events brought.
type IDs struct {
	Own    int    // events that brought one
	Twice  int    // events that brought the ID of an earlier event
	Again  string // such an ID
	Unsafe string // an ID for which a browser may send a preflight to another origin
	Long   int    // the length in bytes of an ID that is too long for a header
	seen   map[uint64]struct{}
}

const (
	maxIDs    = 100_000 // IDs that are compared
	maxSafeID = 128
	maxID     = 8 << 10 // the longest header that many servers accept
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

// A Burst is a series of bytes without a pause of burstGap.
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
	Unread   End = iota // the answer was not a stream
	TimeUp              // the time was over
	Enough              // everything was known
	Clean               // the response came to its end
	Broken              // the response broke off
	TooLarge            // an event was too large
)

// A Resumed is an attempt to resume.
type Resumed struct {
	After    string // the ID that was sent
	Expected string // the ID after that on the first connection; empty if there was none
	Exchange Exchange
}

// A Preflight is the answer to an OPTIONS request.
type Preflight struct {
	Err     error
	Method  string   // that the request asked for
	Headers []string // that the request asked for
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
