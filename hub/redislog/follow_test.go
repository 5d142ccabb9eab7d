package redislog_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
)

// A watch is what a follower yields.
type watch struct {
	t       *testing.T
	entries chan hub.Entry
}

// follow follows in the background, until the test ends. As a hub does, it follows again
// when Redis has not answered in time: the machine may have stalled.
func follow(t *testing.T, l *redislog.Log, after string) *watch {
	t.Helper()
	w := &watch{t, make(chan hub.Entry, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for e, err := range l.Follow(ctx, after) {
				var late net.Error
				switch {
				case err == nil:
					after = cmp.Or(e.ID, after)
					w.entries <- e
				case ctx.Err() != nil:
				case errors.As(err, &late) && late.Timeout():
					t.Logf("follow: %v", err)
				default:
					t.Errorf("follow: %v", err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// want waits for entries by their data, and GAP for gaps.
func (w *watch) want(words ...string) (last hub.Entry) {
	w.t.Helper()
	limit := time.After(patience)
	for i := 0; i < len(words); {
		select {
		case e := <-w.entries:
			got := e.Event.Data
			switch {
			case e.Gap:
				got = "GAP"
			case e.Topic == "":
				continue
			}
			if got != words[i] {
				w.t.Fatalf("entry %d: got %q, want %q of %q", i, got, words[i], words)
			}
			last = e
			i++
		case <-limit:
			w.t.Fatalf("got nothing, want %q of %q", words[i], words)
		}
	}
	return last
}

// quiet waits for the zero Entry, which says that there is nothing.
func (w *watch) quiet() {
	w.t.Helper()
	for limit := time.After(patience); ; {
		select {
		case e := <-w.entries:
			if reflect.DeepEqual(e, hub.Entry{}) {
				return
			}
			if e.Gap || e.Topic != "" {
				w.t.Fatalf("got %+v, want nothing", e)
			}
		case <-limit:
			w.t.Fatal("the follower yields nothing")
		}
	}
}

// keep saves the stream. The function that it returns restores it, like a server
// that has lost what came later.
func keep(t *testing.T, s *server) (lose func()) {
	t.Helper()
	c := s.client()
	dump, err := c.Dump(soon(t), "events").Result()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := c.RestoreReplace(soon(t), "events", 0, dump).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// epochOf returns the epoch of an event ID.
func epochOf(id string) string {
	epoch, _, _ := strings.Cut(id, "-")
	return epoch
}

// The stream loses its end, and gets another one or not: clients that had seen it are told,
// and what comes then is whole.
func TestLostEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		then func(t *testing.T, l *redislog.Log) // l has seen the lost event
		want []string
	}{
		{"nothing comes", func(*testing.T, *redislog.Log) {}, []string{"GAP"}},
		{"a process that knows adds more", func(t *testing.T, l *redislog.Log) { add(t, l, "3"); add(t, l, "4") }, []string{"GAP", "3", "4"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			l := s.open()
			w := follow(t, l, last(t, l))
			first := add(t, l, "1")
			lose := keep(t, s)
			lost := add(t, l, "2")
			w.want("1", "2")
			lose()
			test.then(t, l)
			gap := w.want(test.want...)
			if epochOf(gap.ID) == epochOf(lost) {
				t.Errorf("got %s, want an ID of a new epoch, because the stream uses its IDs again", gap.ID)
			}
			add(t, l, "5")
			w.want("5")
			for _, id := range []string{first, lost} {
				if got := brief(t, s.open(), id); got != "GAP" {
					t.Errorf("after %s: got %q, want GAP", id, got)
				}
			}
		})
	}
}

// place returns the position of the event of that ID in the stream.
func place(id string) string { return strings.TrimPrefix(id, epochOf(id)+"-") }

// rewrite replaces the stream's end by events 3 and 4, the first of which has that ID and comes
// after event 1. The process that adds them does not know what was lost.
func rewrite(t *testing.T, s *server, dump, first, id string) {
	t.Helper()
	_, err := s.client().TxPipelined(soon(t), func(p redis.Pipeliner) error {
		p.RestoreReplace(soon(t), "events", 0, dump)
		p.XAdd(soon(t), &redis.XAddArgs{
			Stream: "events", ID: place(id), Values: []any{"topic", "a", "data", "3", "after", first},
		})
		p.XAdd(soon(t), &redis.XAddArgs{
			Stream: "events", ID: "99999999999999-0", Values: []any{"topic", "a", "data", "4", "after", id},
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// No process that adds more knows what was lost: a follower notices.
func TestLostEndUnknown(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		t.Run("away "+strconv.FormatBool(away), func(t *testing.T) {
			s := serve(t)
			l := s.open()
			front := last(t, l)
			first := add(t, l, "1")
			dump := s.client().Dump(soon(t), "events").Val()
			lost := add(t, l, "2")
			var w *watch
			if !away {
				w = follow(t, l, front)
				w.want("1", "2")
			}
			rewrite(t, s, dump, first, epochOf(lost)+"-88888888888888-0")
			if away {
				w = follow(t, l, lost)
			}
			w.want("GAP", "3", "4")
			id := add(t, l, "5")
			w.want("5")
			w.quiet()
			if epochOf(id) == epochOf(lost) {
				t.Errorf("got %s, want an ID of a new epoch", id)
			}
			if got := brief(t, s.open(), first); got != "GAP" { // this client has not had the lost event
				t.Errorf("after %s: got %q, want GAP", first, got)
			}
		})
	}
}

// Another event gets the ID of the lost one, because the new primary's clock is behind.
func TestLostEndSameID(t *testing.T) {
	for _, away := range []bool{false, true} {
		t.Run("away "+strconv.FormatBool(away), func(t *testing.T) {
			s := serve(t)
			l, other, c := s.open(), s.open(), s.client()
			front := last(t, l)
			first := add(t, other, "1")
			dump := c.Dump(soon(t), "events").Val()
			next, stop := iter.Pull2(l.Follow(soon(t), front))
			defer stop()
			take := func() hub.Entry {
				t.Helper()
				for {
					e, err, _ := next()
					if err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(e, hub.Entry{}) {
						return e
					}
				}
			}
			take()
			blocked := func(n string) {
				t.Helper()
				for deadline := time.Now().Add(patience); !strings.Contains(c.Info(soon(t), "clients").Val(), "blocked_clients:"+n+"\r"); {
					if time.Now().After(deadline) {
						t.Fatal("the follower does not read any more")
					}
					<-time.After(time.Millisecond)
				}
			}
			blocked("1")
			lost := add(t, other, "2")
			blocked("0")
			if away {
				take()
				stop()
			}
			// A new server means new connections.
			if err := c.ClientKillByFilter(soon(t), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
				t.Fatal(err)
			}
			rewrite(t, s, dump, first, lost)
			if away {
				next, stop = iter.Pull2(l.Follow(soon(t), lost))
				defer stop()
			} else if e := take(); e.ID != lost || e.Event.Data != "2" {
				t.Fatalf("got %+v, want 2, which the follower had read before", e)
			}
			if e := take(); !e.Gap {
				t.Errorf("got %+v, want a gap, because another event has the ID of the last one", e)
			}
			if e := take(); e.Event.Data != "4" {
				t.Errorf("got %+v, want 4", e)
			}
		})
	}
}

// One of the log's keys is deleted while it is followed.
func TestDeletedKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key, held string
	}{
		{"events", ""},
		{"{events}:epoch", "1"}, // everything is still held
	} {
		t.Run(test.key, func(t *testing.T) {
			s := serve(t)
			l := s.open()
			front := last(t, l)
			w := follow(t, l, front)
			first := add(t, l, "1")
			w.want("1")
			if got := s.client().Del(soon(t), test.key).Val(); got != 1 {
				t.Fatalf("deleted %d keys, want 1", got)
			}
			gap := w.want("GAP")
			if epochOf(gap.ID) == epochOf(first) {
				t.Errorf("got a gap up to %s, want one of a new epoch", gap.ID)
			}
			if got := brief(t, l, ""); got != test.held {
				t.Errorf("got %q, want %q", got, test.held)
			}
			second := add(t, l, "2")
			w.want("2")
			if epochOf(second) != epochOf(gap.ID) {
				t.Errorf("got %s after a gap up to %s, want one epoch", second, gap.ID)
			}
			w.quiet()
			for _, id := range []string{front, first} {
				if got := brief(t, l, id); got != "GAP" {
					t.Errorf("after %s: got %q, want GAP", id, got)
				}
			}
		})
	}
}

// A client comes with the ID of an event that the stream has lost, and no process knows of
// it any more: the hub asks the log.
func TestLostEndNobodyKnows(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	add(t, l, "1")
	lose := keep(t, s)
	lost := add(t, l, "2")
	closeLog(t, l)
	lose()
	h := hub.New(hub.WithLog(s.open()))
	defer func() {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	}()
	next, stop := iter.Pull2(h.SubscribeFrom(soon(t), hub.Oldest, "a"))
	defer stop()
	take := func() core.Event {
		t.Helper()
		e, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	take() // so that the hub is there before the next event
	publish := func(data string, opts ...hub.PublishOption) (id string) {
		t.Helper()
		id, err := h.Publish(soon(t), "a", core.Event{Data: data}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if e := take(); e.ID != id { // the event is in the hub's memory
			t.Fatalf("got %+v, want %s", e, id)
		}
		return id
	}
	replaced := publish("3", hub.WithKey("k"))
	publish("4", hub.WithKey("k"))
	for id, want := range map[string]string{lost: "gap", replaced: ""} {
		for e, err := range h.SubscribeFrom(soon(t), hub.After(id), "a") {
			if err != nil || e.Type != want {
				t.Errorf("after %s: got %+v, %v, want an event of type %q first", id, e, err, want)
			}
			break
		}
	}
}

// An entry in the middle was deleted.
func TestDeleted(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	front := last(t, l)
	ids := make([]string, 0, 5)
	for n := range 5 {
		ids = append(ids, add(t, l, strconv.Itoa(n)))
	}
	live := follow(t, l, last(t, l))
	live.quiet()
	if err := s.client().XDel(soon(t), "events", place(ids[2])).Err(); err != nil {
		t.Fatal(err)
	}
	follow(t, l, front).want("0", "1", "GAP", "3", "4")
	if got := brief(t, l, front); got != "0 1" {
		t.Errorf("got %q, want what comes before the gap", got)
	}
	if got := brief(t, l, ids[1]); got != "GAP 3 4" {
		t.Errorf("got %q, want the gap and the rest", got)
	}
	live.quiet()
}

// An entry of another program does not say what came before it. If the oldest entry is such
// a one, there may be a gap.
func TestForeignTrimmed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	ids := []string{add(t, l, "1"), add(t, l, "2")}
	c := s.client()
	for _, data := range []string{"3", "4"} {
		if err := c.XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []any{"topic", "a", "data", data}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, "5")
	follow(t, l, ids[0]).want("2", "3", "4", "5")
	if err := c.XTrimMaxLen(soon(t), "events", 2).Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		follow(t, l, id).want("GAP", "4", "5")
		if got := brief(t, l, id); got != "GAP 4 5" {
			t.Errorf("after %s: got %q, want GAP 4 5", id, got)
		}
	}
}

// The stream is trimmed again and again while it is followed.
func TestFollowTrimmed(t *testing.T) {
	t.Parallel()
	const n = 1000
	s := serve(t)
	l := s.open(redislog.WithMaxEvents(0))
	front := last(t, l)
	c := s.client()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			id, err := l.Append(context.Background(), hub.Entry{Topic: "a", Event: core.Event{Data: strconv.Itoa(i)}})
			if err != nil {
				t.Errorf("append: %v, after %s", err, id)
				return
			}
			if i%50 == 49 {
				if err := c.XTrimMaxLen(context.Background(), "events", 3).Err(); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	defer func() { <-done }()
	before, gap := -1, false
	for e, err := range following(t, l, front) {
		switch {
		case err != nil:
			t.Fatal(err)
		case e.Gap:
			gap = true
			continue
		case e.Topic == "":
			continue
		}
		i, _ := strconv.Atoi(e.Event.Data)
		if i <= before || i > before+1 && !gap || i == before+1 && gap {
			t.Fatalf("got event %d after %d, with a gap between them: %v", i, before, gap)
		}
		if before, gap = i, false; i == n-1 {
			break
		}
	}
	if before != n-1 {
		t.Errorf("the last event is %d, want %d", before, n-1)
	}
}
