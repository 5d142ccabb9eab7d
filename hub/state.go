package hub

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// WithState has a client begin with the present state: it is sent the events of state, and
// then everything that is published after the state was taken. This is for a client without a
// last event ID, if [From] does not say where it begins. And whenever a client has missed
// something, it is sent the state again, instead of a gap event and whatever [WithGapPolicy]
// says. A client that comes back and has missed nothing is not sent the state.
//
// The hub takes the position from which the subscription continues before it runs state. So
// nothing is lost if you change the state first, and publish the change after that. Publish
// in the order of the changes: if two changes of one thing are published in the wrong order,
// clients keep the older one. For a state in memory, hold one lock while you change and
// publish. For one in a database, put a version in the event, so that clients can ignore what
// is older than what they have.
//
// What is published while the state is taken may be in the state and follow as well. So
// publish what something is now, such as a price, and not by how much it has changed. If
// changes must not come twice, let the last event of the state have an ID: that of the last
// event of all the subscription's topics that is in the state. You know it if you change,
// publish and take the state under one lock: it is what [Hub.Publish] has returned last, for
// any of these topics and even if the change is of a part of the state that this client does
// not get. Then the subscription continues after that event, or with the oldest that its log
// still holds: what the log had dropped before the state was taken is in the state. An ID from
// before the hub or its log has begun again stands for the beginning. Other events of a state
// have no ID, so that a client whose connection breaks in the middle of a state is sent all of
// it again.
//
// The first event should tell the client to forget what it has, because a state may follow
// events. If a state is empty, the client is sent nothing, or the gap event if it has missed
// something.
//
// A state runs as fast as its client reads, and what it yields is sent in batches of about
// 128 KiB, or of some milliseconds. If it needs a lock or a database's connection, it should
// give that back before it yields. While it runs, the stream has a goroutine; afterwards it
// has none. It must return soon after the view's context has ended: use that for your
// queries. state runs again for each client and each gap, several at once. If it fails, the
// stream fails.
//
// The hub must hold what is published while the state is sent. If it has dropped some of that
// three times in a row, the stream fails with an error that wraps [ErrLagged].
func WithState(state core.Stream) SubscribeOption {
	return func(s *selection) { s.state = state }
}

// maxStates is how often a client is sent the state, one right after the other.
const maxStates = 3

// stateDelay is how long a state may take before the client is sent what there is.
const stateDelay = 5 * time.Millisecond

// errState means that the state comes next.
var errState = errors.New("hub: the state comes next")

// A snapshot is a state that is being sent.
type snapshot struct {
	gap  *Gap   // that the state makes good for; nil if the client has just come
	at   string // the ID of the position from which the subscription continues
	next func() (core.Event, error, bool)
	stop func()
	last core.Event // what it has yielded last, which has not been sent
	any  bool       // it has yielded something

	dropped uint64 // the last event that the hub had dropped before: what is missing up to it is in the state
}

// startOver has the state come next, instead of telling of a gap, and everything after that.
// The error is errState, or errStale. The hub is locked.
func (s *subscription) startOver(gap *Gap) error {
	if s.states == maxStates {
		return errStale
	}
	s.states++
	s.gap, s.resuming, s.older, s.moving = nil, false, 0, true
	n := &snapshot{}
	s.snapshot = n
	s.unpass() // the state may end with an event from before
	r, f := s.reach, s.hub.follower
	switch {
	case r == nil:
		s.cursor = s.hub.last
		n.at, n.dropped = s.hub.id(s.cursor), s.hub.dropped
	case f.order(r.at, f.at) <= 0:
		s.cursor, r.at = s.hub.last, f.at
		r.paging, r.ahead = false, false
	default:
		r.paging = true // the log is ahead of the follower
	}
	if r != nil {
		r.pages, n.at = nil, r.at
		if r.marks != nil {
			r.marks.taken = ""
		}
	}
	if gap.Reason != "" {
		s.hub.gaps.add(gap.Reason)
		own := *gap // other runs of the stream may begin with the same gap
		own.Through, own.Topics = n.at, s.names()
		n.gap = &own
	}
	return errState
}

// sendState appends about most bytes of the state. It runs the application's code.
func (s *subscription) sendState(frames *[][]byte, most int) error {
	n := s.snapshot
	if gap := n.gap; gap != nil && s.gapErrors {
		n.gap = nil
		return &GapError{*gap}
	}
	if n.next == nil {
		n.next, n.stop = iter.Pull2(s.state)
	}
	begun, enc := time.Now(), s.encoder()
	for size := 0; size < most && (size == 0 || time.Since(begun) < stateDelay); {
		if s.ctx.Err() != nil {
			return io.EOF
		}
		e, err, more := n.next()
		switch {
		case err != nil:
			return stateError(err)
		case more:
		case n.any:
			s.snapshot = nil
			return s.endState(frames, enc, n)
		case n.gap != nil:
			s.snapshot = nil
			return s.tell(frames, n.gap)
		default:
			s.snapshot = nil
			return nil
		}
		if n.any {
			if n.last.ID != "" {
				return fmt.Errorf("hub: state: an event has the ID %q, but only the last one may have an ID", n.last.ID)
			}
			if size, err = enc.append(frames, n.last, size); err != nil {
				return err
			}
		}
		n.last, n.any = e, true
	}
	return nil
}

// stateError returns the error of a stream whose state has failed.
func stateError(err error) error { return &foreignError{fmt.Errorf("hub: state: %w", err)} }

// endState appends the last event of the state, with the ID of the position.
func (s *subscription) endState(frames *[][]byte, enc *encoder, n *snapshot) error {
	e, at := n.last, n.at
	if e.ID != "" {
		var err, failure error
		switch at, err, failure = s.continueAfter(e.ID, n.dropped); {
		case failure != nil:
			return failure
		case err != nil:
			return fmt.Errorf("hub: state: the last event has the ID %q: %w", e.ID, err)
		}
	}
	e.ID = at
	_, err := enc.append(frames, e, 0)
	return err
}

func (enc *encoder) append(frames *[][]byte, e core.Event, size int) (int, error) {
	frame, err := enc.encode(e)
	if err != nil {
		return 0, fmt.Errorf("hub: state: %w", err)
	}
	*frames = append(*frames, frame)
	return size + len(frame), nil
}

// continueAfter has the subscription continue after an event, which is the last one that is
// in the state, or after the beginning if the event is from before that. dropped is the last event
// that the hub had dropped before the state was taken. It returns the ID of the position. err says
// why id is not a position, and failure why that cannot be found out.
func (s *subscription) continueAfter(id string, dropped uint64) (at string, err, failure error) {
	h := s.hub
	if r := s.reach; r != nil {
		_, err, failure = s.seek(id, r.at)
		if errors.Is(err, ErrOtherEpoch) {
			err = nil
		}
		r.marks = &marks{r.began(), r.at}
		r.at, r.paging = id, true
		return id, err, failure
	}
	h.lock()
	defer h.mu.Unlock()
	epoch, number, ok := parseID(id)
	switch {
	case !ok || epoch == h.epoch && number > h.last:
		return "", errors.New("this hub has not published it: use an ID that its Publish has returned"), nil
	case epoch != h.epoch:
		number = 0
	}
	s.cursor = number
	s.beginHere()
	// What the hub has forgotten counts as lost by each new topic. If it was dropped before, it is in the state.
	s.cursor = max(number, min(h.forgotten, dropped))
	return h.id(s.cursor), nil, nil
}

// endSnapshot frees what a state has that was not sent to its end.
func (s *subscription) endSnapshot() {
	if n := s.snapshot; n != nil && n.stop != nil {
		n.stop()
	}
}
