package hubtest

import (
	"bufio"
	"cmp"
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
			k := key{t.epoch(id), strings.Join(m.topics, " "), m.key}
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

// missing returns the first of the events between two indices that a client wants and has not
// got.
func (h *history) missing(v *visit, from, to int) (id string) {
	for i := from; i < to; i++ {
		if !h.superseded[i] && v.wants(h.facts[i]) {
			return h.ids[i]
		}
	}
	return ""
}

// judge judges what a client was sent in one visit: each event that it wants after
// its beginning, once and in order, or a gap in its place. It returns the first event that
// is still to come, or that is missing but has a key: a later event of the key excuses that,
// and may not be known yet.
func (h *history) judge(v *visit, got []core.Event, lossless bool) (toCome string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := judge{history: h, visit: v, lossless: lossless}
	j.begin()
	for i, e := range got {
		if err := j.entry(i, e); err != nil {
			return "", fmt.Errorf("entry %d of %d, %s %.100v, after %q: %w", i, len(got), e.ID, e, j.at, err)
		}
		if e.ID != "" {
			j.at, j.begun, j.due = e.ID, true, h.behind(e.ID)
		}
	}
	return cmp.Or(j.unexcused, h.missing(v, j.due, len(h.ids))), nil
}

// A judge goes through what a client was sent.
type judge struct {
	*history
	*visit

	lossless  bool // nothing was dropped
	begun     bool // at is known
	at        string
	due       int    // the index of the next event, at most: events of other topics may come before
	unexcused string // an event with a key that is missing
	midway    bool   // a part of a state has come
}

// begin finds out where the visit begins, as far as that is known.
func (j *judge) begin() {
	j.due = len(j.ids)
	switch {
	case j.sent != "" && !j.garbage:
		j.at, j.begun = j.sent, true
	case j.from == hub.Oldest: // the oldest event that is held when it runs
		if j.lossless {
			j.due = 0
		}
	case j.after != "":
		j.at, j.begun = j.after, true
	case j.visit.begin != "":
		j.due = j.behind(j.visit.begin)
	}
	if j.begun {
		j.due = j.behind(j.at)
	}
}

// entry judges an event or a gap.
func (j *judge) entry(i int, e core.Event) error {
	gap, isGap := gapOf(e)
	first := i == 0 && j.garbage
	switch {
	case isState(e):
		return j.stateEvent(i, e)
	case j.midway:
		return errors.New("want the rest of the state")
	case j.state && isGap:
		return errors.New("want the state, not a gap")
	case j.state && i == 0 && (j.garbage || j.fresh()):
		return errors.New("want the state first")
	}
	if first && (!isGap || gap.Reason != hub.GapUnknown || gap.After != j.sent) {
		return fmt.Errorf("want a gap first, because %q is not an ID", j.sent)
	}
	index, known := j.index[e.ID]
	switch {
	case isGap:
		if err := j.gap(gap, e.ID, first); err != nil || first || !j.begun {
			return err
		}
		return j.passes(j.behind(gap.After))
	case !known:
		return errors.New("it was never published")
	case j.begun && j.order(e.ID, j.at) <= 0:
		return errors.New("it came again, or too late")
	case !j.begun && j.from == hub.Now && j.floor != "" && j.order(e.ID, j.floor) <= 0:
		return fmt.Errorf("it is from before the visit, which began after %s", j.floor)
	case !j.wants(j.facts[index]):
		return fmt.Errorf("it is of the topics %s, region %q", j.facts[index].topics, j.facts[index].region)
	}
	return j.passes(index)
}

// stateEvent judges an event of a state. It covers what has come before it.
func (j *judge) stateEvent(i int, e core.Event) error {
	j.midway = e.ID == ""
	switch {
	case !j.state:
		return errors.New("the client did not want a state")
	case j.midway:
		return nil
	case j.epoch(e.ID) < 0:
		return fmt.Errorf("%q is not an ID", e.ID)
	case j.lossless && !j.fresh() && (!j.garbage || i > 1):
		return errors.New("nothing was dropped, so the client needs no state")
	case j.slot.log == nil && j.begun && j.order(e.ID, j.at) < 0: // a hub may hear late that its log is empty
		return errors.New("it goes back")
	case j.fresh() && j.floor != "" && j.order(e.ID, j.floor) < 0:
		return fmt.Errorf("it is from before the visit, which began after %s", j.floor)
	case j.slot.log == nil && j.order(e.ID, e.Data) > 0:
		return fmt.Errorf("it was taken after %s, before its position", e.Data)
	}
	j.unexcused = ""
	return nil
}

// passes judges the events that the client has not got before an index.
func (j *judge) passes(to int) error {
	for from := j.due; from < to; {
		id := j.missing(j.visit, from, to)
		if id == "" {
			break
		}
		from = j.index[id] + 1
		if !j.facts[from-1].keyed {
			return fmt.Errorf("%s is missing before it", id)
		}
		j.unexcused = id
	}
	return nil
}

// gap judges a gap, except for what is missing before it.
func (j *judge) gap(gap hub.Gap, id string, first bool) error {
	switch {
	case gap.Through != id:
		return fmt.Errorf("it has the ID %q", id)
	case j.epoch(id) < 0:
		return fmt.Errorf("%q is not an ID", id)
	case j.begun && j.order(id, j.at) < 0:
		return errors.New("it includes events that the client has had")
	}
	switch gap.Reason {
	case hub.GapUnknown:
		if !first {
			return errors.New("the client has not sent an unknown ID")
		}
	case hub.GapDropped:
		index, known := j.index[id]
		switch {
		case j.lossless:
			return errors.New("nothing was dropped")
		case j.sameEpoch(gap.After, id) && j.order(gap.After, id) >= 0:
			return errors.New("it is empty")
		case j.slot.log == nil && (!known || !wants(j.names, j.facts[index].topics...)):
			return errors.New("it does not end with an event that the client wants")
		}
	case hub.GapRestarted:
		// A hub may hear of a new epoch before it tells the client of what was dropped in the old one.
		if j.lossless || j.sameEpoch(gap.After, id) && j.epoch(id) == len(j.epochs)-1 {
			return errors.New("the epoch has not changed")
		}
	case hub.GapExpired:
		return errors.New("nothing has expired")
	default:
		return errors.New("its reason is unknown")
	}
	return nil
}
