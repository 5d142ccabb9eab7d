package presence

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// What processes tell each other is events of one topic of the log. A process numbers its
// changes and the parts of its states, one after the other, so that others notice that one is
// missing. Then they ask, and it tells its state. A renewal has the number of the last one.

// control is the topic.
const control = "presence"

// A kind is what a message is about. It is the type of its event.
type kind string

const (
	kindRenewal kind = "renewal" // the process is there
	kindChange  kind = "change"  // members have joined and left
	kindState   kind = "state"   // a part of all members
	kindAsk     kind = "ask"     // asks processes for their states
	kindBye     kind = "bye"     // the process and its members leave
	kindKick    kind = "kick"    // see Tracker.Kick
)

// A message is what a process tells others.
type message struct {
	Kind  kind          `json:"-"`
	From  string        `json:"from"`  // the process
	Lease time.Duration `json:"lease"` // in ns
	N     uint64        `json:"n"`     // the number of this or the last change or part

	Ills uint64 `json:"ills,omitempty"` // what only the process itself understands

	// Of a change. In a state, Joins are members.
	Joins  []json.RawMessage `json:"joins,omitempty"`
	Leaves []string          `json:"leaves,omitempty"` // IDs

	// Of a state.
	Part  int               `json:"part,omitempty"` // from 1
	Parts int               `json:"parts,omitempty"`
	Peers map[string]uint64 `json:"peers,omitempty"` // in the last part: others, with their last asks
	Knows bool              `json:"knows,omitempty"` // these are all that there are

	// Of an ask.
	Of  []string `json:"of,omitempty"`  // all processes if it is empty
	Ask uint64   `json:"ask,omitempty"` // its number, if it asks all

	// Of a kick.
	Key    string `json:"key,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (m *message) event() (core.Event, error) { return core.Event{Type: string(m.Kind)}.JSON(m) }

func decode(e core.Event) (m message, err error) {
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
		return message{}, err
	}
	if m.From == "" {
		return message{}, errors.New("the message does not say which process has sent it")
	}
	m.Kind = kind(e.Type)
	return m, nil
}

// members returns the members in texts.
func members(texts []json.RawMessage) ([]*member, error) {
	var all []*member
	for _, text := range texts {
		m := &member{text: text}
		if err := json.Unmarshal(text, &m.Member); err != nil {
			return nil, err
		}
		if err := check(m.Topic, m.Key); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}
