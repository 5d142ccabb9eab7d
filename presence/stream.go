package presence

import (
	"context"
	"encoding/json"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// The types of the events of [Tracker.Stream].
const (
	eventMembers = "members"
	eventJoin    = "join"
	eventLeave   = "leave"
	eventCurrent = "current"
	eventStale   = "stale"
)

// status is the topic in Tracker.streams that all streams follow, for current and stale.
const status = "s"

// The data of current and stale.
var (
	empty = []byte("{}")
	last  = []byte(`{"last":true}`) // of the events of a state
)

// chunk is about how many bytes of members an event has.
const chunk = 32 << 10

// A list is the data of a members event.
type list struct {
	First   bool              `json:"first"` // a new list begins
	Members []json.RawMessage `json:"members"`
}

// Stream returns a topic's members, and then who joins and leaves, as events for a client. The
// data of each is JSON:
//
//   - members: {"first": true, "members": [...]}, each with its topic, id, key and perhaps info.
//     A part of a new list, which begins if first is true.
//   - current: {}, or {"last": true} after a list. The client has all members.
//   - stale: the same, except that members of other processes may be missing, or may have left,
//     until the next current: see [Tracker.Healthy].
//   - join, leave: one member.
//
// A client that comes is sent a list: members, at least one event even if there is nobody, then
// current or stale. Then it is sent what happens. If it comes back to this process it is sent
// what it has missed, or, as at another process, a list again.
//
// A client keeps the list that it has until a new one is complete, with "last": true. If the
// connection breaks before that, the client's ID is still that of the old list, and it may be
// sent what has happened since then.
//
// Return it from the view as it is: then its frames are encoded once for all clients. It ends
// when ctx does, and with [Tracker.Shutdown], after which the request is refused with 503. If
// topic is not the name of a topic, its only element is an error.
func (t *Tracker) Stream(ctx context.Context, topic string) core.Stream {
	if err := checkTopic(topic); err != nil {
		return func(yield func(core.Event, error) bool) { yield(core.Event{}, err) }
	}
	t.lock()
	closed, streams := t.closed, t.streams
	t.mu.Unlock()
	if closed { // and the streams perhaps not yet
		core.Refuse(ctx, errShutdown)
		return func(yield func(core.Event, error) bool) { yield(core.Event{}, errShutdown) }
	}
	return streams.SubscribeWith(ctx, []string{prefix + topic, status}, hub.WithState(t.state(topic)))
}

// state yields who is there now.
func (t *Tracker) state(topic string) core.Stream {
	return func(yield func(core.Event, error) bool) {
		t.lock()
		texts := make([]json.RawMessage, 0, len(t.rooms[topic]))
		for _, m := range t.rooms[topic] {
			texts = append(texts, m.text)
		}
		end := core.Event{Type: eventCurrent, Data: string(last), ID: t.streams.LastID()}
		if t.cluster != nil && !t.cluster.current {
			end.Type = eventStale
		}
		t.mu.Unlock()
		for i, part := range parts(texts) {
			e, err := core.Event{Type: eventMembers}.JSON(list{i == 0, part})
			if !yield(e, err) || err != nil {
				return
			}
		}
		yield(end, nil)
	}
}

// parts cuts a list into parts of about chunk bytes. There is at least one.
func parts(texts []json.RawMessage) [][]json.RawMessage {
	var all [][]json.RawMessage
	for {
		n, size := 0, 0
		for n < len(texts) && size < chunk {
			size += len(texts[n])
			n++
		}
		all = append(all, texts[:n:n])
		if texts = texts[n:]; len(texts) == 0 {
			return all
		}
	}
}

// tell publishes an event to the streams of this process. The Tracker is locked, so that events are
// published in the order of the changes.
func (t *Tracker) tell(topic, typ string, data []byte) {
	_, _ = t.streams.Publish(context.Background(), topic, core.Event{Type: typ, Data: string(data)}) // fails only after a shutdown
}
