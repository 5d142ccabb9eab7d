package hubtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// A truth is everything that was published, as far as it is known: an event is in the
// log's history if its publisher was told its ID, or if anybody was sent it.
type truth struct {
	compare func(a, b string) (int, error) // of IDs of one epoch

	mu       sync.Mutex
	n        int                  // how many events were numbered
	forgets  bool                 // the log may have forgotten the idempotency keys of events it dropped
	messages map[core.Event]*fact // by the event as a client gets it, without the ID
	known    map[string]*fact     // by ID
	epochs   []string             // an ID of each, oldest first
}

// A fact is an event that somebody has published.
type fact struct {
	topics []string
	region string // its attribute
	key    string
	keyed  bool
	again  bool // it was published again, with its idempotency key
	event  core.Event
	ids    []string // its known IDs, at most one of each epoch unless a key was forgotten
}

// roundTrip returns an event as a client gets it.
func roundTrip(e core.Event) core.Event {
	frame, err := e.AppendText(nil)
	if err != nil {
		return e
	}
	var got core.Event
	if err := got.UnmarshalText(frame); err != nil {
		return core.Event{}
	}
	return got
}

// blocks yields the events of a stream of this library, each with the comments of its
// block.
func blocks(r io.Reader) core.Stream {
	return func(yield func(core.Event, error) bool) {
		var (
			in    = bufio.NewReader(r)
			block []byte
			e     core.Event
		)
		for {
			line, err := in.ReadBytes('\n')
			block = append(block, line...)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && len(line) > 1:
				continue
			case err == nil:
				err = e.UnmarshalText(block)
			}
			if !yield(e, err) || err != nil {
				return
			}
			block = block[:0]
		}
	}
}

// number returns the next event's number.
func (t *truth) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	return t.n
}

// expect adds an event that is about to be published.
func (t *truth) expect(m *fact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := m.event
	e.ID = "x"
	e = roundTrip(e)
	e.ID = ""
	m.event = e
	t.messages[e] = m
}

// learn records that an event has this ID.
func (t *truth) learn(m *fact, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known[id] == m {
		return nil
	}
	if other := t.known[id]; other != nil {
		return fmt.Errorf("%s is the ID of %.60v and of %.60v", id, other.event, m.event)
	}
	epoch := t.epoch(id)
	if epoch < 0 {
		return fmt.Errorf("%.60v has %q, which is not an ID", m.event, id)
	}
	for _, other := range m.ids {
		if t.epoch(other) == epoch && !(t.forgets && m.again) {
			return fmt.Errorf("%.60v was added twice, as %s and as %s", m.event, other, id)
		}
	}
	t.known[id] = m
	m.ids = append(m.ids, id)
	return nil
}

// sent records an event that a client was sent.
func (t *truth) sent(e core.Event) error {
	id := e.ID
	e.ID = ""
	t.mu.Lock()
	m := t.messages[e]
	t.mu.Unlock()
	if m == nil {
		return fmt.Errorf("nobody published %s %.60v", id, e)
	}
	return t.learn(m, id)
}

// begins records an ID of an epoch. An epoch that is not known has just begun.
func (t *truth) begins(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch(id)
}

// epoch returns the number of an ID's epoch, or -1 if it is not an ID.
func (t *truth) epoch(id string) int {
	for i, other := range slices.Backward(t.epochs) {
		_, err := t.compare(id, other)
		switch {
		case err == nil:
			return i
		case !errors.Is(err, hub.ErrOtherEpoch):
			return -1
		}
	}
	t.epochs = append(t.epochs, id)
	return len(t.epochs) - 1
}

// A history is the truth at one time.
type history struct {
	*truth

	ids        []string
	facts      []*fact
	index      map[string]int
	superseded []bool
}

func (t *truth) history() *history {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &history{truth: t, index: make(map[string]int, len(t.known))}
	for id := range t.known {
		h.ids = append(h.ids, id)
	}
	slices.SortFunc(h.ids, t.order)
	h.facts, h.superseded = make([]*fact, len(h.ids)), make([]bool, len(h.ids))
	type key struct {
		epoch       int
		topics, key string
	}
	later := make(map[key]bool)
	for i, id := range slices.Backward(h.ids) {
		m := t.known[id]
		h.index[id], h.facts[i] = i, m
		if m.keyed {
			k := key{t.epoch(id), strings.Join(slices.Sorted(slices.Values(m.topics)), " "), m.key}
			h.superseded[i] = later[k]
			later[k] = true
		}
	}
	return h
}

// order compares two IDs, whatever their epochs.
func (t *truth) order(a, b string) int {
	if order, err := t.compare(a, b); err == nil {
		return order
	}
	return t.epoch(a) - t.epoch(b)
}

// sameEpoch reports whether two IDs are of one epoch.
func (t *truth) sameEpoch(a, b string) bool {
	_, err := t.compare(a, b)
	return err == nil
}

// behind returns how many events are not after an ID.
func (h *history) behind(id string) int {
	if i, ok := h.index[id]; ok {
		return i + 1
	}
	n, _ := slices.BinarySearchFunc(h.ids, id, func(a, b string) int {
		if h.order(a, b) <= 0 {
			return -1
		}
		return 1
	})
	return n
}
