package host

import (
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// comments are what a session sends at its beginning, see [Session.Direct], and as
// heartbeats, unless [core.WithHeartbeatEvent] replaces them.
var comments = config.Beats{Greeting: ": open\n\n", Heartbeat: ": heartbeat\n\n", Silent: true}

// appendOwn appends a greeting or a heartbeat. The block that begins with the reconnection
// time is left open until there is an event for it, because some clients would mistake a
// block without one for an event.
func (s *Session) appendOwn(b []byte, frame string) []byte {
	if s.config.Beats.Silent && s.config.Retry > 0 && s.events.Load() == 0 {
		frame = frame[:len(frame)-1] // the blank line
	}
	return append(b, frame...)
}

// appendRetry appends the line that sets a reconnection time, which a client obeys as soon
// as it has read the line, and does not end its block.
func appendRetry(b []byte, d time.Duration) []byte {
	b, _ = core.Event{Retry: d}.AppendText(b)
	return b[:len(b)-1] // the blank line
}
