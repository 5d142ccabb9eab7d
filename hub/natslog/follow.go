package natslog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
)

const (
	// beat is how often the server sends a heartbeat when it has nothing else, and silences is
	// how many may be missing.
	beat     = time.Second
	silences = 3

	// looks is after how many beats a follower looks at the stream again.
	looks = 5

	// backlog is how many messages a follower has room for.
	backlog = 1 << 16
)

// Follow implements [hub.Log]. It has an ordered consumer of its own, which begins
// and ends with it: whatever goes wrong, Follow ends with an error.
func (l *Log) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		if err := l.follow(ctx, after, func(e hub.Entry) bool { return yield(e, nil) }); err != nil {
			yield(hub.Entry{}, l.fail("follow", err))
		}
	}
}

// A follower is one call of Follow.
type follower struct {
	log      *Log
	epoch    string
	at       uint64 // the last message that was yielded, or is known to be gone
	overlap  mark   // the message at the beginning, which is sent first, to check it; zero if not known
	consumed uint64 // how many messages of the consumer have come
	yield    func(hub.Entry) bool
}

// errStopped means that yield has returned false.
var errStopped = errors.New("stopped")

var errBegunAgain = errors.New("the stream has begun again")

func (l *Log) follow(ctx context.Context, after string, yield func(hub.Entry) bool) error {
	f := &follower{log: l, yield: yield}
	err := f.begin(ctx, after)
	if err == nil {
		err = f.run(ctx)
	}
	switch {
	case errors.Is(err, errStopped):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// begin finds out where to begin.
func (f *follower) begin(ctx context.Context, after string) (err error) {
	if after != "" {
		if f.epoch, f.at, err = parseID(after); err != nil {
			return err
		}
		f.log.know(f.epoch, f.at)
	}
	s, err := f.log.look(ctx, f.log.follows)
	switch {
	case err != nil:
		return err
	case after == "":
		if err := f.start(ctx, s, s.last); err != nil {
			return err
		}
		return f.emit(hub.Entry{ID: newID(f.epoch, f.at)})
	case f.epoch == s.epoch && f.at > s.last: // this process did not know the ID
		if s, err = f.log.cut(ctx, f.log.follows, f.epoch); err != nil {
			return err
		}
	}
	switch {
	case f.epoch != s.epoch:
		if err := f.start(ctx, s, max(s.first-1, s.cut)); err != nil {
			return err
		}
		return f.gap(f.epoch, f.at)
	case f.at+1 < s.first:
		return f.gap(s.epoch, s.first-1)
	}
	if f.at >= s.first {
		f.overlap = f.log.seenAt(f.at)
	}
	return nil
}

// start takes a position. It remembers the message there, although that is not yielded, so that it is
// noticed if another one gets its number.
func (f *follower) start(ctx context.Context, s state, at uint64) error {
	f.epoch, f.at = s.epoch, at
	if at < s.first {
		return nil
	}
	stored := s.time
	if at != s.last {
		// Without the permission to read it, the message is not known, and the follower does without it.
		m, err := f.log.findAt(ctx, f.log.follows, at)
		if err != nil || m == nil {
			return ctx.Err()
		}
		stored = m.Time
	}
	if stored.IsZero() {
		return nil
	}
	if !f.log.sees(f.epoch, mark{at, stored}) {
		return errBegunAgain
	}
	f.overlap = f.log.seenAt(at)
	return nil
}

// seenAt returns the newest message that a follower has seen if it has that number, and zero otherwise.
func (l *Log) seenAt(sequence uint64) mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tail.sequence != sequence {
		return mark{}
	}
	return l.tail
}

func (f *follower) emit(e hub.Entry) error {
	if !f.yield(e) {
		return errStopped
	}
	return nil
}

// gap continues after a gap up to a message.
func (f *follower) gap(epoch string, through uint64) error {
	f.epoch, f.at = epoch, through
	return f.emit(hub.Entry{ID: newID(epoch, through), Gap: true})
}

func (f *follower) run(ctx context.Context) error {
	l := f.log
	messages := make(chan *nats.Msg, backlog)
	type connection struct {
		subscription *nats.Subscription
		lost         chan nats.Status
	}
	c, err := within(ctx, l, l.follows, func(ctx context.Context) (connection, error) {
		lost := l.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		subscription, err := f.subscribe(ctx, messages)
		if err != nil || ctx.Err() != nil {
			l.release(subscription, lost)
			return connection{}, errors.Join(err, context.Cause(ctx))
		}
		return connection{subscription, lost}, nil
	})
	if err != nil {
		return err
	}
	defer l.release(c.subscription, c.lost)
	// Since begin looked, the server may have come back with another stream.
	if err := l.verify(ctx, f.epoch); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := time.NewTicker(beat)
	defer clock.Stop()
	missing, beats := 0, 0
	probe, probing, epoch := make(chan error, 1), false, f.epoch
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-c.lost:
			return fmt.Errorf("the connection is %v", s)
		case m := <-messages:
			missing = 0
			if err := f.take(ctx, m); err != nil {
				return err
			}
		case err := <-probe:
			if probing = false; err != nil {
				return err
			}
		case <-clock.C:
			beats++
			if !probing { // messages that come do not prove that requests arrive
				probing = true
				look := beats >= looks
				if look {
					beats = 0
				}
				go func() { probe <- l.probe(ctx, epoch, look) }()
			}
			if missing++; missing > silences {
				return fmt.Errorf("no message and no heartbeat for %v", silences*beat)
			}
		}
	}
}

// probe returns an error if requests do not arrive, and if it looks at the stream and that has changed: a
// follower that is sent nothing would not notice.
func (l *Log) probe(ctx context.Context, epoch string, look bool) error {
	_, err := within(ctx, l, l.follows, func(ctx context.Context) (any, error) { return nil, l.nc.FlushWithContext(ctx) })
	if err != nil || !look {
		return err
	}
	_, known := l.seen()
	if s, err := l.ask(ctx, l.follows); err == nil && (s.epoch != epoch || s.last < known || l.contradicts(s)) {
		return l.verify(ctx, epoch)
	}
	return nil // a stream that does not answer may still send messages
}

// verify returns an error if the stream is in another epoch, or has lost its end.
func (l *Log) verify(ctx context.Context, epoch string) error {
	s, err := l.look(ctx, l.follows)
	if err == nil && s.epoch == epoch && l.contradicts(s) {
		// If the message was deleted, the time is of something else.
		var m *found
		if m, err = l.findAt(ctx, l.follows, s.last); err == nil && m != nil &&
			l.contradicts(state{epoch: epoch, last: s.last, time: m.Time}) {
			s, err = l.cut(ctx, l.follows, epoch)
		}
	}
	if err == nil && s.epoch != epoch {
		err = errBegunAgain
	}
	return err
}

// contradicts reports whether the stream's last message has the number of the newest one that a follower
// has seen, and seems to be another.
func (l *Log) contradicts(s state) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.epoch == l.epoch && l.tail.contradicts(mark{s.last, s.time})
}

// release frees what a follower had of the connection. It does not wait if that is locked.
// The server forgets a consumer that nobody listens to.
func (l *Log) release(subscription *nats.Subscription, lost chan nats.Status) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if subscription != nil {
			_ = subscription.Unsubscribe()
		}
		l.nc.RemoveStatusListener(lost)
	}()
	select {
	case <-done:
	case <-time.After(grace):
	}
}

// subscribe makes the consumer.
func (f *follower) subscribe(ctx context.Context, messages chan *nats.Msg) (*nats.Subscription, error) {
	inbox := f.log.nc.NewInbox()
	subscription, err := f.log.nc.ChanSubscribe(inbox, messages)
	if err != nil {
		return nil, err
	}
	begin := f.at + 1
	if f.overlap != (mark{}) {
		begin = f.at
	}
	_, err = f.log.js.CreatePushConsumer(ctx, f.log.stream, jetstream.ConsumerConfig{
		Description:    "a hub",
		DeliverSubject: inbox,
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    begin,
		AckPolicy:      jetstream.AckNonePolicy,
		FlowControl:    true,
		IdleHeartbeat:  beat,
		MemoryStorage:  true,
		Replicas:       1,
	})
	return subscription, err
}

// take handles what the server has sent.
func (f *follower) take(ctx context.Context, m *nats.Msg) error {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		return f.control(ctx, m)
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	f.consumed++
	if meta.Sequence.Consumer != f.consumed {
		return fmt.Errorf("messages were lost on the way: the server has sent %d, and %d have come",
			meta.Sequence.Consumer, f.consumed)
	}
	now := mark{meta.Sequence.Stream, meta.Timestamp}
	if before := f.overlap; before != (mark{}) {
		f.overlap = mark{}
		switch {
		case now.sequence == before.sequence && now.time.Equal(before.time):
			return nil // it is still the same
		case now.sequence <= before.sequence:
			return f.lost(ctx)
		}
	}
	switch {
	case f.log.replaced(f.epoch, stored{m, now}):
		return f.lost(ctx)
	case now.sequence <= f.at:
		return fmt.Errorf("message %d has come after message %d", now.sequence, f.at)
	case now.sequence > f.at+1:
		if err := f.gap(f.epoch, now.sequence-1); err != nil {
			return err
		}
	}
	if !f.log.sees(f.epoch, now) {
		return errBegunAgain
	}
	f.at = now.sequence
	e := f.log.decode(m.Subject, m)
	e.ID, e.Time = newID(f.epoch, f.at), meta.Timestamp
	return f.emit(e)
}

// lost begins a new epoch, and returns why.
func (f *follower) lost(ctx context.Context) error {
	if _, err := f.log.cut(ctx, f.log.follows, f.epoch); err != nil {
		return err
	}
	return errors.New("the stream has lost its end, and other messages have the lost numbers")
}

// sees records a message, and reports whether the epoch is still the present one.
func (l *Log) sees(epoch string, m mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return false
	}
	l.last = max(l.last, m.sequence)
	if m.sequence > l.tail.sequence {
		l.tail = m
	}
	return true
}

// What the server sends besides messages.
const (
	headerStatus   = "Status"
	statusControl  = "100" // a heartbeat, or flow control
	statusEnd      = "204"
	statusNone     = "404"
	statusNobody   = "503"
	headerConsumed = "Nats-Last-Consumer"
	headerReached  = "Nats-Last-Stream" // everything up to it was sent, or is gone
	headerStalled  = "Nats-Consumer-Stalled"
)

// control handles what is not a message.
func (f *follower) control(ctx context.Context, m *nats.Msg) error {
	if status := m.Header.Get(headerStatus); status != statusControl {
		return fmt.Errorf("the server says %q %q", status, m.Header.Get("Description"))
	}
	reply := m.Reply
	if reply == "" {
		reply = m.Header.Get(headerStalled)
	}
	if reply != "" {
		_, err := within(ctx, f.log, f.log.follows, func(context.Context) (any, error) { return nil, f.log.nc.Publish(reply, nil) })
		if err != nil {
			return err
		}
	}
	if sent := m.Header.Get(headerConsumed); sent != "" && sent != fmt.Sprint(f.consumed) {
		return fmt.Errorf("messages were lost on the way: the server has sent %s, and %d have come", sent, f.consumed)
	}
	if reached, err := strconv.ParseUint(m.Header.Get(headerReached), 10, 64); err == nil && reached > f.at {
		if !f.log.sees(f.epoch, mark{sequence: reached}) {
			return errBegunAgain
		}
		return f.gap(f.epoch, reached) // the stream's last messages are gone
	}
	if epoch, _ := f.log.seen(); epoch != f.epoch {
		return errBegunAgain
	}
	return f.emit(hub.Entry{})
}
