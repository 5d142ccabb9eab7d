package core

import (
	"errors"
	"fmt"
)

// beats are the frames that a session sends by itself. Sessions share them.
type beats struct {
	greeting  string // at the beginning: see [Session.Direct]
	heartbeat string // on a silent stream
	silent    bool   // neither is an event to a client
	err       error  // they cannot be sent
}

var comments = beats{greeting: ": open\n\n", heartbeat: ": heartbeat\n\n", silent: true}

func beatsOf(e Event) *beats {
	if e.ID != "" {
		return &beats{err: errors.New("core: heartbeat event: it has an ID, with which a client would resume after it")}
	}
	frame, err := e.AppendText(nil)
	if err != nil {
		err = fmt.Errorf("core: heartbeat event: %w", err)
	}
	return &beats{greeting: string(frame), heartbeat: string(frame), silent: silent(&e), err: err}
}

// appendOwn appends a frame of the session's own. The block that begins with the
// reconnection time is left open until there is an event for it, because without one some
// clients would take it for an event.
func (s *Session) appendOwn(b []byte, frame string) []byte {
	if s.beats.silent && s.retry > 0 && s.events == 0 {
		frame = frame[:len(frame)-1] // the blank line
	}
	return append(b, frame...)
}
