package presence

import (
	"context"
	"fmt"
	"strings"
)

const maxReason = 1 << 10 // bytes

// A KickedError is the cause of a session that [Tracker.Kick] has ended.
type KickedError struct {
	Key    string
	Reason string
}

func (e *KickedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("presence: %q was kicked", e.Key)
	}
	return fmt.Sprintf("presence: %q was kicked: %s", e.Key, e.Reason)
}

// Kick ends the sessions of a key in the groups of [WithGroup], in all processes, as
// [core.Group.End] does: cleanly, with a [*KickedError] as the cause. The client may come back
// at once, so first change what would let it in.
//
// Kick returns when the log has the kick. Each process ends the sessions that it has when the
// kick reaches it from the log, and not those that begin after that. A process that has not
// reached the log yet for the first time does not hear of it. A process that cannot reach the
// log hears of it afterwards; if the log has dropped it by then, see [WithLogger]. For certainty,
// let [core.WithRecheck] ask the source of the right as well.
//
// After an error, which says what is wrong with the arguments or why the log has not answered,
// the log may have the kick nevertheless. It is safe to kick again.
func (t *Tracker) Kick(ctx context.Context, key, reason string) error {
	err := checkKey(key)
	if err == nil && len(reason) > maxReason {
		err = fmt.Errorf("the reason has %d bytes: it may have at most %d", len(reason), maxReason)
	}
	if err != nil {
		return fmt.Errorf("presence: kick: %w", err)
	}
	t.lock()
	closed, c := t.closed, t.cluster
	t.mu.Unlock()
	switch {
	case closed:
		return errShutdown
	case c == nil:
		t.end(strings.Clone(key), strings.Clone(reason)) // a host may reuse their memory
		return nil
	}
	err = c.publish(ctx, &message{Kind: kindKick, From: c.id, Key: key, Reason: reason})
	if err != nil {
		return fmt.Errorf("presence: kick %q: %w", key, err)
	}
	return nil
}

// end ends the sessions of a key in this process.
func (t *Tracker) end(key, reason string) {
	for _, g := range t.config.groups {
		g.End(key, &KickedError{key, reason})
	}
}
