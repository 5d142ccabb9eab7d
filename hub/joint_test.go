package hub_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// An event of several topics is one event.
func TestSeveralTopics(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open()
		begin := h.LastID()
		names := [][]string{{"order.1"}, {"user.5"}, {"order.1", "user.5"}, {"user.*"}, {">", "user.5"}, {"other"}}
		var live []*listener
		for _, some := range names {
			live = append(live, listenWith(t, h, strings.Join(some, " "), some))
		}
		id := publish(t, h, "order.1", "paid", hub.WithTopics("user.5", "order.1", "user.5"))
		publish(t, h, "user.5", "plain")
		want := []string{"paid", "paid plain", "paid plain", "paid plain", "paid plain", ""}
		for i, l := range live {
			l.want(want[i])
			listenWith(t, h, "later, "+l.name, names[i], hub.From(hub.After(begin))).want(want[i])
		}
		if topic, err := h.TopicOf(t.Context(), id); err != nil || topic != "order.1" {
			t.Errorf("got topic %q, %v, want order.1", topic, err)
		}
		filtered := func(name string) *listener {
			return listenWith(t, h, name+" first", []string{">"}, hub.WithFilter(func(topic string, _ hub.Attributes) bool {
				return topic == name
			}))
		}
		first, second := filtered("x"), filtered("y")
		publish(t, h, "x", "1", hub.WithTopics("y"))
		publish(t, h, "y", "2", hub.WithTopics("x"), in("eu"))
		first.want("1")
		second.want("2")
		for _, wrong := range []string{"", "a.*", "two\nlines"} {
			if _, err := h.Publish(t.Context(), "a", core.Event{}, hub.WithTopics("b", wrong)); err == nil {
				t.Errorf("%q: got no error", wrong)
			}
		}
		listenWith(t, h, "filtered", []string{"user.5"}, hub.WithFilter(func(topic string, _ hub.Attributes) bool {
			return topic == "order.1"
		}), hub.From(hub.After(begin))).want("paid")
	})
}

// Keys, idempotency and bounds see an event of several topics as one.
func TestSeveralTopicsAreOneEvent(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(3))
	both := hub.WithTopics("b")
	publish(t, h, "a", "1", hub.WithKey("k"))
	publish(t, h, "a", "2", hub.WithKey("k"), both)
	publish(t, h, "b", "3", hub.WithKey("k"), hub.WithTopics("a")) // the same topics in another order
	first := publish(t, h, "a", "4", hub.WithIdempotencyKey("once"), both)
	if again := publish(t, h, "b", "4", hub.WithIdempotencyKey("once"), hub.WithTopics("a")); again != first {
		t.Errorf("got %s for the topics in another order, want %s", again, first)
	}
	if again := publish(t, h, "a", "4", hub.WithIdempotencyKey("once"), both); again != first {
		t.Errorf("got %s the second time, want %s", again, first)
	}
	all := func(topic string) string {
		ctx, cancel := context.WithCancel(soon(t))
		defer cancel()
		var words []string
		for e, err := range h.SubscribeFrom(ctx, hub.Oldest, topic) {
			if err != nil {
				t.Fatal(err)
			}
			if words = append(words, summary(e)); e.ID == h.LastID() {
				break
			}
		}
		return strings.Join(words, " ")
	}
	for topic, want := range map[string]string{"a": "1 3 4", "b": "3 4"} {
		if got := all(topic); got != want {
			t.Errorf("%s: got %s, want %s", topic, got, want)
		}
	}
	r := read(t, h.SubscribeFrom(soon(t), hub.After(idOf(h, 0)), "b"))
	publish(t, h, "b", "5", hub.WithIdempotencyKey("once")) // of b alone
	if got := all("b"); got != "3 4 5" {
		t.Errorf("got %s, want 3 4 5", got)
	}
	publishAll(t, h, "c", "6 7")
	if got, want := strings.Join(h.Topics(), " "), "b c"; got != want {
		t.Errorf("got topics %s, want %s", got, want)
	}
	r.want("GAP:dropped 5")
}

// The topics of an event are few, and their names count for the bound by bytes.
func TestSeveralTopicsAreBounded(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open(hub.WithMaxBytes(10_000))
		var names []string
		for i := range 16 {
			names = append(names, strings.Repeat("x", 200)+strconv.Itoa(i))
		}
		if _, err := h.Publish(t.Context(), "a", core.Event{}, hub.WithTopics(names...)); err == nil || !strings.Contains(err.Error(), "17 topics are too many") {
			t.Errorf("got %v for 17 topics, want an error", err)
		}
		if _, err := h.Publish(t.Context(), "a", core.Event{Data: strings.Repeat("x", 7000)}, hub.WithTopics(names[:15]...)); err == nil {
			t.Error("got no error for an event that is larger than the hub")
		}
		begin := h.LastID()
		for i := range 10 {
			publish(t, h, "a", strconv.Itoa(i), hub.WithTopics(names[:15]...)) // of 4 KB each
		}
		synctest.Wait()
		if h.Stats().Log != nil {
			return // the log has all of them
		}
		listenWith(t, h, "", []string{"a"}, hub.From(hub.After(begin))).want("GAP:dropped 8 9")
	})
}

// A joint does not outlive its events, and neither do topics.
func TestSeveralTopicsMemory(t *testing.T) {
	skipUnderRace(t)
	h := hub.New(hub.WithMaxEvents(100), hub.WithMaxBytes(0))
	many := func(from, n int) {
		for i := range n {
			name := strconv.Itoa(from + i)
			publish(t, h, "a."+name, "x", hub.WithTopics("b."+name, "c"), hub.WithKey("k"), in(name))
		}
	}
	many(0, 20_000)
	before := heap()
	many(20_000, 60_000)
	if got, most := heap()-before, 4<<20; got > most {
		t.Errorf("60,000 forgotten events of several topics hold %d bytes, want at most %d", got, most)
	}
}

// Entries of other programs may have topics that are wrong.
func TestSeveralTopicsFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l, hub.WithMaxEvents(2))
		begin := h.LastID()
		c := listen(t, h, hub.Now, "a", "b")
		for _, more := range [][]string{{"a", "b", "b"}, {"a.*"}, {"b"}} {
			if _, err := l.Append(t.Context(), hub.Entry{Topic: "a", Topics: more, Event: core.Event{Data: strings.Join(more, "")}}); err != nil {
				t.Fatal(err)
			}
		}
		c.want("abb b")
		publishAll(t, h, "c", "1 2 3")
		synctest.Wait()
		listen(t, h, hub.After(begin), "b").want("abb b")
		if got := h.Stats().Log.Skipped; got != 1 {
			t.Errorf("got %d skipped entries, want 1", got)
		}
	})
}
