package hub

import (
	"context"
	"errors"
	"io"
)

// A reach is a subscription's position in a Log, of which its hub holds the newest part.
// It belongs to the stream.
type reach struct {
	at      string  // everything up to this ID has been read; empty before the oldest entry
	marks   *marks  // nil for a client that has begun without an ID, and was sent no state
	until   *string // the ID after which the subscription ends, if it is ending; guarded by the hub's lock
	pages   *pages  // nil except while paging, because most subscriptions do not
	paging  bool    // what comes next is read from the log, unless locate finds it in the memory
	ahead   bool    // the follower has not come to at yet
	awaited bool    // it has waited for the follower to come to until
}

// marks are IDs that a subscription remembers.
type marks struct {
	began string // the one that the client has sent
	taken string // what is missing up to this one is in the state that the client was sent; may be empty
}

// began returns the ID that the client has sent, if there is one.
func (r *reach) began() string {
	if r.marks == nil {
		return ""
	}
	return r.marks.began
}

// pages are what a subscription keeps while it reads the log.
type pages struct {
	names *tree   // the topics and patterns
	rest  []Entry // of the page that was read last, right after at
}

// arrive finds out where a client begins. It waits for the log to answer. The error is
// io.EOF if the client has left, and errShutdown if the hub was shut down in the
// meantime.
func (s *subscription) arrive() error {
	f, request := s.hub.follower, s.request
	s.request = nil
	if request.newest == "" { // otherwise it is ready: a context without a Done channel takes less memory
		select {
		case <-f.ready:
		case <-f.ctx.Done():
		case <-s.ctx.Done():
		}
	}
	switch {
	case f.ctx.Err() != nil:
		return errShutdown
	case s.ctx.Err() != nil:
		return io.EOF
	}
	r := &reach{at: request.newest, paging: true}
	s.reach = r
	if r.at == "" { // the log has answered only now
		f.hub.lock()
		r.at = f.at
		f.hub.mu.Unlock()
	}
	newest := r.at
	if s.oldest = request.from.oldest; s.oldest {
		r.at = f.horizon(s.start)
	}
	for _, id := range []string{request.lastEventID, request.from.after} {
		if id == "" {
			continue
		}
		ahead, err, failure := s.seek(id, newest)
		switch {
		case failure != nil:
			return failure
		case err == nil:
			r.at, r.marks, r.ahead = id, &marks{began: id}, ahead
			return nil
		case errors.Is(err, ErrOtherEpoch):
			r.at, s.gap = f.horizon(s.start), &Gap{Reason: GapRestarted, After: id}
			return nil
		case s.gap == nil:
			s.gap = &Gap{Reason: GapUnknown, After: id}
		}
	}
	s.resuming = s.resuming && s.oldest
	return nil
}

// seek finds out whether an ID is a position of the log, which has come to newest as far as
// this hub knows. ahead reports whether the hub has yet to come to it. err says why it is not a
// position, and failure why that cannot be found out.
func (s *subscription) seek(id, newest string) (ahead bool, err, failure error) {
	log := s.hub.follower.log
	order, err := log.Compare(id, newest)
	ahead = err == nil && order > 0
	if !ahead && !errors.Is(err, ErrOtherEpoch) {
		return false, err, nil
	}
	last, failure := s.last() // this hub may be late, or no entry has the ID
	if failure != nil {
		return false, nil, failure
	}
	order, err = log.Compare(id, last)
	switch {
	case err != nil:
		return false, err, nil
	case order > 0 && ahead:
		return false, errors.New("no entry has this ID yet"), nil
	case order > 0:
		return false, ErrOtherEpoch, nil
	}
	return ahead, nil, nil
}

// toCome reports whether the subscription is ending and the follower has yet to bring
// some of the events before the end. If not, it finds the end in the memory. The hub is
// locked.
func (s *subscription) toCome() bool {
	r := s.reach
	if r == nil || !s.ending || s.final != unknown {
		return false
	}
	f := s.hub.follower
	over := f.order(r.at, *r.until) >= 0
	if !over && f.order(f.at, *r.until) < 0 {
		return true
	}
	final, err := f.find(*r.until)
	if s.final = final; over || err != nil { // the end was in an epoch that is over, and the client was told
		s.final = s.cursor
	}
	return false
}

// horizon returns the ID after which a client begins that wants everything there is. It
// is empty unless the memory has something that is too old for the client.
func (f *follower) horizon(at start) string {
	h := f.hub
	h.lock()
	defer h.mu.Unlock()
	if !at.resuming {
		return ""
	}
	i := h.ids.after(h.before(at.horizon)) - 1
	for i >= h.ids.front && h.ids.items[i] == (identity{}) {
		i--
	}
	if i < h.ids.front {
		return ""
	}
	return h.ids.items[i].id
}

// last returns the log's last ID. It asks again until there is an answer.
func (s *subscription) last() (string, error) {
	f := s.hub.follower
	for {
		ctx, cancel := context.WithCancel(s.ctx)
		stop := context.AfterFunc(f.ctx, cancel) // a shutdown does not wait for a subscription that has not begun
		last, err := f.reader.last(ctx)
		stop()
		cancel()
		if err == nil {
			return last, nil
		}
		if err := s.pause(err); err != nil {
			return "", err
		}
		if f.ctx.Err() != nil {
			return "", errShutdown
		}
	}
}

// pending returns the gap before what comes next, if there is one. The hub is locked, or
// the subscription reads pages.
func (s *subscription) pending() *Gap {
	gap := s.gap
	if s.gap = nil; gap != nil {
		gap.Through, gap.Topics = s.reach.at, s.names()
	}
	return gap
}

// brokenOff returns the gap that the follower has met since the last read, if any. It is
// for subscriptions that read from the memory: the log itself tells the others what is
// missing.
func (s *subscription) brokenOff() *Gap {
	r, f := s.reach, s.hub.follower
	if s.cursor >= f.broken {
		return nil
	}
	s.cursor = f.broken
	if r.paging || r.ahead {
		r.paging, r.ahead = true, false
		return nil
	}
	gap := s.gap
	if gap == nil {
		gap = &Gap{Reason: GapDropped, After: r.at}
	}
	gap.Through, gap.Topics = f.gap, s.names()
	// The memory may have dropped what follows by now.
	s.gap, r.at, r.paging = nil, f.gap, true
	return gap
}

// locate looks for the subscription's position in the memory, and reports whether it is
// there. If not, what comes next must be read from the log.
func (s *subscription) locate() bool {
	r, h := s.reach, s.hub
	f := h.follower
	for i := 0; i < len(s.links) && s.mayBeOvertaken(); i++ {
		r.paging = r.paging || s.links[i].lost() > s.cursor // dropped from the memory, not from the log
	}
	if !r.paging && !r.ahead {
		return true
	}
	if r.at == f.at { // it has just come, or has read everything
		s.settle(h.last, false)
		return true
	}
	front, err1 := f.log.Compare(r.at, f.since)
	end, err2 := f.log.Compare(r.at, f.at)
	cursor, err3, held := h.last, error(nil), true
	if end < 0 {
		cursor, err3 = f.find(r.at)
		i := h.ids.after(cursor) - 1
		held = front == 0 || i >= h.ids.front && h.ids.items[i].id == r.at
	}
	if errors.Join(err1, err2, err3) != nil || front < 0 || !held {
		// The position is before the oldest entry, in another epoch, before the memory, or
		// nowhere in it: only the log knows whether something was lost.
		r.paging, r.ahead = true, false
		return false
	}
	s.settle(cursor, end > 0)
	return true
}

// settle has the subscription read from the memory.
func (s *subscription) settle(cursor uint64, ahead bool) {
	r := s.reach
	s.cursor, r.paging, r.ahead, r.pages = cursor, false, ahead, nil
	s.findOlder()
}

// moved updates at after a read from the memory. The hub is locked.
func (s *subscription) moved(all bool) {
	r := s.reach
	switch {
	case r.ahead:
	case all:
		s.cursor, r.at = s.hub.last, s.hub.follower.at
	default:
		if i := s.hub.ids.find(s.cursor); i >= 0 { // otherwise nothing was found yet
			r.at = s.hub.ids.items[i].id
		}
	}
}

func (s *subscription) names() []string {
	names := make([]string, len(s.links))
	for i := range s.links {
		names[i] = s.links[i].source.name
	}
	return names
}
