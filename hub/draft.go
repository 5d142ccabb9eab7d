package hub

import (
	"bytes"
	"slices"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// large reports whether an event takes so long to encode that the hub must not be locked
// meanwhile.
func large(e core.Event) bool {
	const most = slabSize / 16
	return len(e.Data)+len(e.Comment)+len(e.Type) > most
}

// A draft is the frame of a large event, made before the hub is locked. If the hub gives the event
// its ID, which it does when it is locked, the frame has room for it. The zero draft is not one.
type draft struct {
	made bool
	text []byte
	err  error
	line int // where the line of the ID begins
	room int // for the ID; 0 if the event has its ID
}

func (h *Hub) newDraft(e core.Event) draft {
	if h.drafting != nil {
		h.drafting()
	}
	d := draft{made: true}
	if e.ID == "" {
		d.room = maxID
		e.ID = strings.Repeat("0", maxID)
	}
	const others = 64 // bytes of the fields' names and of the time to reconnect
	d.text, d.err = e.AppendText(make([]byte, 0, len(e.Data)+len(e.Comment)+len(e.Type)+len(e.ID)+others))
	if len(d.text) < cap(d.text)-cap(d.text)/16 { // it has many lines, and has grown
		d.text = slices.Clone(d.text)
	}
	if e.Comment != "" { // its lines come first, and begin with a colon
		d.line = bytes.Index(d.text, []byte("\nid: ")) + 1
	}
	return d
}

// frame returns the frame with the event's ID, in the draft's memory.
func (d draft) frame(id string) ([]byte, error) {
	if d.room == 0 || d.err != nil {
		return d.text, d.err
	}
	unused := d.room - len(id)
	line := unused + copy(d.text[unused:], d.text[:d.line])
	line += copy(d.text[line:], "id: ")
	copy(d.text[line:], id)
	return d.text[unused:], nil
}
