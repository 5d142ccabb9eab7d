package hub

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/yieldsse/yieldsse/core"
)

// WithState has a client begin with the present state: it is sent the events of state, and
// then everything that is published after the state was taken. This is for a client without a
// last event ID, if [From] does not say where it begins. And instead of a gap event each client is sent
// the state anew, whenever it has missed something. A client that comes back and has missed nothing
// is not sent the state.
//
// The hub takes the position from which the subscription continues before it runs state. So
// nothing is lost if you change the state first, and publish the change after that. What is
// published in between may be in the state and follow as well. So publish what something is now,
// such as a price, and not by how much it has changed.
//
// If changes must not come twice, let the last event of the state have an ID: that of the last change that is in
// the state, as [Hub.Publish] has returned it. Then the subscription continues
// after that event. The state, the ID and the publishing need one lock for that. Other events of a state
// have no ID, so that a client whose connection breaks in the middle of a state is sent all of it again.
//
// The first event should tell the client to forget what it has, because a state may follow
// events. If a state is empty, the client is sent nothing.
//
// A state runs as fast as its client reads. So if it needs a lock or a database's connection, it
// should give that back before it yields. While it runs, the stream has a goroutine; afterwards it has none.
// state runs again for each client and each gap, at several at once. If it fails, the
// stream fails. The hub must hold what is published while the state is sent. If it has dropped some of that each time,
// the stream fails with [ErrLagged] after three states in a row.
func WithState(state core.Stream) SubscribeOption {
	return func(s *selection) { s.state = state }
}

// maxStates is how often a client is sent the state, one right after the other.
const maxStates = 3

// errState means that the state comes next.
var errState = errors.New("hub: the state comes next")

// A snapshot is a state that is being sent.
type snapshot struct {
	at   string // the ID of the position from which the subscription continues
	next func() (core.Event, error, bool)
	stop func()
	last core.Event // what it has yielded last, which has not been sent
	any  bool       // it has yielded something
}

// startOver has the state come next, and everything after that. The error is errState, or
// ErrLagged. The hub is locked.
func (s *subscription) startOver() error {
	if s.states == maxStates {
		return fmt.Errorf("%w, or the state was too old, %d times in a row", ErrLagged, maxStates)
	}
	s.states++
	s.gap, s.resuming, s.older, s.moving = nil, false, 0, true
	s.snapshot = &snapshot{}
	s.unpass() // the state may end with an event from before
	r := s.reach
	switch {
	case r == nil:
		s.cursor = s.hub.last
		s.snapshot.at = s.hub.id(s.cursor)
		return errState
	case r.follower.order(r.at, r.follower.at) <= 0:
		s.cursor, r.at = s.hub.last, r.follower.at
		r.paging, r.ahead = false, false
	default:
		r.paging = true // the log is ahead of the follower
	}
	r.rest = nil
	s.snapshot.at = r.at
	return errState
}

// sendState appends about most bytes of the state. It runs the application's code.
func (s *subscription) sendState(frames *[][]byte, most int) error {
	n := s.snapshot
	if n.next == nil {
		n.next, n.stop = iter.Pull2(s.state)
	}
	for size := 0; size < most; {
		if s.ctx.Err() != nil {
			return io.EOF
		}
		e, err, more := n.next()
		if err != nil {
			return err
		}
		if !more {
			s.snapshot = nil
			if !n.any {
				return nil
			}
			return s.endState(frames, n.last, n.at)
		}
		if n.any {
			if n.last.ID != "" {
				return fmt.Errorf("hub: state: an event has the ID %q, but only the last one may have an ID", n.last.ID)
			}
			if size, err = appendFrame(frames, n.last, size); err != nil {
				return err
			}
		}
		n.last, n.any = e, true
	}
	return nil
}

// endState appends the last event of the state, with the ID of the position.
func (s *subscription) endState(frames *[][]byte, e core.Event, at string) error {
	if e.ID == "" {
		e.ID = at
	} else if err := s.continueAfter(e.ID); err != nil {
		return fmt.Errorf("hub: state: the last event has the ID %q: %w", e.ID, err)
	}
	_, err := appendFrame(frames, e, 0)
	return err
}

func appendFrame(frames *[][]byte, e core.Event, size int) (int, error) {
	frame, err := e.AppendText(nil)
	if err != nil {
		return 0, fmt.Errorf("hub: state: %w", err)
	}
	*frames = append(*frames, frame)
	return size + len(frame), nil
}

// continueAfter has the subscription continue after an event, which is the last one that
// is in the state.
func (s *subscription) continueAfter(id string) error {
	h := s.hub
	if r := s.reach; r != nil {
		_, err, failure := s.seek(id, r.at)
		r.at, r.paging = id, true
		return errors.Join(err, failure)
	}
	h.lock()
	defer h.mu.Unlock()
	epoch, number, ok := parseID(id)
	if !ok || epoch != h.epoch || number > h.last {
		return errors.New("this hub has not published it")
	}
	s.cursor = number
	s.beginHere()
	return nil
}

// endSnapshot frees what a state has that was not sent to its end.
func (s *subscription) endSnapshot() {
	if n := s.snapshot; n != nil && n.stop != nil {
		n.stop()
	}
}
