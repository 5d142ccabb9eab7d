package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/feed"
)

func publishTo(t *testing.T, h *Hub, topic string, opts ...PublishOption) {
	t.Helper()
	if _, err := h.Publish(t.Context(), topic, core.Event{}, opts...); err != nil {
		t.Fatal(err)
	}
}

// A refused event leaves nothing behind, not even its topic.
func TestRefusedEventMakesNoTopic(t *testing.T) {
	h := New(WithMaxBytes(100))
	for _, e := range []core.Event{{Type: "a\nb"}, {Data: strings.Repeat("x", 100)}} {
		if _, err := h.Publish(t.Context(), "a", e); err == nil {
			t.Errorf("%.20v was published", e)
		}
	}
	if len(h.topics) != 0 {
		t.Errorf("got %d topics, want none", len(h.topics))
	}
}

// A counter is a session that counts how often it is woken.
type counter struct {
	feed.Feed

	wakes int
}

func (c *counter) Wake() { c.wakes++ }

// An idle subscription is not woken for what its filter does not want, and asks about each event once.
func TestFilterWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, session, calls := New(), &counter{}, 0
		s := &subscription{hub: h, ctx: t.Context(), feed: session}
		s.filter = func(_ string, a Attributes) bool {
			calls++ // only one goroutine asks
			return a["region"] == "eu"
		}
		if err := s.join([]string{"a"}); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		next := func(want int) {
			t.Helper()
			var frames [][]byte
			if more, err := s.Next(&frames); more || err != nil || len(frames) != want {
				t.Errorf("got %d frames, %v, %v, want %d", len(frames), more, err, want)
			}
		}
		next(0)
		for range 10 {
			publishTo(t, h, "a", WithAttributes(Attributes{"region": "us"}))
			synctest.Wait()
		}
		if session.wakes != 0 || calls != 10 {
			t.Errorf("got %d wakes and %d calls for 10 events, want none and one for each", session.wakes, calls)
		}
		publishTo(t, h, "a", WithAttributes(Attributes{"region": "eu"}))
		synctest.Wait()
		if session.wakes != 1 {
			t.Errorf("got %d wakes for an event that it wants, want 1", session.wakes)
		}
		next(1)
	})
}

func (*counter) WakeToEnd() {}

// An unreadable log has one entry, and fails to return it.
type unreadable struct{ Log }

func (unreadable) Follow(ctx context.Context, _ string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if yield(Entry{ID: "1"}, nil) {
			<-ctx.Done()
		}
	}
}

func (unreadable) Range(context.Context, string, int) ([]Entry, error) {
	return nil, errors.New("unreadable")
}

func (unreadable) Compare(a, b string) (int, error) { return cmp.Compare(a, b), nil }

// A subscription without a goroutine that waits before it asks its log again does not wait on
// when it has to end. While it does not read the log, it has nothing to wait with, because that
// takes memory.
func TestPrepareIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(WithLog(unreadable{}))
		synctest.Wait()
		s := &subscription{hub: h, ctx: t.Context(), feed: new(counter), reach: &reach{at: "0", paging: true}}
		if err := s.join([]string{"a"}); err != nil {
			t.Fatal(err)
		}
		s.errand = &errand{next: errPage}
		begin := time.Now()
		time.AfterFunc(time.Millisecond, func() { h.Kick("a") })
		s.Prepare()
		if got, want := time.Since(begin), time.Millisecond; got != want || s.bell() != nil {
			t.Errorf("it waited for %v, want %v; is there still a bell: %t", got, want, s.bell() != nil)
		}
		s.Close()
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// After a gap in the log, nothing is held of what was before.
func TestGapForgets(t *testing.T) {
	h := New()
	h.ids = new(list[identity])
	h.follower = &follower{hub: h, ready: make(chan struct{})}
	h.newSource("*")
	h.newSource("a")
	h.follower.apply(Entry{ID: "1", Topic: "a", Keyed: true})
	h.follower.apply(Entry{ID: "2", Topic: "b"})
	held := func() []int {
		held := []int{h.bytes, h.order.live, h.ids.live, h.patterns["*"].records.live}
		for _, t := range h.topics {
			held = append(held, t.records.live, len(t.keys))
		}
		return held
	}
	if slices.Max(held()) == 0 {
		t.Fatal("nothing was held")
	}
	h.follower.apply(Entry{ID: "3", Gap: true})
	if got := held(); slices.Max(got) != 0 {
		t.Errorf("got %v of all that is held, want nothing", got)
	}
}

// A subscriber that a busy topic wakes again and again is in the list of its quiet topic
// only once.
func TestWaitsOnce(t *testing.T) {
	h := New()
	publishTo(t, h, "busy")
	next, stop := iter.Pull2(h.SubscribeFrom(t.Context(), Oldest, "busy", "quiet"))
	defer stop()
	for i := range 100 {
		if _, err, ok := next(); err != nil || !ok {
			t.Fatalf("event %d: got the error %v, or the end", i, err)
		}
		if got := len(h.topics["quiet"].waiting); got > 1 {
			t.Fatalf("after event %d: it is in the list %d times", i, got)
		}
		publishTo(t, h, "busy")
	}
}

// Some hosts reuse the memory of their strings for the next request.
func TestKeepsNames(t *testing.T) {
	h := New()
	memory := []byte("one")
	name := unsafe.String(unsafe.SliceData(memory), len(memory)) //nolint:gosec // as such a host does it
	pattern := []byte("one.*")
	wild := unsafe.String(unsafe.SliceData(pattern), len(pattern)) //nolint:gosec // likewise
	publishTo(t, h, name, WithKey(name))
	publishTo(t, h, "one.two")
	next, stop := iter.Pull2(h.SubscribeFrom(t.Context(), Oldest, wild))
	defer stop()
	if e, err, ok := next(); e.ID == "" || err != nil || !ok {
		t.Fatalf("got %+v, %v, %v, want an event", e, err, ok)
	}
	copy(memory, "xxx")
	copy(pattern, "xxxxx")
	publishTo(t, h, "one", WithKey("one"))

	if got, want := h.Topics(), []string{"one", "one.two"}; !slices.Equal(got, want) {
		t.Errorf("got topics %q, want %q", got, want)
	}
	if got, want := slices.Collect(maps.Keys(h.patterns)), []string{"one.*"}; !slices.Equal(got, want) {
		t.Errorf("got patterns %q, want %q", got, want)
	}
	if got := h.topics["one"]; got == nil || fmt.Sprint(got.keys) != "map[one:3]" || fmt.Sprint(got.keyOf) != "map[3:one]" {
		t.Errorf("got %+v, want the topic with one key, of its last event", got)
	}
}

// So it may with attributes and further topics.
func TestKeepsAttributes(t *testing.T) {
	h := New()
	memory := []byte("one")
	text := unsafe.String(unsafe.SliceData(memory), len(memory)) //nolint:gosec // as such a host does it
	option := WithAttributes(Attributes{text: text})
	publishTo(t, h, text, WithTopics("two"), option)
	publishTo(t, h, "two", WithTopics(text))
	copy(memory, "xxx")
	publishTo(t, h, "three", option)
	var got []string
	next, stop := iter.Pull2(h.SubscribeWith(t.Context(), []string{">"}, From(Oldest), WithFilter(func(topic string, a Attributes) bool {
		got = append(got, fmt.Sprint(topic, a))
		return topic == "three"
	})))
	defer stop()
	if e, err, ok := next(); e.ID != h.LastID() || err != nil || !ok {
		t.Fatalf("got %+v, %v, %v, want the last event", e, err, ok)
	}
	if want := []string{"onemap[one:one]", "twomap[]", "threemap[one:one]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := h.Topics(), []string{"one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("got topics %q, want %q", got, want)
	}
}

// What a page of a log holds besides its data counts for what is kept.
func TestPageBytes(t *testing.T) {
	r := newReader(nil)
	entry := Entry{Topic: "a", Topics: []string{strings.Repeat("x", 5000)}, Attributes: Attributes{"a": strings.Repeat("x", 7000)}}
	r.keep(&reading{answer: answer{entries: []Entry{entry}}})
	r.expiry.Stop()
	if least := 12_000; r.bytes < least {
		t.Errorf("got %d bytes, want at least %d", r.bytes, least)
	}
}

// A hook's context does not end when its client leaves, so that the hook can publish.
func TestHooksContextGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var errs []error
	note := func(ctx context.Context, _ string) {
		cancel()
		errs = append(errs, ctx.Err())
	}
	h := New(WithJoin(note), WithLeave(note))
	for e, err := range h.Subscribe(ctx, "a") {
		t.Errorf("got %v and %v after the end of the context", e, err)
	}
	if want := []error{nil, nil}; !slices.Equal(errs, want) {
		t.Errorf("got %v, want %v", errs, want)
	}
}

// A leave hook that panics for one topic is still called for the others.
func TestLeaveHookPanics(t *testing.T) {
	var left []string
	h := New(WithLeave(func(_ context.Context, topic string) {
		left = append(left, topic)
		if topic == "a" {
			panic(topic)
		}
	}))
	publishTo(t, h, "b")
	func() {
		defer func() {
			if got := recover(); got != "a" {
				t.Errorf("got the panic %v, want the hook's", got)
			}
		}()
		for _, err := range h.SubscribeFrom(t.Context(), Oldest, "a", "b", "c", "a") {
			if err != nil {
				t.Error(err)
			}
			break
		}
	}()
	if want := []string{"a", "b", "c"}; !slices.Equal(left, want) {
		t.Errorf("got leaves %q, want %q", left, want)
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// The names are those of the call, even if the slice changes later, and their number is
// bounded.
func TestNames(t *testing.T) {
	h := New()
	publishTo(t, h, "a")
	names := []string{"a"}
	s := h.SubscribeFrom(t.Context(), Oldest, names...)
	names[0] = "b..\n"
	for _, err := range s {
		if err != nil {
			t.Error(err)
		}
		if got := h.Len("a"); got != 1 {
			t.Errorf("got %d subscriptions to a, want 1", got)
		}
		break
	}
	many := slices.Repeat([]string{"a"}, maxNames+1)
	if err := Check(many[:maxNames]...); err != nil {
		t.Error(err)
	}
	if err := Check(many...); err == nil || !strings.Contains(err.Error(), "a pattern") {
		t.Errorf("got %v for %d names, want what to do instead", err, len(many))
	}
	for name, want := range map[string]bool{"a": true, "a.b": true, "*": false, "a.>": false, "": false} {
		if err := CheckTopic(name); (err == nil) != want {
			t.Errorf("CheckTopic(%q): got %v", name, err)
		}
	}
}

// A field more costs each of a million idle subscriptions the rest of the next size class of Go's
// allocator.
func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(subscription{}); got > 224 {
		t.Errorf("a subscription has %d bytes, want at most 224", got)
	}
	if got := unsafe.Sizeof(reach{}); got > 48 {
		t.Errorf("a reach has %d bytes, want at most 48", got)
	}
}
