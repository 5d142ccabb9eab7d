package redislog

import (
	"context"
	_ "embed" // for the script
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub"
)

//go:embed read.lua
var readLua string

var readScript = redis.NewScript(readLua)

// A state is the stream at one moment, so that nothing can be dropped unseen.
type state struct {
	epoch   string
	cut     position // the stream's last position before the epoch
	first   position // the position of the oldest entry
	last    position // the last position that the stream has ever had
	at      position // the position that was asked for
	held    *record  // the entry at that position, if there is one
	records []record // the entries after it
}

// A record is an entry of the stream.
type record struct {
	hub.Entry

	at    position
	after string // the event ID of the entry before; empty if another program has added this one
}

// read returns the state, with up to n entries after a position, and at least one if there
// is one.
func (l *Log) read(ctx context.Context, after position, n int) (state, error) {
	s, err := ask(ctx, l, "read", func(ctx context.Context, client redis.UniversalClient) (state, error) {
		s, err := l.tryRead(ctx, client, after, n)
		if errors.Is(err, redis.Nil) {
			if err := l.create(ctx, client, l.known()); err != nil {
				return state{}, err
			}
			return l.tryRead(ctx, client, after, n)
		}
		return s, err
	})
	if err != nil {
		return state{}, err
	}
	l.know(s.epoch, s.last)
	return s, nil
}

func (l *Log) tryRead(ctx context.Context, client redis.UniversalClient, after position, n int) (state, error) {
	a := l.batch.begin(n)
	want := a.n
	if want > 0 {
		want++ // for the entry at the position itself
	}
	answer, err := readScript.Run(ctx, client, []string{l.stream, l.epochs}, after.String(), want, mostBytes).Slice()
	if err != nil {
		a.end(nil, err)
		return state{}, err
	}
	const parts = 4
	if len(answer) != parts {
		return state{}, fmt.Errorf("the script returned %d values, want %d", len(answer), parts)
	}
	text := func(i int) string { s, _ := answer[i].(string); return s }
	epoch, cut, _ := strings.Cut(text(0), " ")
	cut, _, _ = strings.Cut(cut, " ")
	s := state{epoch: epoch, at: after}
	var err1, err2, err3 error
	s.cut, err1 = parsePosition(cut)
	s.last, err2 = parsePosition(text(1))
	if oldest := text(2); oldest != "" {
		s.first, err3 = parsePosition(oldest)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return state{}, err
	}
	entries, _ := answer[parts-1].([]any)
	all := messages(entries)
	a.end(all, nil)
	s.records, err = decode(epoch, all)
	if len(s.records) > 0 && s.records[0].at == after {
		s.held, s.records = &s.records[0], s.records[1:]
	}
	s.records = s.records[:min(n, len(s.records))]
	return s, err
}

// messages converts what a script has returned from XRANGE to go-redis's form.
func messages(entries []any) []redis.XMessage {
	all := make([]redis.XMessage, len(entries))
	for i, e := range entries {
		pair, _ := e.([]any)
		if len(pair) != 2 { //nolint:mnd // a pair
			continue
		}
		fields, _ := pair[1].([]any)
		all[i].ID, _ = pair[0].(string)
		all[i].Values = make(map[string]any, len(fields)/2) //nolint:mnd // names and values
		for j := 0; j+1 < len(fields); j += 2 {
			if name, ok := fields[j].(string); ok {
				all[i].Values[name] = fields[j+1]
			}
		}
	}
	return all
}

// decode returns entries of an epoch. One whose attributes cannot be read is only a position: no filter
// could judge it.
func decode(epoch string, messages []redis.XMessage) ([]record, error) {
	records := make([]record, len(messages))
	for i, m := range messages {
		r := &records[i]
		var err error
		if r.at, err = parsePosition(m.ID); err != nil {
			return nil, err
		}
		r.ID = epoch + "-" + m.ID
		r.Time = time.UnixMilli(int64(r.at.ms)) //nolint:gosec // a time in ms
		readable := true
		for name, value := range m.Values {
			text, _ := value.(string)
			switch name {
			case fieldTopic:
				r.Topic = text
			case fieldType:
				r.Event.Type = text
			case fieldData:
				r.Event.Data = text
			case fieldComment:
				r.Event.Comment = text
			case fieldRetry:
				if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
					r.Event.Retry = time.Duration(ns)
				}
			case fieldKey:
				r.Key, r.Keyed = text, true
			case fieldTopics:
				r.Topics = strings.Split(text, "\n")
			case fieldAttributes:
				readable = json.Unmarshal([]byte(text), &r.Attributes) == nil
			case fieldAfter:
				r.after = text
			}
		}
		if !readable {
			r.Entry = hub.Entry{ID: r.ID, Time: r.Time}
		}
	}
	return records, nil
}

// Last implements [hub.Log].
func (l *Log) Last(ctx context.Context) (string, error) {
	s, err := l.read(ctx, position{}, 0)
	if err != nil {
		return "", err
	}
	return newID(s.epoch, s.last), nil
}

// Range implements [hub.Log].
func (l *Log) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	var epoch string
	var p position
	if after != "" {
		var err error
		if epoch, p, err = parseID(after); err != nil {
			return nil, err
		}
	}
	s, err := l.read(ctx, p, n)
	switch {
	case err != nil:
		return nil, err
	case after == "":
		front, _ := s.front()
		return append([]hub.Entry{{ID: newID(s.epoch, front)}}, s.run()...), nil
	case epoch != s.epoch:
		if s, err = l.read(ctx, position{}, 1); err != nil {
			return nil, err
		}
		front, _ := s.front() // what was trimmed is part of this gap
		return []hub.Entry{{ID: newID(s.epoch, front), Gap: true}}, nil
	}
	if gap, ok := s.gap(); ok {
		return append([]hub.Entry{gap}, s.run()...), nil
	}
	return s.run(), nil
}

// TopicOf implements [hub.Log].
func (l *Log) TopicOf(ctx context.Context, id string) (string, error) {
	epoch, p, err := parseID(id)
	if err != nil {
		return "", err
	}
	s, err := l.read(ctx, p, 1)
	if err != nil || epoch != s.epoch || s.held == nil {
		return "", err
	}
	return s.held.Topic, nil
}

// front returns the position before the entries, if it is known.
func (s *state) front() (position, bool) {
	if len(s.records) == 0 {
		return s.last, true
	}
	return s.records[0].front()
}

// front returns the position of the entry before, if it is known.
func (r *record) front() (position, bool) {
	_, p, err := parseID(r.after)
	return p, err == nil
}

// gap returns the gap after the position that was asked for, if something is
// missing there.
func (s *state) gap() (hub.Entry, bool) {
	front, known := s.front()
	if known && front == s.at || !known && s.first.compare(s.at) <= 0 { // because the oldest entries are trimmed first
		return hub.Entry{}, false
	}
	return hub.Entry{ID: newID(s.epoch, later(front, s.at)), Gap: true}, true
}

// run returns the entries up to the first after which something is missing.
func (s *state) run() []hub.Entry {
	entries := make([]hub.Entry, 0, len(s.records))
	for i, r := range s.records {
		if front, known := r.front(); i > 0 && known && front != s.records[i-1].at {
			break
		}
		entries = append(entries, r.Entry)
	}
	return entries
}
