package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// seed returns a random seed, or the one in YIELDSSE_SEED, and logs it.
func seed(t testing.TB) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if v := os.Getenv("YIELDSSE_SEED"); v != "" {
		var err error
		if s, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("to replay: YIELDSSE_SEED=%d", s)
	return s
}

// matches reports whether a pattern matches, in another way than the hub does.
func matches(pattern, topic string) bool {
	p, t := strings.Split(pattern, "."), strings.Split(topic, ".")
	for i := range p {
		switch {
		case p[i] == ">":
			return len(t) > i
		case i >= len(t) || p[i] != "*" && p[i] != t[i]:
			return false
		}
	}
	return len(p) == len(t)
}

func matchesAny(patterns []string, topic string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, topic) })
}

// A model is a hub that is easy to understand: everything that was ever published, and
// what has become of it.
type model struct {
	events              []modelEvent // that of number n is events[n-1]
	maxEvents, maxBytes int
	dropped             int // the last number that was dropped for a bound
}

type modelEvent struct {
	core.Event
	topics []string
	region string // its attribute
	key    string
	size   int
	state  string // "" is held
}

func (m *model) publish(e modelEvent) {
	if e.key != "" {
		for i := range m.events {
			if old := &m.events[i]; old.state == "" && slices.Equal(sorted(old.topics), sorted(e.topics)) && old.key == e.key {
				old.state = "replaced"
			}
		}
	}
	m.events = append(m.events, e)
	count, bytes := 0, 0
	for i := len(m.events) - 1; i >= 0; i-- {
		if m.events[i].state != "" {
			continue
		}
		count, bytes = count+1, bytes+m.events[i].size
		if count > m.maxEvents || bytes > m.maxBytes {
			m.events[i].state = "dropped"
			m.dropped = max(m.dropped, i+1)
		}
	}
}

// next returns what a client gets at its cursor: a gap through a number, or an event, or
// nothing yet.
func (m *model) next(r *modelReader) (gapThrough int, lossy []string, event int) {
	for n := r.cursor + 1; n <= len(m.events); n++ {
		if e := m.events[n-1]; e.state == "dropped" && slices.ContainsFunc(e.topics, r.follows) {
			gapThrough = n
			for _, name := range r.names {
				if matchesSome(name, e.topics) && !slices.Contains(lossy, name) {
					lossy = append(lossy, name)
				}
			}
		}
	}
	for n := r.cursor + 1; n <= len(m.events) && gapThrough == 0; n++ {
		e := m.events[n-1]
		if e.state == "" && slices.ContainsFunc(e.topics, r.follows) && (r.region == "" || r.region == e.region) {
			return 0, nil, n
		}
	}
	return gapThrough, lossy, 0
}

// A modelReader is a client that the model knows as well.
type modelReader struct {
	*reader
	names  []string
	begun  bool
	oldest bool // begins with the oldest event when it runs
	cursor int
	region string // of the events that it wants; empty for all
	state  bool   // it is sent the state instead of gaps
	fresh  bool   // the state comes next
	states int    // in a row
}

func (r *modelReader) follows(topic string) bool { return matchesAny(r.names, topic) }

func matchesSome(name string, topics []string) bool {
	return slices.ContainsFunc(topics, func(topic string) bool { return matches(name, topic) })
}

// A hub does what the model does, whatever is done to it: every client gets every
// event after its cursor, or a gap that is not too wide.
func TestAgainstModel(t *testing.T) {
	first := seed(t)
	for i := range hosttest.Rounds(30) {
		againstModel(t, first+uint64(i))
		if t.Failed() {
			t.Fatalf("failed with seed %d", first+uint64(i))
		}
	}
}

func againstModel(t *testing.T, seed uint64) { //nolint:gocyclo // one program
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be replayed
	topics := []string{"a", "b", "a.x", "a.y", "b.x", "a.x.z", "b.y.z"}
	names := append([]string{"*", ">", "a.*", "a.>", "*.x", "*.*.z", "b.>", "a.x.>", "none"}, topics...)
	m := &model{maxEvents: 1 + rng.IntN(12), maxBytes: 350 + rng.IntN(600)}
	var reasons []hub.Gap
	h := hub.New(hub.WithMaxEvents(m.maxEvents), hub.WithMaxBytes(m.maxBytes), hub.WithGapEvent(func(g hub.Gap) core.Event {
		reasons = append(reasons, g)
		e, _ := core.Event{Type: "gap"}.JSON(g)
		return e
	}))
	hub.SetStep(h, []int{1, 10, 1000}[rng.IntN(3)])
	epoch := strings.TrimSuffix(h.LastID(), "0")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	var readers []*modelReader
	begin := func(r modelReader, from hub.Position) {
		opts := []hub.SubscribeOption{hub.From(from)}
		if r.region != "" {
			opts = append(opts, only(r.region))
		}
		if r.state {
			opts = append(opts, stateOf("state"))
		}
		r.reader = read(t, h.SubscribeWith(ctx, r.names, opts...))
		r.oldest, r.fresh, r.begun, r.states = from == hub.Oldest, r.state && from == hub.Now, false, 0
		readers = append(readers, &r)
	}
	leave := func(i int) *modelReader {
		r := readers[i]
		r.stop()
		readers = slices.Delete(readers, i, i+1)
		return r
	}
	for step := range 1500 {
		what := rng.IntN(100)
		switch {
		case what < 55:
			e := modelEvent{topics: []string{topics[rng.IntN(len(topics))]}, Event: core.Event{Data: fmt.Sprint(step, strings.Repeat("-", rng.IntN(50)))}}
			if rng.IntN(3) == 0 {
				e.key = strconv.Itoa(rng.IntN(3))
			}
			var opts []hub.PublishOption
			if e.key != "" {
				opts = append(opts, hub.WithKey(e.key))
			}
			if rng.IntN(5) == 0 {
				e.topics = [][]string{{"a", "b"}, {"b", "a"}, {"a.x", "a.x.z", "b"}}[rng.IntN(3)]
				opts = append(opts, hub.WithTopics(e.topics[1:]...))
			}
			if e.region = []string{"", "eu", "us"}[rng.IntN(3)]; e.region != "" {
				opts = append(opts, in(e.region))
			}
			id, err := h.Publish(ctx, e.topics[0], e.Event, opts...)
			if err != nil {
				t.Fatal(err)
			}
			e.ID = id
			if want := epoch + strconv.Itoa(len(m.events)+1); id != want {
				t.Fatalf("step %d: got ID %q, want %q", step, id, want)
			}
			if e.size = frameSize(t, e.Event); e.region != "" {
				e.size += 48 + len("region") + len(e.region)
			}
			for i := range e.topics {
				if len(e.topics) > 1 {
					e.size += 48 + len(e.topics[i])
				}
			}
			m.publish(e)
			_ = h.Topics() // drops what exceeds the bounds, before a later event of its key replaces it
		case what < 62 && len(readers) < 8:
			some := make([]string, 0, 3)
			for range 1 + rng.IntN(3) {
				some = append(some, names[rng.IntN(len(names))])
			}
			slices.Sort(some)
			some = slices.Compact(some)
			r := modelReader{names: some, cursor: rng.IntN(len(m.events) + 1), region: []string{"", "", "eu"}[rng.IntN(3)], state: rng.IntN(3) == 0}
			switch rng.IntN(3) {
			case 0:
				r.cursor = len(m.events)
				begin(r, hub.Now)
			case 1:
				begin(r, hub.Oldest)
			default:
				begin(r, hub.After(epoch+strconv.Itoa(r.cursor)))
			}
		case len(readers) == 0:
		case what < 66:
			leave(rng.IntN(len(readers)))
		case what < 72: // resumes
			if r := leave(rng.IntN(len(readers))); r.begun {
				begin(*r, hub.After(epoch+strconv.Itoa(r.cursor)))
			}
		default:
			r := readers[rng.IntN(len(readers))]
			if !r.begun && r.oldest {
				r.cursor = m.dropped
			}
			through, lossy, event := m.next(r)
			switch {
			case r.state && (r.fresh || through > 0) && r.states == 3:
				if err := r.end(); !errors.Is(err, hub.ErrLagged) {
					t.Fatalf("step %d: got %v after some states, want %v", step, err, hub.ErrLagged)
				}
				leave(slices.Index(readers, r))
			case r.state && (r.fresh || through > 0):
				r.cursor, r.begun, r.fresh, r.oldest = len(m.events), true, false, false
				r.states++
				want := core.Event{ID: epoch + strconv.Itoa(r.cursor), Data: "state"}
				if got := r.event(); got != want {
					t.Fatalf("step %d: %v: got %+v, want %+v", step, r.names, got, want)
				}
			case through > 0:
				want := hub.Gap{Reason: hub.GapDropped, After: epoch + strconv.Itoa(r.cursor), Through: epoch + strconv.Itoa(through)}
				e := r.event()
				got := gapOf(t, e)
				if got.Reason != want.Reason || got.After != want.After || got.Through != want.Through {
					t.Fatalf("step %d: %v: got %+v, want %+v", step, r.names, got, want)
				}
				if got := reasons[len(reasons)-1].Topics; !slices.Equal(sorted(got), sorted(lossy)) {
					t.Fatalf("step %d: %v: got a gap in %v, want it in %v", step, r.names, got, lossy)
				}
				r.cursor, r.begun = through, true
			case event > 0:
				if got, want := r.event(), m.events[event-1].Event; got != want {
					t.Fatalf("step %d: %v after %d: got %+v, want %+v", step, r.names, r.cursor, got, want)
				}
				r.cursor, r.begun, r.states = event, true, 0
			}
		}
		if step%10 == 0 {
			m.compare(t, h, topics, names, readers)
		}
	}
	for len(readers) > 0 {
		leave(0)
	}
	m.compare(t, h, topics, names, nil)
}

// compare compares what the hub says of itself.
func (m *model) compare(t *testing.T, h *hub.Hub, topics, names []string, readers []*modelReader) {
	t.Helper()
	members := map[string]int{}
	for _, r := range readers {
		if r.begun {
			for _, name := range r.names {
				members[name]++
			}
		}
	}
	for _, name := range names {
		if got, want := h.Len(name), members[name]; got != want {
			t.Fatalf("got Len(%q) = %d, want %d", name, got, want)
		}
	}
	want := []string{}
	for _, topic := range append(topics, "none") {
		if members[topic] > 0 || slices.ContainsFunc(m.events, func(e modelEvent) bool { return slices.Contains(e.topics, topic) && e.state == "" }) {
			want = append(want, topic)
		}
	}
	if got := h.Topics(); !slices.Equal(got, sorted(want)) {
		t.Fatalf("got topics %v, want %v", got, sorted(want))
	}
}
