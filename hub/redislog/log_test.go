package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// add appends an entry, and returns its ID.
func add(t testing.TB, l *redislog.Log, data string) string {
	t.Helper()
	id, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func last(t testing.TB, l *redislog.Log) string {
	t.Helper()
	id, err := l.Last(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// brief returns the data of entries, and GAP for gaps.
func brief(t testing.TB, l *redislog.Log, after string) string {
	t.Helper()
	entries, err := l.Range(soon(t), after, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	words := make([]string, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.Gap:
			words = append(words, "GAP")
		case e.Topic != "":
			words = append(words, e.Event.Data)
		}
	}
	return strings.Join(words, " ")
}

func TestCompare(t *testing.T) {
	l := serve(t).open()
	ids := []string{last(t, l), add(t, l, "1"), add(t, l, "2")}
	epoch, _, _ := strings.Cut(ids[0], "-")
	ids = append(ids, epoch+"-99999999999999-0", epoch+"-99999999999999-9", epoch+"-99999999999999-10", epoch+"-999999999999990-0")
	for i, a := range ids {
		for j, b := range ids {
			if got, err := l.Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) || err != nil {
				t.Errorf("%s and %s: got %d, %v", a, b, got, err)
			}
		}
	}
	if _, err := l.Compare(ids[1], "abcdefgh-5-0"); !errors.Is(err, hub.ErrOtherEpoch) {
		t.Errorf("another epoch: got %v, want ErrOtherEpoch", err)
	}
	if _, err := l.Compare("abcdefgh-5-0", "abcdefgh-5-1"); !errors.Is(err, hub.ErrOtherEpoch) {
		t.Errorf("two of another epoch: got %v, want ErrOtherEpoch", err)
	}
	for _, ids := range [][2]string{{ids[1], "rubbish"}, {"rubbish", ids[1]}, {ids[1], ""}} {
		if _, err := l.Compare(ids[0], ids[1]); err == nil || errors.Is(err, hub.ErrOtherEpoch) {
			t.Errorf("%q: got %v, want an error that one is not an ID", ids, err)
		}
	}
}

// What the log itself has trimmed is a gap.
func TestMaxEvents(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open(redislog.WithMaxEvents(100), redislog.WithMaxAge(time.Hour)) // either bound applies
	ids := []string{last(t, l)}
	for n := range 2000 {
		ids = append(ids, add(t, l, strconv.Itoa(n)))
	}
	length := s.client().XLen(soon(t), "events").Val()
	if length < 100 || length > 700 {
		t.Errorf("got %d entries, want 100 or some hundred more", length)
	}
	dropped := 2000 - int(length)
	for _, after := range []int{0, 1, dropped - 1} {
		if got := brief(t, l, ids[after]); !strings.HasPrefix(got, fmt.Sprintf("GAP %d ", dropped)) {
			t.Errorf("after %d of 2000, of which %d were dropped: got %.20s..., want GAP %d ...", after, dropped, got, dropped)
		}
	}
	for _, after := range []int{dropped, dropped + 1, 1990} {
		if got := brief(t, l, ids[after]); !strings.HasPrefix(got, strconv.Itoa(after)+" ") {
			t.Errorf("after %d of 2000, of which %d were dropped: got %.20s..., want no gap", after, dropped, got)
		}
	}
	if got := brief(t, l, ""); !strings.HasPrefix(got, strconv.Itoa(dropped)+" ") {
		t.Errorf("the oldest: got %.20s..., want %d", got, dropped)
	}

	// After an ID of an earlier epoch there is one gap, up to the oldest entry.
	if err := s.client().Set(soon(t), "{events}:epoch", "zzzzzzzz 0-0", 0).Err(); err != nil {
		t.Fatal(err)
	}
	l = s.open()
	for _, after := range []int{0, 1, dropped, 1990} {
		entries, err := l.Range(soon(t), ids[after], 10)
		if err != nil || len(entries) == 0 || !entries[0].Gap {
			t.Fatalf("after %d in an earlier epoch: got %+v, %v, want a gap", after, entries, err)
		}
		if got := brief(t, l, entries[0].ID); !strings.HasPrefix(got, strconv.Itoa(dropped)+" ") {
			t.Errorf("after the gap: got %.20s..., want %d", got, dropped)
		}
	}
}

func TestPageSize(t *testing.T) {
	l := serve(t).open()
	ids := []string{last(t, l)}
	for n := range 10 {
		ids = append(ids, add(t, l, strconv.Itoa(n)))
	}
	for _, after := range ids {
		for _, n := range []int{1, 2, 9, 10, 11} {
			entries, err := l.Range(soon(t), after, n)
			if err != nil {
				t.Fatal(err)
			}
			first := slices.Index(ids, after) + 1
			if got, want := len(entries), min(n, len(ids)-first); got != want {
				t.Errorf("up to %d entries after number %d: got %d, want %d", n, first-1, got, want)
			}
			for i, e := range entries {
				if e.ID != ids[first+i] {
					t.Errorf("entry %d after number %d: got %s, want %s", i, first-1, e.ID, ids[first+i])
				}
			}
		}
	}
}

func TestKeepAll(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open(redislog.WithMaxEvents(0), nil)
	for n := range 1000 {
		add(t, l, strconv.Itoa(n))
	}
	if got := s.client().XLen(soon(t), "events").Val(); got != 1000 {
		t.Errorf("got %d entries, want all 1000", got)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	const age = 100 * time.Millisecond
	s := serve(t)
	l := s.open(redislog.WithMaxAge(time.Hour), redislog.WithMaxEvents(0))
	before := last(t, l)
	for n := range 500 {
		add(t, l, strconv.Itoa(n))
	}
	if got := s.client().XLen(soon(t), "events").Val(); got != 500 {
		t.Errorf("got %d entries, want the 500 of the last hour", got)
	}
	<-time.After(2 * age)
	short := s.open(redislog.WithMaxAge(age), redislog.WithMaxEvents(1000))
	for n := range 3 {
		add(t, short, "new"+strconv.Itoa(n))
	}
	if got := s.client().XLen(soon(t), "events").Val(); got < 3 || got > 203 {
		t.Errorf("got %d entries, want the 3 new ones, and at most some old ones", got)
	}
	if got := brief(t, l, before); !strings.HasPrefix(got, "GAP ") || !strings.HasSuffix(got, " new0 new1 new2") && got != "GAP new0 new1 new2" {
		t.Errorf("got %.40s..., want a gap, and the new ones", got)
	}
}

// The age of events is measured by the server's clock, and not by the publisher's.
func TestMaxAgeClock(t *testing.T) {
	s := serve(t)
	c := s.client()
	const old = 1000
	for n := range old {
		id := strconv.FormatInt(1_000_000_000_000+int64(n), 10) + "-0" // in 2001
		if err := c.XAdd(soon(t), &redis.XAddArgs{Stream: "events", ID: id, Values: []any{"topic", "a"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []time.Duration{math.MaxInt64, 60 * 365 * 24 * time.Hour} {
		add(t, s.open(redislog.WithMaxAge(d)), "1")
	}
	if got, want := c.XLen(soon(t), "events").Val(), int64(old+2); got != want {
		t.Errorf("got %d entries, want %d", got, want)
	}
	synctest.Test(t, func(t *testing.T) { // in the year 2000
		l := redislog.New(&redis.UniversalOptions{Addrs: []string{s.addr}}, "events", redislog.WithMaxAge(time.Hour))
		defer closeLog(t, l)
		if _, err := l.Append(context.Background(), hub.Entry{Topic: "a"}); err != nil {
			t.Fatal(err)
		}
	})
	if got := c.XLen(soon(t), "events").Val(); got > 203 {
		t.Errorf("got %d entries, want the 3 new ones, and at most some old ones", got)
	}
}

// When the server's clock is set back, events still come after those of before, and clients
// resume without a gap, also if events have a maximum age.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client()
	l := s.open(redislog.WithMaxAge(time.Hour))
	add(t, l, "0")
	ahead := strconv.FormatInt(time.Now().Add(24*time.Hour).UnixMilli(), 10) + "-5" // by the clock of before
	if err := c.Do(soon(t), "XSETID", "events", ahead).Err(); err != nil {
		t.Fatal(err)
	}
	first, second, third := add(t, l, "1"), add(t, l, "2"), add(t, l, "3")
	for _, ids := range [][2]string{{first, second}, {second, third}} {
		if order, err := l.Compare(ids[0], ids[1]); order >= 0 || err != nil {
			t.Errorf("%s and %s: got %d, %v, want the first to come first", ids[0], ids[1], order, err)
		}
	}
	for after, want := range map[string]string{first: "2 3", second: "3", third: ""} {
		if got := brief(t, l, after); got != want {
			t.Errorf("after %s: got %q, want %q", after, got, want)
		}
	}
	follower := s.open()
	entries := make(chan hub.Entry, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for e, err := range follower.Follow(ctx, second) {
			if err != nil {
				return
			}
			if e.Topic != "" || e.Gap {
				entries <- e
			}
		}
	}()
	fourth := add(t, l, "4")
	for _, want := range []string{third, fourth} {
		if e := hosttest.ReceiveWithin(t, patience, entries, "an entry"); e.ID != want || e.Gap {
			t.Errorf("followed: got %+v, want the entry %s", e, want)
		}
	}
}

func TestIdempotencyWindow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const window = 300 * time.Millisecond
	l, long := s.open(redislog.WithIdempotencyWindow(window)), s.open()
	entry := hub.Entry{Topic: "a", IdempotencyKey: "once"}
	began := time.Now()
	first, err := l.Append(soon(t), entry)
	if err != nil {
		t.Fatal(err)
	}
	for again := first; again == first; {
		if again, err = l.Append(soon(t), entry); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if again != first && took < window || again == first && took > patience {
			t.Fatalf("after %v: got %s, first %s, want the same within %v", took, again, first, window)
		}
		<-time.After(10 * time.Millisecond)
	}
	entry.IdempotencyKey = "long"
	if _, err := long.Append(soon(t), entry); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	keys := c.Keys(soon(t), "*once:long*").Val()
	if len(keys) != 1 {
		t.Fatalf("got keys %q, want one for the idempotency key", keys)
	}
	if got := c.TTL(soon(t), keys[0]).Val(); got < time.Minute || got > 2*time.Minute {
		t.Errorf("the key stays for %v, want 2 minutes", got)
	}
}

// An idempotency key outlives the stream, or its epoch.
func TestIdempotencyEpoch(t *testing.T) {
	for _, test := range []struct {
		key  string
		held bool
	}{
		{"events", false},
		{"{events}:epoch", true},
	} {
		t.Run(test.key, func(t *testing.T) {
			s := serve(t)
			l := s.open()
			entry := hub.Entry{Topic: "a", IdempotencyKey: "once"}
			first, err := l.Append(soon(t), entry)
			if err != nil {
				t.Fatal(err)
			}
			c := s.client()
			if err := c.Del(soon(t), test.key).Err(); err != nil {
				t.Fatal(err)
			}
			began, _, _ := strings.Cut(place(first), "-")
			for ctx := soon(t); ; { // an ID of the same millisecond would be the same place
				now, err := c.Time(ctx).Result()
				if err != nil {
					t.Fatal(err)
				}
				if strconv.FormatInt(now.UnixMilli(), 10) > began {
					break
				}
			}
			again, err := l.Append(soon(t), entry)
			if err != nil {
				t.Fatal(err)
			}
			if epochOf(again) == epochOf(first) || test.held && place(again) != place(first) { // without the entry, the same ms may give the same position
				t.Errorf("first %s, then %s; want a new epoch, and the same position: %v", first, again, test.held)
			}
			if got := last(t, l); got != again {
				t.Errorf("got %s as the last one, want %s", got, again)
			}
			if got := s.client().XLen(soon(t), "events").Val(); got != 1 {
				t.Errorf("got %d entries, want 1", got)
			}
			if third, err := l.Append(soon(t), entry); err != nil || third != again {
				t.Errorf("got %s, %v, want %s again", third, err, again)
			}
		})
	}
}

// A process that has published with an idempotency key notices when that event is lost.
func TestIdempotencyLost(t *testing.T) {
	s := serve(t)
	l := s.open()
	add(t, l, "1")
	lose := keep(t, s)
	lost, err := l.Append(soon(t), hub.Entry{Topic: "a", IdempotencyKey: "once"})
	if err != nil {
		t.Fatal(err)
	}
	lose()
	if id := add(t, l, "2"); epochOf(id) == epochOf(lost) {
		t.Errorf("got %s, want an ID of a new epoch, because %s is lost", id, lost)
	}
}

// Another program writes to the stream.
func TestForeignEntry(t *testing.T) {
	s := serve(t)
	l := s.open()
	h := hub.New(hub.WithLog(l))
	defer func() {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	}()
	before := last(t, l)
	add(t, l, "first")
	if err := s.client().XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []any{"x", "y"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.client().XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []any{"topic", "a.>", "data", "\x00", "retry", "x"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.client().XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []any{"topic", "a", "attributes", "[]", "key", "k"}}).Err(); err != nil {
		t.Fatal(err)
	}
	add(t, l, "second")
	entries, err := l.Range(soon(t), before, 10)
	if err != nil || len(entries) != 5 {
		t.Fatalf("got %+v, %v, want 5 entries", entries, err)
	}
	if e := entries[3]; e.Topic != "" || e.Keyed || e.Gap || e.ID == "" {
		t.Errorf("got %+v, want a position, because the attributes cannot be read", e)
	}
	next := 0
	for e, err := range h.SubscribeFrom(soon(t), hub.After(before), ">") {
		want := []string{"first", "second"}[next]
		if err != nil || e.Data != want {
			t.Fatalf("got %+v, %v, want %s", e, err, want)
		}
		if next++; next == 2 {
			break
		}
	}
}
