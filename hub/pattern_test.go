package hub_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

func TestPatterns(t *testing.T) {
	topics := []string{"a", "b", "a.b", "a.c", "b.b", "a.b.c", "a.b.c.d", "x.b.c", "a.x.c"}
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"a", []string{"a"}},
		{"a.b", []string{"a.b"}},
		{"*", []string{"a", "b"}},
		{">", topics},
		{"a.*", []string{"a.b", "a.c"}},
		{"*.b", []string{"a.b", "b.b"}},
		{"*.*", []string{"a.b", "a.c", "b.b"}},
		{"a.>", []string{"a.b", "a.c", "a.b.c", "a.b.c.d", "a.x.c"}},
		{"a.b.>", []string{"a.b.c", "a.b.c.d"}},
		{"*.b.>", []string{"a.b.c", "a.b.c.d", "x.b.c"}},
		{"a.*.c", []string{"a.b.c", "a.x.c"}},
		{"*.*.>", []string{"a.b.c", "a.b.c.d", "x.b.c", "a.x.c"}},
		{"*.>", []string{"a.b", "a.c", "b.b", "a.b.c", "a.b.c.d", "x.b.c", "a.x.c"}},
		{"a.*.*.d", []string{"a.b.c.d"}},
		{"b.>", []string{"b.b"}},
		{"c.>", nil},
		{"*.*.*.*.*", nil},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			var h hub.Hub
			ctx := soon(t)
			begin := h.LastID()
			check := func(what string, r *reader) {
				t.Helper()
				var got []string
				for {
					e := r.event()
					if e.Data == "END" {
						break
					}
					got = append(got, e.Data)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %v, want %v", what, got, tt.want)
				}
			}
			live := read(t, h.Subscribe(ctx, tt.pattern, "the.last.one.of.all"))
			for _, topic := range topics {
				publish(t, &h, topic, topic)
			}
			publish(t, &h, "the.last.one.of.all", "END")
			check("live", live)
			again := read(t, h.SubscribeFrom(ctx, hub.After(begin), tt.pattern, "the.last.one.of.all"))
			check("resumed, next to another", again)
			live.stop()
			again.stop()
			if got := h.Len(tt.pattern); got != 0 {
				t.Errorf("got Len %d, want 0", got)
			}
			check("resumed, alone", read(t, h.SubscribeFrom(ctx, hub.After(begin), tt.pattern, "the.last.one.of.all")))
		})
	}
}

// Several names that match one topic deliver its events once.
func TestOverlappingPatterns(t *testing.T) {
	var h hub.Hub
	ctx := soon(t)
	r := read(t, h.SubscribeFrom(ctx, hub.Oldest, "a.b", "a.*", "a.b", "*.b", ">", "a.>", "*.*"))
	publish(t, &h, "a.b", "1")
	r.want("1")
	publish(t, &h, "x", "2")
	publish(t, &h, "a.b", "3")
	publish(t, &h, "a.c", "4")
	r.want("2 3 4")
	if got := h.Len("a.b"); got != 1 {
		t.Errorf("got Len %d of a name that was given twice, want 1", got)
	}
	read(t, h.SubscribeFrom(ctx, hub.After(idOf(&h, 1)), ">", "a.*", "a.b")).want("2 3 4")
}

// A client of a pattern gets the history of its topics, however young the pattern is,
// and whoever subscribed to it first.
func TestHistoryOfPattern(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(5))
	ctx := soon(t)
	begin := h.LastID()
	publishAll(t, h, "a.x", "1 2")
	publish(t, h, "b.x", "3")
	publish(t, h, "a.y", "4")
	publish(t, h, "a.y", "old", hub.WithKey("k"))

	young := read(t, h.Subscribe(ctx, "a.*"))
	publish(t, h, "a.z", "new", hub.WithKey("k"))
	young.want("new") // this makes the pattern; 1 was dropped
	read(t, h.SubscribeFrom(ctx, hub.After(idOf(h, 3)), "a.*")).want("4 old new")
	read(t, h.SubscribeFrom(ctx, hub.After(idOf(h, 1)), "a.*")).want("2 4 old new")
	read(t, h.SubscribeFrom(ctx, hub.Oldest, "a.*")).want("2 4 old new")
	read(t, h.SubscribeFrom(ctx, hub.After(begin), "a.*")).want("GAP:dropped 2 4 old new")
	read(t, h.SubscribeFrom(ctx, hub.After(begin), "b.*")).want("3")
	publish(t, h, "a.y", "k2", hub.WithKey("k"))
	young.want("k2")
	read(t, h.SubscribeFrom(ctx, hub.After(idOf(h, 3)), "a.*")).want("4 new k2")
	read(t, h.SubscribeFrom(ctx, hub.After(hub.New().LastID()), "a.*")).want("GAP:restarted 2 4 new k2")
}

// A pattern has a gap only if one of its topics has lost something.
func TestGapOfPattern(t *testing.T) {
	var gaps []hub.Gap
	h := hub.New(hub.WithMaxEvents(2), hub.WithGapEvent(func(g hub.Gap) core.Event {
		gaps = append(gaps, g)
		return core.Event{Data: "GAP"}
	}))
	ctx := soon(t)
	begin := h.LastID()
	for i, topic := range []string{"a.x", "b.x", "a.y", "b.y", "a.z"} { // which keeps b.y and a.z
		publish(t, h, topic, fmt.Sprint(i+1))
	}
	for _, tt := range []struct {
		after   int
		names   []string
		want    string
		through int
		topics  []string
	}{
		{0, []string{"a.*"}, "GAP 5", 3, []string{"a.*"}},
		{0, []string{"b.*"}, "GAP 4", 2, []string{"b.*"}},
		{1, []string{"a.*"}, "GAP 5", 3, []string{"a.*"}},
		{3, []string{"a.*"}, "5", 0, nil},
		{2, []string{"b.*"}, "4", 0, nil},
		{0, []string{"*.z", "c.>"}, "5", 0, nil},
		{0, []string{"a.*", "b.*"}, "GAP 4 5", 3, []string{"a.*", "b.*"}},
		{2, []string{"a.*", "b.*"}, "GAP 4 5", 3, []string{"a.*"}},
		{1, []string{"b.x", "*.y", "a.z"}, "GAP 4 5", 3, []string{"b.x", "*.y"}},
	} {
		gaps = nil
		from := begin
		if tt.after > 0 {
			from = idOf(h, tt.after)
		}
		r := read(t, h.SubscribeFrom(ctx, hub.After(from), tt.names...))
		r.want(tt.want)
		r.stop()
		switch {
		case tt.through == 0:
		case len(gaps) != 1 || gaps[0].Through != idOf(h, tt.through) || gaps[0].After != from || !slices.Equal(gaps[0].Topics, tt.topics):
			t.Errorf("%v after %d: got gaps %+v, want one through %d in %v", tt.names, tt.after, gaps, tt.through, tt.topics)
		}
	}
}

// A client that has missed nothing is not told of a gap because another client of the
// same pattern comes back from long ago.
func TestGapIsNotForOthers(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(10))
	begin := h.LastID()
	publish(t, h, "a.b", "1")
	r := read(t, h.Subscribe(soon(t), "a.*"))
	publish(t, h, "a.b", "2")
	r.want("2")
	for i := range 20_000 { // more topics than are remembered
		publish(t, h, fmt.Sprint("other", i), "")
	}
	old := read(t, h.SubscribeFrom(soon(t), hub.After(begin), "a.*"))
	old.event()
	publish(t, h, "a.b", "3")
	r.want("3")
}

// A forgotten topic may yield a gap where there was none, but not if the client has seen
// its last event.
func TestGapOfForgottenTopic(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(10))
	ctx := soon(t)
	begin := publish(t, h, "a", "1")
	publish(t, h, "a", "2")
	for i := range 1_000 {
		publish(t, h, fmt.Sprint("some", i), "")
	}
	quiet := read(t, h.SubscribeFrom(ctx, hub.After(idOf(h, 2)), "a", "some0.*"))
	publish(t, h, "a", "3")
	quiet.want("3")
	quiet.stop()
	for i := range 20_000 {
		publish(t, h, fmt.Sprint("other", i), "")
	}
	publish(t, h, "a", "4")
	for _, name := range []string{"a", "*"} {
		r := read(t, h.SubscribeFrom(ctx, hub.After(begin), name))
		gapOf(t, r.event())
		r.stop()
	}
	late := h.LastID()
	publish(t, h, "a", "5")
	read(t, h.SubscribeFrom(ctx, hub.After(late), "a")).want("5")
}
