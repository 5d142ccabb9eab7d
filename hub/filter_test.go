package hub_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
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
		old := map[bool]string{true: "eu0 eu1 ", false: "GAP:dropped "}[h.Stats().Log != nil]
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

// A filter that does not return holds up neither publishers nor those without a filter. One whose stream
// has ended meanwhile is not asked any more, and one that comes meanwhile misses nothing.
func TestFilterThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New()
		release, calls := make(chan struct{}), 0
		waits := listenWith(t, h, "waits", []string{"a"}, hub.WithFilter(func(string, hub.Attributes) bool {
			<-release
			return true
		}))
		ctx, cancel := context.WithCancel(t.Context())
		leaves := listenTo(t, "leaves", h.SubscribeWith(ctx, []string{"a"}, hub.WithFilter(func(string, hub.Attributes) bool {
			calls++
			return true
		})))
		synctest.Wait()
		plain := listenWith(t, h, "plain", []string{"a"})
		publish(t, h, "a", "1")
		plain.want("1")
		cancel()
		leaves.want("END")
		comes := listenWith(t, h, "comes", []string{"a"}, only("eu"))
		publish(t, h, "a", "2", in("eu"))
		plain.want("2")
		close(release)
		waits.want("1 2")
		comes.want("2")
		if calls > 0 {
			t.Error("a filter was asked after the end of its stream")
		}
		publish(t, h, "a", "3", in("eu"))
		waits.want("3")
		comes.want("3")
	})
}

// More events than are asked about at once, and some that the hub has dropped before.
func TestFilterFallsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.WithMaxEvents(1000))
		busy := make(chan struct{}, 1)
		l := listenWith(t, h, "", []string{"a", "b"}, hub.WithFilter(func(_ string, a hub.Attributes) bool {
			if a["first"] != "" {
				busy <- struct{}{} // as no filter should do
				<-busy
			}
			return a["region"] == "eu"
		}))
		burst := func(topic string, n int, want string) {
			busy <- struct{}{}
			publish(t, h, topic, "us", hub.WithAttributes(hub.Attributes{"first": "yes"}))
			time.Sleep(time.Second) //nolint:forbidigo // in a bubble, until the filter is asked
			for range n {
				publish(t, h, topic, "us", in("us"))
			}
			publish(t, h, topic, "eu", in("eu"))
			<-busy
			l.want(want)
		}
		burst("a", 900, "eu")
		burst("b", 1100, "GAP:dropped eu")
		burst("a", 900, "eu")
	})
}

// A filter that panics or ends its goroutine ends its own stream and nothing else.
func TestFilterPanics(t *testing.T) {
	ssetest.NoLeaks(t)
	for _, tt := range []struct {
		name  string
		stop  func()
		value any // of the PanicError
	}{
		{"panic", func() { panic("boom") }, "boom"},
		{"Goexit", runtime.Goexit, nil},
	} {
		for name, opts := range map[string][]core.Option{"attached": nil, "detached": {core.WithDetach()}} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				h := hub.New()
				ends := make(chan core.Summary, 2)
				opts = append(opts, core.WithObserver(core.Observer{Closed: func(_ context.Context, end core.Summary) { ends <- end }}))
				url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
					return h.SubscribeWith(r.Context(), []string{"a"}, hub.WithFilter(func(_ string, a hub.Attributes) bool {
						if a["explode"] == r.URL.RawQuery {
							tt.stop()
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
					if !errors.As(end.Err, &panicked) || panicked.Value != tt.value {
						t.Errorf("got %v, want a PanicError with %v", end.Err, tt.value)
					}
				case <-time.After(patience):
					t.Fatal("the session has not ended")
				}
				publish(t, h, "a", "z")
				if got := summaries(other.Collect(3)); got != "x y z" {
					t.Errorf("the other got %s", got)
				}
			})
		}
	}
}

// Filters that end the goroutine that asks them keep nothing from the others: neither the event that
// they were asked about nor what comes after it, such as a gap in the log.
func TestFilterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l)
		exits := hub.WithFilter(func(_ string, a hub.Attributes) bool {
			if a["exit"] != "" {
				runtime.Goexit()
			}
			return true
		})
		var others []*listener
		for range 3 {
			others = append(others, listenWith(t, h, "other", []string{"a"}, only("eu")))
			listenWith(t, h, "exits", []string{"a"}, exits)
		}
		want := func(words string) {
			t.Helper()
			for _, l := range others {
				l.want(words)
			}
		}
		publish(t, h, "a", "1", hub.WithAttributes(hub.Attributes{"exit": "yes", "region": "eu"}))
		want("1")
		if got := h.Len("a"); got != len(others) {
			t.Errorf("got %d subscriptions, want %d whose filters return", got, len(others))
		}
		others = append(others, listenWith(t, h, "late", []string{"a"}, only("eu")))
		publish(t, h, "a", "2", in("us"))
		publish(t, h, "a", "3", in("eu"))
		want("3")
		l.Restart()
		want("GAP:dropped")
	})
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
