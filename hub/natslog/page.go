package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// pageBytes is about how much is read at once.
const pageBytes = 1 << 20

// Range implements [hub.Log]. Any server that has the stream may answer, so its answer is
// compared with what the stream's leader says afterwards.
func (l *Log) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	entries, err := l.page(ctx, after, n)
	if err != nil {
		return nil, l.fail("read", err)
	}
	return entries, nil
}

func (l *Log) page(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	epoch, at := "", uint64(0)
	if after != "" {
		var err error
		if epoch, at, err = parseID(after); err != nil {
			return nil, err
		}
	}
	lacks := errors.New("the server that answered lacks messages that the stream's leader has")
	for range doubts {
		before, _ := l.seen()
		messages, missing := l.get(ctx, at+1, n)
		if missing != nil && !errors.Is(missing, errNoAccess) {
			return nil, missing
		}
		s, err := l.look(ctx, l.reads)
		switch {
		case err != nil:
			return nil, err
		case missing != nil: // if the stream did not exist, look has created it
			lacks = missing
			continue
		case epoch != s.epoch && (before != s.epoch || after != "" && at != 0):
			if after != "" {
				at = 0 // everything that is held now
			}
			continue
		case l.replaced(s.epoch, messages...):
			if _, err := l.cut(ctx, l.reads, s.epoch); err != nil {
				return nil, err
			}
			continue
		}
		p := page{log: l, epoch: s.epoch, at: at}
		switch {
		case epoch != s.epoch && len(messages) > 0:
			p.start(messages[0].sequence-1, after != "")
		case epoch != s.epoch, len(messages) == 0 && at+1 < s.first:
			p.start(s.first-1, after != "")
		}
		p.fill(messages)
		if len(messages) > 0 || p.at >= s.last {
			return p.entries, nil
		}
		// There are more messages: they are gone, they came just now, or they have not
		// come to that server yet.
		gone, err := l.gone(ctx, s, p.at+1)
		if err != nil {
			return nil, err
		}
		if gone {
			p.start(s.last, after != "")
			return p.entries, nil
		}
		pause.For(ctx, doubtPause)
	}
	return nil, lacks
}

// replaced reports whether one of the messages is not the one that this process has added under its number
// in the epoch, or that a follower has seen as the newest one: the stream has lost its end.
func (l *Log) replaced(epoch string, messages ...stored) bool {
	type own struct {
		m   *nats.Msg
		sum uint64
	}
	var added []own
	l.mu.Lock()
	if epoch != l.epoch {
		messages = nil
	}
	other := slices.ContainsFunc(messages, func(m stored) bool { return l.tail.contradicts(m.mark) })
	for _, m := range messages {
		if sum, ok := l.added.find(m.sequence); ok {
			added = append(added, own{m.Msg, sum})
		}
	}
	l.mu.Unlock()
	return other || slices.ContainsFunc(added, func(o own) bool { return sumOf(o.m) != o.sum })
}

// gone reports whether all messages from a number on that existed at a state are gone. The
// stream's leader knows.
func (l *Log) gone(ctx context.Context, s state, from uint64) (bool, error) {
	m, err := l.find(ctx, l.reads, fmt.Sprintf(`{"seq":%d,"next_by_subj":">","no_hdr":true}`, from))
	if m != nil || err != nil {
		return false, err
	}
	now, err := l.ask(ctx, l.reads) // a new leader may not have them yet
	return err == nil && now.epoch == s.epoch && now.last >= s.last, err
}

// A found message is what the stream's leader has returned.
type found struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// findAt is find for the message with that number, without its headers.
func (l *Log) findAt(ctx context.Context, way lane, sequence uint64) (*found, error) {
	return l.find(ctx, way, fmt.Sprintf(`{"seq":%d,"no_hdr":true}`, sequence))
}

// find asks the stream's leader for a message. It returns nil if there is no such message.
func (l *Log) find(ctx context.Context, way lane, request string) (*found, error) {
	answer, err := within(ctx, l, way, func(ctx context.Context) (*nats.Msg, error) {
		return l.nc.RequestWithContext(ctx, l.api+"STREAM.MSG.GET."+l.stream, []byte(request))
	})
	if err != nil {
		return nil, err
	}
	var reply struct {
		Error   *jetstream.APIError `json:"error"`
		Message found               `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	switch {
	case reply.Error == nil:
		return &reply.Message, nil
	case reply.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	}
	return nil, reply.Error
}

// TopicOf implements [hub.Log].
func (l *Log) TopicOf(ctx context.Context, id string) (string, error) {
	epoch, sequence, err := parseID(id)
	if err != nil {
		return "", err
	}
	if sequence == 0 {
		return "", nil // before all messages
	}
	m, err := l.findAt(ctx, l.reads, sequence)
	if err != nil {
		return "", l.fail("read", err)
	}
	s, err := l.look(ctx, l.reads)
	if err != nil {
		return "", l.fail("read", err)
	}
	if epoch != s.epoch || m == nil {
		return "", nil
	}
	return l.topic(m.Subject), nil
}

var errNoAccess = errors.New("the stream does not allow direct access: set its allow_direct")

// A page is what Range returns.
type page struct {
	log     *Log
	epoch   string
	at      uint64
	entries []hub.Entry
}

// start has the page begin with a position, or a gap.
func (p *page) start(at uint64, gap bool) {
	p.at = at
	p.entries = []hub.Entry{{ID: newID(p.epoch, at), Gap: gap}}
}

// fill adds messages until add refuses one.
func (p *page) fill(messages []stored) {
	for _, m := range messages {
		if !p.add(m) {
			return
		}
	}
}

// add adds a message. If some are missing before it, that can be told only at the
// beginning of a page: otherwise add refuses the message, and the next page begins there.
func (p *page) add(m stored) bool {
	if m.sequence != p.at+1 {
		if len(p.entries) > 0 {
			return false
		}
		p.start(m.sequence-1, true)
	}
	p.at = m.sequence
	e := p.log.decode(m.Header.Get(headerSubject), m.Msg)
	e.ID, e.Time = newID(p.epoch, m.sequence), m.time
	p.entries = append(p.entries, e)
	return true
}

// A stored message is a message as it was read.
type stored struct {
	*nats.Msg
	mark
}

// The headers of a message that was read.
const (
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
	headerPending  = "Nats-Num-Pending"
)

// get reads up to n messages, from a number on.
func (l *Log) get(ctx context.Context, from uint64, n int) ([]stored, error) {
	return l.direct(ctx, fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, from, n, pageBytes), n)
}

// direct sends a request for up to n messages, which any server that has the stream may answer.
func (l *Log) direct(ctx context.Context, request []byte, n int) ([]stored, error) {
	return within(ctx, l, l.reads, func(ctx context.Context) ([]stored, error) {
		inbox := l.nc.NewInbox()
		replies := make(chan *nats.Msg, n+1)
		subscription, err := l.nc.ChanSubscribe(inbox, replies)
		if err != nil {
			return nil, err
		}
		defer func() { _ = subscription.Unsubscribe() }()
		if err := l.nc.PublishRequest(l.api+"DIRECT.GET."+l.stream, inbox, request); err != nil {
			return nil, err
		}
		messages := make([]stored, 0, n)
		for {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case m := <-replies:
				if m.Header.Get(headerSequence) == "" {
					return messages, judge(m)
				}
				s, err := parseStored(m)
				if err != nil {
					return nil, err
				}
				messages = append(messages, s)
			}
		}
	})
}

// judge returns why the server has ended its answer, if something is wrong.
func judge(m *nats.Msg) error {
	switch status := m.Header.Get(headerStatus); status {
	case statusEnd, statusNone:
		return nil
	case statusNobody:
		return errNoAccess
	default:
		return fmt.Errorf("the server says %q %q", status, m.Header.Get("Description"))
	}
}

func parseStored(m *nats.Msg) (stored, error) {
	s := stored{Msg: m}
	var err1, err2 error
	s.sequence, err1 = strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
	s.time, err2 = time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err := errors.Join(err1, err2); err != nil {
		return stored{}, fmt.Errorf("the server's answer: %w", err)
	}
	if m.Header.Get(headerPending) == "" {
		return stored{}, errors.New("the server is too old: use NATS 2.11 or later")
	}
	return s, nil
}
