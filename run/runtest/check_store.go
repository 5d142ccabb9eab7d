package runtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/yieldsse/yieldsse/run"
)

// A claim begins a run, and the same claim gets it again. Another one gets what goes on.
func checkClaims(f *fixture) {
	s, other := f.store(), f.store()
	_, err := s.Get(soon(f), "x")
	f.isError("get before", err, run.ErrNotHeld)
	c := claim("x", long)
	f.begin(s, c)
	f.begin(s, c)
	r, err := other.Claim(soon(f), claim("x", long))
	if err != nil || r.ID != c.ID || r.Claim != c || r.Started.IsZero() || !r.Ended.IsZero() || r.Left <= 0 || r.Left > long {
		f.Errorf("another claim: got %+v, %v", r, err)
	}
	f.begin(other, claim("y", long))
}

// Of many claims at once, one wins.
func checkClaimRace(f *fixture) {
	for round := range 5 {
		var all sync.WaitGroup
		var mu sync.Mutex
		won := map[string]int{}
		ids := map[string]bool{}
		for range 3 {
			s := f.store()
			for range 4 {
				all.Go(func() {
					c := claim(fmt.Sprint("x", round), long)
					r, err := s.Claim(soon(f), c)
					if err != nil {
						f.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					ids[c.ID] = true
					won[r.ID]++
				})
			}
		}
		all.Wait()
		if len(won) != 1 || len(ids) != 12 {
			f.Errorf("got the runs %v", won)
		}
		for id := range won {
			if !ids[id] {
				f.Errorf("nobody has claimed %q", id)
			}
		}
	}
}

// Any key is a key, and has its own run.
func checkKeys(f *fixture) {
	s := f.store()
	keys := []string{
		"a", "a.b", "a b", "a+b", "a:b", "{a}", "}", "{", "{}", "*", ">", "a.*", "a%2Eb", "?", "[a]", "ä", "\x00\n", "\xff",
		"A", "$", strings.Repeat("}", 255),
	}
	for _, key := range keys {
		c := claim(key, long)
		c.Starter = key
		f.begin(s, c)
		f.append(s, c, 1, key)
	}
	for _, key := range keys {
		r, err := s.Get(soon(f), key)
		if err != nil || r.Key != key || r.Events != 1 {
			f.Errorf("%q: got %+v, %v", key, r, err)
		}
		if r.Starter != key && key != "\xff" {
			f.Errorf("%q: got the starter %q", key, r.Starter)
		}
		f.equal("entries of "+key, f.read(s, key, r.ID), []string{entry(r.ID, 1, key)})
	}
}

// entry returns an entry.
func entry(id string, n int, word string) string {
	word = strings.ToValidUTF8(strings.NewReplacer("\n", " ", "\x00", " ").Replace(word), "?")
	return fmt.Sprintf("id: %s-%d\ndata: %s\n\n", id, n, word)
}

// append adds entries.
func (f *fixture) append(s run.Store, c run.Claim, first int, words ...string) {
	f.Helper()
	if _, err := s.Append(soon(f), c, batch(c, first, words...)); err != nil {
		f.Fatalf("append to %q: %v", c.Key, err)
	}
}

func batch(c run.Claim, first int, words ...string) run.Batch {
	b := run.Batch{First: first, Bytes: int64(100 * (first - 1 + len(words)))}
	for i, word := range words {
		b.Entries = append(b.Entries, entry(c.ID, first+i, word))
	}
	return b
}

// read reads all entries.
func (f *fixture) read(s run.Store, key, id string) []string {
	f.Helper()
	var all []string
	for cursor := ""; ; {
		p, err := s.Read(soon(f), key, id, cursor)
		if err != nil {
			f.Fatalf("read %q: %v", key, err)
		}
		if p.Record.ID != id {
			f.Fatalf("read %q: got the run %q, want %q", key, p.Record.ID, id)
		}
		all = append(all, p.Entries...)
		if !p.More {
			return all
		}
		cursor = p.Cursor
	}
}

// Entries are numbered, come once, and are what they were.
func checkAppend(f *fixture) {
	s, other := f.store(), f.store()
	c := claim("x", long)
	f.begin(s, c)
	f.append(s, c, 1)
	f.append(s, c, 1, "one", "two")
	f.append(s, c, 1, "one", "two")                  // again
	f.append(s, c, 2, "two", "three \U0001f600 \r.") // in part
	f.append(s, c, 4)
	want := []string{entry(c.ID, 1, "one"), entry(c.ID, 2, "two"), entry(c.ID, 3, "three \U0001f600 \r.")}
	f.equal("entries", f.read(other, "x", c.ID), want)
	r, err := other.Get(soon(f), "x")
	if err != nil || r.Events != 3 || r.Bytes != 300 {
		f.Errorf("got %+v, %v", r, err)
	}
	_, err = s.Append(soon(f), c, batch(c, 5, "five"))
	f.isError("append after a hole", err, run.ErrLost)
	_, err = s.Append(soon(f), claim("x", long), batch(c, 1))
	f.isError("append to another run", err, run.ErrLost)
	_, err = s.Append(soon(f), claim("none", long), batch(c, 1))
	f.isError("append to no run", err, run.ErrLost)
}

// A long run is read in pages, while it grows.
func checkPages(f *fixture) {
	s, other := f.store(), f.store()
	c := claim("x", long)
	f.begin(s, c)
	big := strings.Repeat("x", 100<<10)
	n := 0
	var want, got []string
	cursor := ""
	for round := range 8 {
		for range 5 {
			var words []string
			for i := range 200 {
				if words = append(words, fmt.Sprint("word ", n+i)); i == 0 && round%3 == 0 {
					words[i] = big
				}
			}
			b := batch(c, n+1, words...)
			f.append(s, c, n+1, words...)
			want = append(want, b.Entries...)
			n += len(words)
		}
		for pages := 0; len(got) < len(want); pages++ {
			p, err := other.Read(soon(f), "x", c.ID, cursor)
			if err != nil || pages > len(want) {
				f.Fatalf("after %d entries: %v", len(got), err)
			}
			got, cursor = append(got, p.Entries...), p.Cursor
			if p.More != (len(got) < len(want)) {
				f.Fatalf("got %d of %d entries, and %t", len(got), len(want), p.More)
			}
		}
		p, err := other.Read(soon(f), "x", c.ID, cursor)
		if err != nil || len(p.Entries) > 0 {
			f.Fatalf("at the end: got %d entries, %v", len(p.Entries), err)
		}
		cursor = p.Cursor
	}
	if !slices.Equal(got, want) {
		f.Errorf("got %d entries, which are not the %d", len(got), len(want))
	}
}

// The first request to stop comes to the run's process.
func checkStopRequest(f *fixture) {
	s, other := f.store(), f.store()
	_, err := other.Stop(soon(f), "x", run.StopRequest{})
	f.isError("stop no run", err, run.ErrNotHeld)
	c := claim("x", long)
	f.begin(s, c)
	r, err := other.Stop(soon(f), "x", run.StopRequest{Last: []string{entry("0", 0, "stop \"ä\"")}})
	if err != nil || r.ID != c.ID {
		f.Errorf("stop: got %+v, %v", r, err)
	}
	_, err = other.Stop(soon(f), "x", run.StopRequest{})
	f.isError("stop again", err, nil)
	for range 2 {
		stop, err := s.Append(soon(f), c, batch(c, 1))
		if err != nil || stop == nil || !slices.Equal(stop.Last, []string{entry("0", 0, "stop \"ä\"")}) {
			f.Errorf("got %+v, %v", stop, err)
		}
	}
	f.isError("end", s.End(soon(f), c, run.End{Outcome: run.Stopped, Clean: true}), nil)
	r, err = other.Stop(soon(f), "x", run.StopRequest{})
	if err != nil || r.Outcome != run.Stopped {
		f.Errorf("stop what has ended: got %+v, %v", r, err)
	}
	next := claim("x", long)
	f.begin(s, next)
	if stop, err := s.Append(soon(f), next, batch(next, 1)); err != nil || stop != nil {
		f.Errorf("the next run: got %+v, %v", stop, err)
	}
	if _, err := other.Stop(soon(f), "x", run.StopRequest{}); err != nil {
		f.Error(err)
	}
	if stop, err := s.Append(soon(f), next, batch(next, 1)); err != nil || stop == nil || len(stop.Last) > 0 {
		f.Errorf("without events: got %+v, %v", stop, err)
	}
}

// All runs are listed.
func checkList(f *fixture) {
	s, other := f.store(), f.store()
	var want []string
	for i := range 20 {
		c := claim(fmt.Sprintf("k.{%02d}", i), long)
		f.begin(s, c)
		if i%2 == 0 {
			f.isError("end", s.End(soon(f), c, run.End{Outcome: run.Returned, Clean: true}), nil)
		}
		want = append(want, c.Key)
	}
	records, err := other.List(soon(f))
	f.isError("list", err, nil)
	var got []string
	for _, r := range records {
		got = append(got, r.Key)
	}
	slices.Sort(got)
	f.equal("keys", got, want)
}

// Those who watch are told, if not each time.
func checkHints(f *fixture) {
	s, other := f.store(), f.store()
	c := claim("x.{1}", long)
	f.begin(s, c)
	events, stops := make(chan bool, 1), make(chan bool, 1)
	to := func(ch chan bool) func() {
		return func() {
			select {
			case ch <- true:
			default:
			}
		}
	}
	cancel := other.Watch(c.Key, run.HintEvents, to(events))
	defer cancel()
	more := other.Watch(c.Key, run.HintEvents, func() {})
	defer s.Watch(c.Key, run.HintStop, to(stops))()
	n := 0
	told := func(ch chan bool, do func()) func() bool {
		return func() bool {
			select {
			case <-ch:
				return true
			default:
				do()
				return false
			}
		}
	}
	say := func() {
		n++
		f.append(s, c, n, "word")
	}
	f.until("a hint of an event", told(events, say))
	more()
	more()
	f.until("another hint", told(events, say))
	f.until("a hint to stop", told(stops, func() {
		if _, err := other.Stop(soon(f), c.Key, run.StopRequest{}); err != nil {
			f.Error(err)
		}
	}))
	cancel()
	cancel()
}

// A call whose context has ended returns at once, with the cause.
func checkContext(f *fixture) {
	s := f.store()
	f.begin(s, claim("x", long))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	c := claim("y", long)
	_, err1 := s.Claim(ctx, c)
	_, err2 := s.Append(ctx, c, batch(c, 1, "one"))
	err3 := s.End(ctx, c, run.End{Outcome: run.Returned})
	_, err4 := s.Get(ctx, "x")
	_, err5 := s.Read(ctx, "x", c.ID, "")
	_, err6 := s.Stop(ctx, "x", run.StopRequest{})
	_, err7 := s.List(ctx)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			f.Errorf("call %d: got the error %v, want %v", i+1, err, cause)
		}
	}
}
