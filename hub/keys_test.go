package hub_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A client that has not read an event of a key yet gets only the last one.
func TestLastOfKey(t *testing.T) {
	for _, names := range [][]string{{"p"}, {"*"}, {"p", "*", ">"}} {
		h := hub.New(hub.WithMaxEvents(5))
		r := read(t, h.SubscribeFrom(soon(t), hub.Oldest, names...))
		publish(t, h, "p", "first")
		r.want("first")
		for i := range 100 {
			publish(t, h, "p", fmt.Sprint("A", i), hub.WithKey("A"))
			publish(t, h, "p", fmt.Sprint("B", i), hub.WithKey("B"))
			if i == 50 {
				publish(t, h, "p", "plain")
			}
		}
		publish(t, h, "p", "C", hub.WithKey("C"))
		r.want("plain A99 B99 C")
		publish(t, h, "p", "A100", hub.WithKey("A"))
		publish(t, h, "p", "A101", hub.WithKey("A"))
		r.want("A101")
	}
}

// The same key in another topic is another key, and an empty key is a key too.
func TestKeysAreOfTheirTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New()
		publish(t, h, "p", "1", hub.WithKey("k"))
		publish(t, h, "q", "2", hub.WithKey("k"))
		publish(t, h, "p", "3", hub.WithKey("other"))
		publish(t, h, "p", "4", hub.WithKey(""))
		publish(t, h, "p", "5")
		publish(t, h, "p", "6", hub.WithKey(""))
		publish(t, h, "p", "7", hub.WithKey("k"), nil)
		if got, want := held(t, h, "p", "q"), "2 3 5 6 7"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A replaced event takes no room: it pushes nothing out of the log.
func TestReplacedTakesNoRoom(t *testing.T) {
	for name, bound := range map[string]hub.Option{"events": hub.WithMaxEvents(3), "bytes": hub.WithMaxBytes(100)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hub.New(bound)
				publish(t, h, "p", "1")
				publish(t, h, "q", "2")
				for i := range 100 {
					publish(t, h, "p", strconv.Itoa(i), hub.WithKey("k"))
				}
				if got, want := held(t, h, "p", "q"), "1 2 99"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// An event that the bounds have dropped is a gap for a client that has not read it, even
// if a later one of its key was published.
func TestDroppedKeyIsGap(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(2))
	ctx := soon(t)
	begin := h.LastID()
	publish(t, h, "p", "k1", hub.WithKey("k"))
	one := read(t, h.SubscribeFrom(ctx, hub.Oldest, "p"))
	one.want("k1")
	read := read(t, h.SubscribeFrom(ctx, hub.After(begin), "p"))
	publishAll(t, h, "q", "1 2") // k1 is dropped
	publish(t, h, "p", "k2", hub.WithKey("k"))
	publish(t, h, "p", "k3", hub.WithKey("k"))
	if gap := gapOf(t, read.event()); gap.Through != idOf(h, 1) || gap.After != begin {
		t.Errorf("got %+v, want the gap after %s through %s", gap, begin, idOf(h, 1))
	}
	read.want("k3")
	one.want("k3")
}

// A slow client of prices never gets a gap event, neither on one connection nor when it
// resumes.
func TestPricesOfSlowClient(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(20))
	s := ssetest.Open(t, serve(t, h)+"topic=prices")
	for i := range 5_000 {
		publish(t, h, "prices", strconv.Itoa(i), hub.WithKey(strconv.Itoa(i%10)))
	}
	last := map[int]int{}
	for n := 0; last[9] != 4999; n++ {
		e := s.Next()
		v, err := strconv.Atoi(e.Data)
		if err != nil {
			t.Fatalf("got %+v, want a price", e)
		}
		if old, ok := last[v%10]; ok && old >= v {
			t.Errorf("got %d of key %d after %d", v, v%10, old)
		}
		if last[v%10] = v; n%10 == 0 {
			s.Resume()
		}
	}
	for key := range 10 {
		if got, want := last[key], 4990+key; got != want {
			t.Errorf("got %d as the last value of key %d, want %d", got, key, want)
		}
	}
}
