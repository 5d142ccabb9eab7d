package hub_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// stateOf returns a state with an event for each word.
func stateOf(words string) hub.SubscribeOption {
	return hub.WithState(func(yield func(core.Event, error) bool) {
		for word := range strings.FieldsSeq(words) {
			if !yield(core.Event{Data: word}, nil) {
				return
			}
		}
	})
}

// kinds are the kinds of hubs that a subscription must not tell apart.
var kinds = map[string]func(t *testing.T, opts ...hub.Option) (h *hub.Hub, restart func() *hub.Hub){
	"in memory": func(_ *testing.T, opts ...hub.Option) (*hub.Hub, func() *hub.Hub) {
		return hub.New(opts...), func() *hub.Hub { return hub.New(opts...) }
	},
	"over a log": func(t *testing.T, opts ...hub.Option) (*hub.Hub, func() *hub.Hub) {
		l := new(hubtest.MemoryLog)
		h := over(t, l, opts...)
		return h, func() *hub.Hub { l.Restart(); synctest.Wait(); return h }
	},
}

// overKinds runs a test in a bubble for each kind of hub.
func overKinds(t *testing.T, test func(t *testing.T, open func(opts ...hub.Option) (*hub.Hub, func() *hub.Hub))) {
	t.Helper()
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, func(opts ...hub.Option) (*hub.Hub, func() *hub.Hub) { return open(t, opts...) })
			})
		})
	}
}

// A client without an ID is sent the state, and one that misses something, too, whatever the
// reason. One that misses nothing is not.
func TestState(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, restart := open(hub.WithMaxReplay(time.Hour))
		begin := h.LastID()
		old := publish(t, h, "a", "old")
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble
		first := publish(t, h, "a", "1")
		publish(t, h, "a", "2")
		synctest.Wait()
		for name, tt := range map[string]struct {
			from hub.Position
			want string
		}{
			"no ID":       {hub.Now, "x y"},
			"an empty ID": {hub.After(""), "x y"},
			"held":        {hub.After(first), "2"},
			"last":        {hub.After(h.LastID()), ""},
			"old":         {hub.After(old), "1 2"},
			"expired":     {hub.After(begin), "x y"},
			"unknown":     {hub.After("7"), "x y"},
			"oldest":      {hub.Oldest, "1 2"},
		} {
			listenWith(t, h, name, []string{"a"}, stateOf("x y"), hub.From(tt.from)).want(tt.want)
		}
		before := h.LastID()
		h = restart()
		publish(t, h, "a", "3")
		synctest.Wait()
		l := listenWith(t, h, "restarted", []string{"a"}, stateOf("x y"), hub.From(hub.After(before)))
		l.want("x y")
		publish(t, h, "a", "4")
		l.want("4")
	})
}

// listenWith is listen with options.
func listenWith(t *testing.T, h *hub.Hub, name string, topics []string, opts ...hub.SubscribeOption) *listener {
	t.Helper()
	return listenTo(t, name, h.SubscribeWith(t.Context(), topics, opts...))
}

// Only the last event of a state has an ID, and a client that comes back with it gets what follows.
func TestStateIDs(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open()
		publish(t, h, "a", "1")
		synctest.Wait()
		r := read(t, h.SubscribeWith(t.Context(), []string{"a"}, stateOf("x y z")))
		for _, want := range []core.Event{{Data: "x"}, {Data: "y"}, {Data: "z", ID: h.LastID()}} {
			if got := r.event(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		publish(t, h, "a", "2")
		publish(t, h, "b", "other")
		r.want("2")
	})
}

// What is published while a state is taken or sent follows it, and nothing from before.
func TestStateWhilePublishing(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open()
		publish(t, h, "a", "before")
		synctest.Wait()
		l := listenWith(t, h, "", []string{"*"}, hub.WithState(func(yield func(core.Event, error) bool) {
			publish(t, h, "a", "1")
			_ = yield(core.Event{Data: "x"}, nil) && yield(core.Event{Data: "y"}, nil)
			publish(t, h, "a", "2")
		}))
		publish(t, h, "a", "3")
		l.want("x y 1 2 3")
	})
}

// A state may say through which event it is complete.
func TestStateThroughAnEvent(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, restart := open(hub.WithMaxEvents(5))
		ids := []string{h.LastID()}
		for _, data := range []string{"1", "2", "3"} {
			ids = append(ids, publish(t, h, "a", data))
		}
		synctest.Wait()
		listenWith(t, h, "", []string{"*"}, hub.WithState(func(yield func(core.Event, error) bool) {
			publish(t, h, "a", "4")
			_ = yield(core.Event{Data: "x"}, nil) && yield(core.Event{Data: "y", ID: ids[2]}, nil)
		})).want("x y 3 4")
		listenWith(t, h, "", []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
			id := publish(t, h, "a", "5")
			publish(t, h, "a", "6")
			_ = yield(core.Event{Data: "z", ID: id}, nil)
		})).want("z 6")
		for _, id := range []string{"7", "garbage-1", ids[0] + "00"} {
			listenWith(t, h, id, []string{"a"}, stateThrough(id)).wantError("hub: state: the last event has the ID")
		}
		other := restart() // the states from above publish to "a" again
		listenWith(t, other, "nothing has happened since the beginning", []string{"c"}, stateThrough(ids[1])).want("x")
		publish(t, other, "c", "1")
		synctest.Wait()
		l := listenWith(t, other, "from before the beginning", []string{"c"}, stateThrough(ids[1]))
		l.want("x 1")
		publish(t, other, "c", "2")
		l.want("2")
	})
}

// After a state with an ID from before the hub, the client has an ID of the hub.
func TestStateThroughAnOlderHub(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(2))
	e := read(t, h.SubscribeWith(soon(t), []string{"a"}, stateThrough(hub.New().LastID()))).event()
	if e.ID != h.LastID() {
		t.Errorf("got the ID %s, want that of the beginning, %s", e.ID, h.LastID())
	}
	publish(t, h, "a", "1")
	read(t, h.SubscribeWith(soon(t), []string{"a"}, stateOf("state"), hub.From(hub.After(e.ID)))).want("1")
	publishAll(t, h, "a", "2 3 4")
	r := read(t, h.SubscribeWith(soon(t), []string{"a"}, stateThrough(hub.New().LastID())))
	r.want(strings.Repeat("x ", 3)) // because the hub has dropped some of what follows
	if err := r.end(); !errors.Is(err, hub.ErrLagged) || !strings.Contains(err.Error(), "the last event of all its topics") {
		t.Errorf("got %v, want the reason", err)
	}
}

// The log has dropped the last event of a topic on which little happens, because of others. What
// is missing is in the state, whatever hub it comes from.
func TestStateThroughADroppedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(hubtest.MemoryLog)
		h := over(t, log, hub.WithMaxEvents(5))
		last := publish(t, h, "a", "1")
		publishAll(t, h, "b", strings.Repeat("other ", 100))
		synctest.Wait()
		log.Trim(20)
		for _, h := range []*hub.Hub{h, over(t, log)} {
			l := listenWith(t, h, "", []string{"a"}, stateThrough(last))
			l.want("x")
			last = publish(t, h, "a", "2")
			l.want("2")
			publishAll(t, h, "b", strings.Repeat("other ", 100))
			synctest.Wait()
			log.Trim(20)
		}
	})
}

// The log drops something after the state was taken, so the state comes again.
func TestStateThroughAnEventBeforeWhatIsDropped(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			log := new(hubtest.MemoryLog)
			h := over(t, log, hub.WithMaxEvents(2))
			last := publish(t, h, "a", "1")
			synctest.Wait()
			taken := 0
			l := listenWith(t, h, "", []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
				if taken++; taken == 1 {
					for i := range 100 {
						if _, err := log.Append(t.Context(), hub.Entry{Topic: []string{"a", "b"}[min(i, 1)], Event: core.Event{Data: "2"}}); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Second) //nolint:forbidigo // in a bubble, until the hub has dropped it from its memory
					if restart {
						log.Restart()
					}
					log.Trim(20)
				}
				yield(core.Event{Data: "x", ID: last}, nil)
			}))
			<-time.After(time.Minute)
			l.want("x x")
			publish(t, h, "a", "3")
			l.want("3")
		})
	}
}

// The hub has forgotten whose the events were that it has dropped long ago. They are in the state, even
// if it drops more while the state is sent.
func TestStateThroughAForgottenEvent(t *testing.T) {
	for name, bound := range map[string]hub.Option{"by number": hub.WithMaxEvents(10), "by age": hub.WithMaxAge(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, before := hub.New(bound), hub.New().LastID()
				publish(t, h, "order.1", "1", hub.WithKey("status"))
				last := publish(t, h, "order.1", "2", hub.WithKey("status"))
				publishElsewhere(t, h, 20_000)
				time.Sleep(2 * time.Hour) //nolint:forbidigo // in a bubble
				var clients []interface{ want(words string) }
				for _, tt := range []struct {
					id     string
					topics []string
				}{
					{last, []string{"order.1"}},
					{last, []string{"order.*"}},
					{last, []string{"order.1", "order.2", "*.1"}},
					{before, []string{"order.2"}},
					{before, []string{"*.2"}},
				} {
					r := read(t, h.SubscribeWith(t.Context(), tt.topics, hub.WithState(func(yield func(core.Event, error) bool) {
						publishElsewhere(t, h, 5)
						yield(core.Event{Data: "x", ID: tt.id}, nil)
					})))
					e := r.event()
					again := listenWith(t, h, fmt.Sprint(tt.topics), tt.topics, stateOf("again"), hub.From(hub.After(e.ID)))
					again.want("") // it has missed nothing
					clients = append(clients, r, again)
				}
				publish(t, h, "order.1", "3", hub.WithTopics("order.2"))
				for _, c := range clients {
					c.want("3")
				}
			})
		})
	}
}

// What the hub drops after a state was taken is not in that state, however much it forgets meanwhile.
func TestStateThroughAnEventBeforeWhatIsForgotten(t *testing.T) {
	for _, name := range []string{"order.1", "order.*"} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(hub.WithMaxEvents(10))
			last := publish(t, h, "order.1", "1")
			publishElsewhere(t, h, 20_000)
			l := listenWith(t, h, name, []string{name}, hub.WithState(func(yield func(core.Event, error) bool) {
				taken := last
				if number(t, taken) == 1 {
					last = publish(t, h, "order.1", "2")
					publishElsewhere(t, h, 20_000)
				}
				yield(core.Event{Data: "through:" + strings.TrimPrefix(taken, last), ID: taken}, nil)
			}))
			l.want("through:" + idOf(h, 1) + " through:")
			publish(t, h, "order.1", "3")
			l.want("3")
		})
	}
}

// publishElsewhere publishes events to topics of their own.
func publishElsewhere(t testing.TB, h *hub.Hub, n int) {
	t.Helper()
	for range n {
		publish(t, h, "after "+h.LastID(), "other")
	}
}

// stateThrough returns a state that is complete through an event.
func stateThrough(id string) hub.SubscribeOption {
	return hub.WithState(func(yield func(core.Event, error) bool) { yield(core.Event{Data: "x", ID: id}, nil) })
}

// A subscription that falls behind while it is connected is sent the state, and continues.
func TestStateAfterOvertaken(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(3))
	r := read(t, h.SubscribeWith(soon(t), []string{"a"}, stateOf("x")))
	r.want("x")
	for range 3 {
		publishAll(t, h, "a", "1 2 3")
		r.want("1 2 3")
		publishAll(t, h, "a", "4 5 6 7")
		publishAll(t, h, "b", "other")
		r.want("x")
	}
}

// GapEnd is for subscriptions without a state.
func TestStateBeforeGapEnd(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(3), hub.WithGapPolicy(hub.GapEnd))
	r := read(t, h.SubscribeWith(soon(t), []string{"a"}, stateOf("x")))
	r.want("x")
	publishAll(t, h, "a", "1 2 3 4")
	r.want("x")
	publish(t, h, "a", "5")
	r.want("5")
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l, hub.WithGapPolicy(hub.GapEnd))
		c := listenWith(t, h, "", []string{"a"}, stateOf("x"))
		c.want("x")
		l.Restart()
		c.want("x")
		publish(t, h, "a", "1")
		c.want("1")
	})
}

// A state that is too old each time ends the stream after some tries. A good one in between leaves
// all of them for the next time.
func TestStateTooOld(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(1))
	futile := 2
	r := read(t, h.SubscribeWith(soon(t), []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
		if futile--; futile >= 0 {
			publishAll(t, h, "a", "1 2")
		}
		yield(core.Event{Data: "x"}, nil)
	})))
	r.want(strings.Repeat("x ", 3))
	publish(t, h, "a", "3")
	r.want("3")
	publishAll(t, h, "a", "4 5")
	futile = 3
	r.want(strings.Repeat("x ", 3))
	if err := r.end(); !errors.Is(err, hub.ErrLagged) || !strings.Contains(err.Error(), "3 times") {
		t.Errorf("got %v, want %v and how often", err, hub.ErrLagged)
	}
	first := h.LastID()
	publishAll(t, h, "a", "6 7")
	for _, name := range []string{"a", "*"} {
		r = read(t, h.SubscribeWith(soon(t), []string{name}, stateThrough(first)))
		r.want(strings.Repeat("x ", 3))
		if err := r.end(); !errors.Is(err, hub.ErrLagged) {
			t.Errorf("%s: got %v, want %v", name, err, hub.ErrLagged)
		}
	}
}

// A client that leaves in the middle of a state ends it, and so does a kick, but only when the
// client has all of it.
func TestStateIsEnded(t *testing.T) {
	ssetest.NoLeaks(t)
	large := strings.Repeat("x", 64<<10)
	ended := make(chan bool, 10)
	state := hub.WithState(func(yield func(core.Event, error) bool) {
		whole := false
		defer func() { ended <- whole }()
		for range 400 { // more than the kernel holds
			if !yield(core.Event{Data: large}, nil) {
				return
			}
		}
		whole = true
	})
	for _, detach := range []bool{false, true} {
		opts := []core.Option{core.WithWriteTimeout(0)}
		if detach {
			opts = append(opts, core.WithDetach())
		}
		h := hub.New()
		url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return h.SubscribeWith(r.Context(), []string{"a"}, state)
		}, opts...))
		for _, leaves := range []bool{true, false} {
			s := ssetest.Open(t, url)
			if got := s.Next().Data; got != large {
				t.Fatalf("got %d bytes, want %d", len(got), len(large))
			}
			hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") == 1 })
			if leaves {
				s.Close()
			} else {
				publish(t, h, "a", "1")
				h.Kick("a")
				publish(t, h, "a", "2")
				if got := s.All(); len(got) != 400 || got[399].Data != "1" || got[398].ID == "" || got[397].ID != "" {
					t.Errorf("got %d events, want the state and the event before the kick", len(got))
				}
			}
			select {
			case whole := <-ended:
				if whole == leaves {
					t.Errorf("detached %v: the state has come to its end: %v, and the client has left: %v", detach, whole, leaves)
				}
			case <-time.After(patience):
				t.Fatal("the state has not ended")
			}
			hosttest.Eventually(t, "it has ended", func() bool { return h.Len("a") == 0 })
		}
	}
}

// After the state a detached subscription has no goroutine, also when it was overtaken.
func TestStateLeavesNoGoroutine(t *testing.T) {
	needPoller(t)
	ssetest.NoLeaks(t)
	const size, few = 200, 20
	h := hub.New(hub.WithMaxEvents(10))
	url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return h.SubscribeWith(r.Context(), []string{"a"}, stateOf("x y"))
	}, core.WithDetach()))
	before := runtime.NumGoroutine()
	conns := crowd(t, h, url+"/?", "a", size)
	for _, conn := range conns {
		readUntil(t, conn, "data: y\n\n")
	}
	hosttest.Eventually(t, "no goroutines are left", func() bool { return runtime.NumGoroutine() < before+few })
	publish(t, h, "a", "news")
	for _, conn := range conns {
		readUntil(t, conn, "data: news\n\n")
		_ = conn.Close()
	}
	hosttest.Eventually(t, "all have left", func() bool { return h.Len("a") == 0 })
}

// The position of a state is not before that of the client, even if this process has yet to
// hear of what the client has.
func TestStateAheadOfTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, first := new(hubtest.MemoryLog), ""
		add := func(words string) {
			for word := range strings.FieldsSeq(words) {
				id, err := memory.Append(t.Context(), hub.Entry{Topic: "a", Event: core.Event{Data: word}})
				if err != nil {
					t.Fatal(err)
				}
				first = cmp.Or(first, id)
			}
		}
		add("1 2")
		l, hears := late(memory)
		h := over(t, l)
		hears.close()
		add("3 4 5")
		memory.Trim(1)
		c := listenWith(t, h, "", []string{"a"}, stateOf("x"), hub.From(hub.After(first)))
		c.want("x")
		hears.open()
		publish(t, h, "a", "6")
		time.Sleep(2 * time.Second) //nolint:forbidigo // in a bubble, until it reads the log again
		c.want("5 6")
		through := listenWith(t, h, "", []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
			hears.close()
			id := publish(t, h, "a", "7")
			publish(t, h, "a", "8")
			yield(core.Event{Data: "y", ID: id}, nil)
		}))
		through.want("y")
		hears.open()
		through.want("8")
	})
}

// What a state finds in its context is that of the view.
func TestStateStopsWithItsContext(t *testing.T) {
	ssetest.NoLeaks(t)
	h := hub.New()
	ctx, cancel := context.WithCancel(context.Background())
	s := h.SubscribeWith(ctx, []string{"a"}, hub.WithState(func(yield func(core.Event, error) bool) {
		if yield(core.Event{Data: "x"}, nil) {
			cancel()
			yield(core.Event{Data: "y"}, nil)
		}
	}))
	r := read(t, s)
	r.want("x")
	if err := r.end(); err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}
