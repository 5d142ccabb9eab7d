package hub

import "github.com/yieldsse/yieldsse/core"

// A Gap says that a subscriber has missed events, or may have.
type Gap struct {
	Reason GapReason `json:"reason"`

	// After is the last event ID that the client had, as it sent it. The missing
	// events came after it.
	After string `json:"after"`

	// Through is the ID of the last event that may be missing. The client is
	// sent everything that came after it.
	Through string `json:"through"`

	// Topics are those of the subscription's topics and patterns that events
	// were dropped from, or all of them if that is not known.
	Topics []string `json:"-"`
}

// A GapReason is why there is a gap.
type GapReason string

// The reasons.
const (
	// GapDropped means that the log's bounds have dropped events before the
	// client has read them.
	GapDropped GapReason = "dropped"

	// GapExpired means that the events are held, but are older than [WithMaxReplay]
	// allows for a client that resumes.
	GapExpired GapReason = "expired"

	// GapRestarted means that the client's ID is of another hub, such as that of
	// this process before it was restarted. Everything that is held follows.
	GapRestarted GapReason = "restarted"

	// GapUnknown means that the client's ID is not an ID of any hub. The client is treated
	// like one without an ID. A client whose ID core does not accept at all, because it is
	// over 1 KiB long or has control characters, is not told.
	GapUnknown GapReason = "unknown"
)

// gapEvent is the default of WithGapEvent.
func gapEvent(g Gap) core.Event {
	e, _ := core.Event{Type: "gap"}.JSON(g) // strings never fail to encode
	return e
}

// A GapPolicy says what happens to a subscriber that the log has overtaken while
// it was connected.
type GapPolicy int

const (
	// GapJump sends the gap event, and continues with the oldest event that is
	// held. It is the default.
	GapJump GapPolicy = iota

	// GapEnd ends the stream with [ErrLagged], so that the client comes back,
	// perhaps to a process that is less busy. Then it is sent the gap event. A subscription
	// with a state does not end, see [WithState].
	GapEnd
)
