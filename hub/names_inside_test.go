package hub

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A subscription with many names gets the same as one with the same names that looks at each of
// them, as those with a filter do, and when it has read everything it waits for all of its sources.
func TestManyNames(t *testing.T) {
	for seed := range uint64(hosttest.Rounds(200)) { //nolint:gosec // not negative
		rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // to be replayed
		opts := []Option{WithMaxEvents(1 + rng.IntN(60))}
		if rng.IntN(2) == 0 {
			opts = append(opts, WithMaxBytes(1_000+rng.IntN(10_000)))
		}
		h := New(opts...)
		topics := make([]string, 40)
		for i := range topics {
			topics[i] = fmt.Sprintf("t%d.%c", i, 'a'+i%4)
		}
		publish := func() {
			opts := []PublishOption{nil}
			if rng.IntN(3) == 0 {
				opts = append(opts, WithKey(strconv.Itoa(rng.IntN(3))))
			}
			if rng.IntN(4) == 0 {
				opts = append(opts, WithTopics(topics[rng.IntN(len(topics))], topics[rng.IntN(len(topics))]))
			}
			publishTo(t, h, topics[rng.IntN(1+rng.IntN(len(topics)))], opts...)
		}
		for range rng.IntN(50) {
			publish()
		}
		names := slices.Concat(topics[:rng.IntN(20)], topics[30:30+manyNames], []string{"*.b", "*.c", ">"}[:rng.IntN(4)])
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		run := func(names []string, at start) *subscription {
			s := &subscription{hub: h, ctx: t.Context(), start: at}
			if err := s.join(names); err != nil {
				t.Fatal(err)
			}
			return s
		}
		at := h.find(h.id(rng.Uint64N(h.last+1)), Now)
		s, each := run(names, at), &subscription{hub: h, ctx: t.Context(), start: at}
		each.filter = func(string, Attributes) bool { return true }
		if err := each.join(names); err != nil {
			t.Fatal(err)
		}
		read := func(most int) (done bool) {
			var got, want [][]byte
			gap, more, err := s.read(&got, most)
			wantGap, _, wantErr := each.read(&want, most)
			if fmt.Sprint(gap) != fmt.Sprint(wantGap) || err != wantErr || !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("seed %d: got %q, %v, %v, want %q, %v, %v", seed, got, gap, err, want, wantGap, wantErr)
			}
			if more || err != nil {
				return err != nil
			}
			for i := range s.links {
				if l := &s.links[i]; l.round != l.source.round+1 || l.source.waiting[l.slot] != l {
					t.Fatalf("seed %d: it does not wait for %s", seed, l.source.name)
				}
			}
			return true
		}
		for range 300 {
			for range rng.IntN(1 + rng.IntN(8)) {
				publish()
			}
			switch rng.IntN(20) {
			case 0:
				run([]string{[]string{"*.a", "*.b", "t1.*"}[rng.IntN(3)]}, h.find("", Now)).Close()
			case 1:
				defer run([]string{"t2.*", topics[0]}, h.find("", Now)).Close()
			}
			if rng.IntN(3) > 0 {
				read(1 + rng.IntN(300))
			}
			for n := 0; rng.IntN(3) == 0 && n < 100; n++ {
				if read(1 + rng.IntN(300)) {
					break
				}
			}
		}
		h.Kick(names[0])
		publish()
		for n := 0; !read(200); n++ {
			if n == 1_000 {
				t.Fatal("it does not end")
			}
		}
		s.Close()
		each.Close()
		consistent(t, h)
	}
}

// A subscription is woken by each event that comes when it has read everything, and only looks at what
// has come.
func TestManyNamesLookAtFew(t *testing.T) {
	h := New()
	names := make([]string, maxNames)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	s := &subscription{hub: h, ctx: t.Context()}
	if err := s.join(names); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	last := &s.links[maxNames-1] // of a topic to which nothing is published
	for i := range 1_000 {
		var frames [][]byte
		if more, err := s.take(&frames, batchSize); more || err != nil || i > 0 && len(frames) != 1 {
			t.Fatalf("event %d: got %d frames, %v, %v", i, len(frames), more, err)
		}
		if i > 0 && cap(h.merging) > 0 {
			t.Fatalf("event %d: it has looked at all names", i)
		}
		if i > 0 && last.round != 0 {
			t.Fatalf("event %d: it has enlisted all links", i)
		}
		last.round = 0
		_, off, err := h.publish(names[i%(maxNames-1)], core.Event{}, publication{}, nil)
		if err != nil || len(off) != 1 || len(off[0].links) != 1 {
			t.Fatalf("event %d: got %v, %v, want one link that has waited", i, off, err)
		}
	}
	last.round = last.source.round + 1 // as it was
}
