package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Kick ends the subscriptions that have named this topic or pattern, and returns
// how many there were. Each is first sent what was published before the call; then its
// stream ends cleanly. An event that a later one of its key has replaced ([WithKey]) is not sent,
// even if the later one is published after the call. A browser reconnects after a clean end, so to
// keep a client out, refuse it in the view.
//
// With a [Log], Kick ends only subscriptions of this process: to reach all processes, publish
// an event on which each calls Kick. What was published before the call is then what this
// process has published, or received from the log. If some of it is still to be read, and the log
// fails or does not answer within 5 s, the stream fails, so that it does not look whole.
func (h *Hub) Kick(topic string) int {
	h.lock()
	defer h.mu.Unlock()
	s := h.source(topic)
	if s == nil {
		return 0
	}
	n := len(s.members)
	final, id := h.until()
	h.end(s, final, id)
	return n
}

// Finish says that nothing more will be published. A subscription that has been sent
// everything ends: cleanly if err is nil, and otherwise it fails with an error that stands for
// err. That has the text of err, and [errors.Is] and [errors.As] find in it what they find in err,
// but no [*GapError], which would tell of a gap in this stream. Whoever subscribes later is sent
// what is held, and ends alike. From now on Publish returns [ErrFinished], as a second Finish does.
//
// A hub with a [Log] cannot finish, because other processes may publish to the log.
func (h *Hub) Finish(err error) error {
	h.lock()
	defer h.mu.Unlock()
	switch {
	case h.follower != nil:
		return errors.New("hub: finish: the hub has a Log, to which other processes may publish: end its streams with Kick or Shutdown")
	case h.finished:
		return ErrFinished
	}
	h.finished, h.scratch = true, nil
	if err != nil {
		h.failure = &foreignError{err}
	}
	h.endAll()
	return nil
}

// Shutdown ends all subscriptions of this process as [Hub.Kick] does, refuses later calls
// with [core.ErrShutdown], and waits until the subscriptions' streams have ended. If ctx
// ends first it returns an error that wraps the context's, and the remaining streams
// still end in their own time. A hook must not call Shutdown: it would wait for itself.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.lock()
	h.closed = true
	if h.expiry != nil {
		h.expiry.Stop()
	}
	h.endAll()
	if h.ended == nil && h.running > 0 {
		h.ended = make(chan struct{})
	}
	var ends []<-chan struct{}
	if h.ended != nil {
		ends = append(ends, h.ended)
	}
	if h.follower != nil {
		if h.follower.arrived == nil {
			h.follower.cancel()
		} else {
			time.AfterFunc(pagePause, h.follower.cancel)
		}
		ends = append(ends, h.follower.ended)
	}
	h.mu.Unlock()

	for _, ended := range ends {
		select {
		case <-ended:
		case <-ctx.Done():
			h.lock()
			defer h.mu.Unlock()
			return fmt.Errorf("hub: shutdown: %d subscriptions have not ended, or the log's Follow has not returned: %w",
				h.running, context.Cause(ctx))
		}
	}
	return nil
}

// until returns the last event that subscriptions get if they are ended now, and its ID
// if there is a Log. They share the ID.
func (h *Hub) until() (final uint64, id *string) {
	if h.follower == nil {
		return h.last, nil
	}
	last, come := h.follower.until()
	if !come {
		return unknown, &last
	}
	return h.last, &last
}

// unknown is the number of an event that has not come from the Log yet.
const unknown = math.MaxUint64

// endAll has all subscriptions end.
func (h *Hub) endAll() {
	final, id := h.until()
	for _, t := range h.topics {
		h.end(&t.source, final, id)
		h.did(1)
	}
	for _, s := range h.patterns {
		h.end(s, final, id)
		h.did(1)
	}
}

// end has the members of a source end when they have read everything up to final. It
// goes from the last to the first: a member that leaves between two steps is replaced by the
// last one, so no member is missed.
func (h *Hub) end(s *source, final uint64, id *string) {
	for i := len(s.members) - 1; i >= 0; i = min(i, len(s.members)) - 1 {
		if m := s.members[i].subscription; !m.ending {
			m.ending, m.final = true, final
			if id != nil {
				m.reach.until = id
			}
			m.wakeToEnd()
		}
		h.did(8) //nolint:mnd // waking is work
	}
}

// ending is how a subscription ends that has been sent everything: io.EOF is a clean end.
func (h *Hub) ending() error {
	if h.failure != nil {
		return h.failure
	}
	return io.EOF
}
