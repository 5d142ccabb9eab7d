package hubtest

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

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
	case j.begun && j.order(e.ID, j.at) < 0 && (j.slot.log == nil || j.epoch(j.at) == len(j.epochs)-1):
		// A hub may hear late that its log has begun again. Until then the state that makes good for that
		// has the position of this hub in the epoch that is over, of which another hub may have come further.
		return errors.New("it goes back")
	case j.fresh() && j.floor != "" && j.order(e.ID, j.floor) < 0:
		return fmt.Errorf("it is from before the visit, which began after %s", j.floor)
	case j.slot.log == nil && j.order(e.ID, e.Data) > 0:
		return fmt.Errorf("it was taken after %s, before its position", e.Data)
	}
	j.unexcused = ""
	return nil
}

// passes judges the events that the client has not received before an index.
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
