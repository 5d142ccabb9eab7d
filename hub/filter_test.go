package hub_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"

	"net/http"
)

// in are the attributes of an event in a region.
func in(region string) hub.PublishOption {
	return hub.WithAttributes(hub.Attributes{"region": region})
}

// only keeps the events of a region.
func only(region string) hub.SubscribeOption {
	return hub.WithFilter(func(_ string, a hub.Attributes) bool { return a["region"] == region })
}

// A filter decides by the topic and the attributes, for old events and new ones, in memory and in
// pages of a log.
func TestFilter(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open(hub.WithMaxEvents(4))
		begin := h.LastID()
		for i := range 4 {
			publish(t, h, "a", "eu"+strconv.Itoa(i), in("eu"))
			publish(t, h, "a.b", "us"+strconv.Itoa(i), in("us"))
		}
		synctest.Wait()
		topic := hub.WithFilter(func(topic string, _ hub.Attributes) bool { return topic == "a.b" })
		from := hub.From(hub.After(begin))
		old := map[bool]string{true: "eu0 eu1 ", false: "GAP:dropped "}[h.FollowStats().Events > 0]
		byRegion := listenWith(t, h, "by region", []string{"a", "a.>"}, only("eu"), from)
		byRegion.want(old + "eu2 eu3")
		byTopic := listenWith(t, h, "by topic", []string{">"}, topic, from)
		byTopic.want(strings.ReplaceAll(old, "eu", "us") + "us2 us3")
		none := listenWith(t, h, "none", []string{"a"}, hub.WithFilter(func(string, hub.Attributes) bool { return false }))
		publish(t, h, "a", "eu4", in("eu"))
		publish(t, h, "a", "plain")
		publish(t, h, "a.b", "us4", in("us"))
		byRegion.want("eu4")
		byTopic.want("us4")
		none.want("")
	})
}

// A client that does not want what the hub drops is not told of a gap, however much it is.
func TestFilterIsNotOvertaken(t *testing.T) {
	overKinds(t, func(t *testing.T, open func(...hub.Option) (*hub.Hub, func() *hub.Hub)) {
		h, _ := open(hub.WithMaxEvents(3))
		l := listenWith(t, h, "", []string{"a", "*"}, only("eu"))
		for i := range 100 {
			publish(t, h, "a", "us", in("us"))
			synctest.Wait()
			if i%10 == 9 {
				publish(t, h, []string{"a", "b"}[i/10%2], strconv.Itoa(i), in("eu"))
				l.want(strconv.Itoa(i))
			}
		}
	})
}

// An idle subscription is not woken for what it does not want.
func TestFilterWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New()
		calls := 0
		l := listenWith(t, h, "", []string{"a"}, hub.WithFilter(func(_ string, a hub.Attributes) bool {
			calls++ // only this goroutine publishes
			return a["region"] == "eu"
		}))
		for range 10 {
			publish(t, h, "a", "us", in("us"))
		}
		if calls != 10 {
			t.Errorf("got %d calls for 10 events, want one for each", calls)
		}
		l.want("")
		publish(t, h, "a", "eu", in("eu"))
		l.want("eu")
	})
}

// A filter that panics ends its own stream and nothing else.
func TestFilterPanics(t *testing.T) {
	ssetest.NoLeaks(t)
	for _, opts := range [][]core.Option{nil, {core.WithDetach()}} {
		h := hub.New()
		ends := make(chan core.Summary, 2)
		opts = append(opts, core.WithObserver(core.Observer{Closed: func(_ context.Context, end core.Summary) { ends <- end }}))
		url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return h.SubscribeWith(r.Context(), []string{"a"}, hub.WithFilter(func(_ string, a hub.Attributes) bool {
				if a["explode"] == r.URL.RawQuery {
					panic("boom")
				}
				return true
			}))
		}, opts...))
		one, other := ssetest.Open(t, url+"?1"), ssetest.Open(t, url+"?2")
		hosttest.Eventually(t, "both are subscribed", func() bool { return h.Len("a") == 2 })
		publish(t, h, "a", "x")
		one.Next()
		publish(t, h, "a", "y", hub.WithAttributes(hub.Attributes{"explode": "1"}))
		if rest, err := one.Rest(); err == nil || len(rest) > 0 {
			t.Errorf("got %v, %v, want a broken response", rest, err)
		}
		select {
		case end := <-ends:
			var panicked *core.PanicError
			if !errors.As(end.Err, &panicked) || panicked.Value != "boom" {
				t.Errorf("got %v, want the panic", end.Err)
			}
		case <-time.After(patience):
			t.Fatal("the session has not ended")
		}
		publish(t, h, "a", "z")
		if got := summaries(other.Collect(3)); got != "x y z" {
			t.Errorf("the other got %s", got)
		}
	}
}

// Many publish at once: nobody loses an event that it wants, and
// gets none that it does not want.
func TestFilterStorm(t *testing.T) {
	ssetest.NoLeaks(t)
	const publishers, subscribers, events = 3, 6, 2_000
	h := hub.New(hub.WithMaxEvents(0))
	hub.SetStep(h, 50) //nolint:mnd // many steps
	ctx := soon(t)
	regions := []string{"eu", "us", "asia"}
	var publishing, reading, ready sync.WaitGroup
	ready.Add(subscribers)
	for i := range subscribers {
		reading.Go(func() {
			region, got := regions[i%len(regions)], 0
			begun := false
			for e, err := range h.SubscribeWith(ctx, []string{"*", "a"}, only(region)) {
				if err != nil || !strings.HasPrefix(e.Data, region) {
					t.Errorf("got %+v, %v", e, err)
					return
				}
				if !begun {
					begun = true
					ready.Done()
				} else if e.Data == region+" begin" {
					continue
				} else if got++; got == publishers*events {
					return
				}
			}
			t.Errorf("%s: got %d events, want %d", region, got, publishers*events)
		})
	}
	done := make(chan struct{})
	go func() { ready.Wait(); close(done) }()
	for begun := false; !begun; {
		for _, region := range regions {
			publish(t, h, "a", region+" begin", in(region))
		}
		select {
		case <-done:
			begun = true
		case <-time.After(time.Millisecond):
		}
	}
	for range publishers {
		publishing.Go(func() {
			for i := range len(regions) * events {
				region := regions[i%len(regions)]
				publish(t, h, []string{"a", "b"}[i%2], region+strconv.Itoa(i), in(region))
			}
		})
	}
	publishing.Wait()
	reading.Wait()
}

// Attributes that a log could not keep are refused.
func TestAttributesRefused(t *testing.T) {
	h := hub.New(hub.WithMaxBytes(1000))
	for name, a := range map[string]hub.Attributes{
		"not UTF-8":      {"a": "\xff"},
		"a long one":     {"a": strings.Repeat("x", 5000)},
		"more than fits": {"a": strings.Repeat("x", 1000)},
	} {
		if id, err := h.Publish(t.Context(), "a", core.Event{}, hub.WithAttributes(a)); err == nil {
			t.Errorf("%s: got %s, want an error", name, id)
		}
	}
	a := hub.Attributes{"region": "eu"}
	opt := hub.WithAttributes(a)
	a["region"] = "us" // too late
	if _, err := h.Publish(t.Context(), "a", core.Event{Data: "1"}, opt); err != nil {
		t.Error(err)
	}
	read(t, h.SubscribeWith(soon(t), []string{"a"}, only("eu"), hub.From(hub.Oldest))).want("1")
}

// Attributes count for the bound by bytes.
func TestAttributesCount(t *testing.T) {
	h := hub.New(hub.WithMaxBytes(10_000))
	for range 100 {
		publish(t, h, "a", "x", hub.WithAttributes(hub.Attributes{"a": strings.Repeat("x", 900)}))
	}
	n := 0
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	for e, err := range h.SubscribeFrom(ctx, hub.Oldest, "a") {
		if n++; err != nil || e.ID == h.LastID() {
			break
		}
	}
	if n < 5 || n > 12 {
		t.Errorf("got %d events of 1 KB in 10 KB", n)
	}
}

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
		for _, wrong := range []string{"", "a.*", "two\nlines"} {
			if _, err := h.Publish(t.Context(), "a", core.Event{}, hub.WithTopics("b", wrong)); err == nil {
				t.Errorf("%q: got no error", wrong)
			}
		}
		filtered := listenWith(t, h, "filtered", []string{"user.5"}, hub.WithFilter(func(topic string, _ hub.Attributes) bool {
			return topic == "order.1"
		}), hub.From(hub.After(begin)))
		filtered.want("paid")
	})
}

// Keys, idempotency and bounds see an event of several topics as one.
func TestSeveralTopicsAreOneEvent(t *testing.T) {
	h := hub.New(hub.WithMaxEvents(3))
	both := hub.WithTopics("b")
	publish(t, h, "a", "1", hub.WithKey("k"))
	publish(t, h, "a", "2", hub.WithKey("k"), both)
	publish(t, h, "a", "3", hub.WithKey("k"), both)
	first := publish(t, h, "a", "4", hub.WithIdempotencyKey("once"), both)
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
		if got := h.FollowStats().Skipped; got != 1 {
			t.Errorf("got %d skipped entries, want 1", got)
		}
	})
}
