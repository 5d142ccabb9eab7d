package hub_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// ways are the ways in which a subscription reaches its client: its frames as they
// are or its events decoded by a generator, in a handler or detached.
var ways = map[string]string{
	"forwarded": "", "decoded": "&decode", "detached": "&detach", "decoded and detached": "&decode&detach",
}

// A hub has published 1 to 5 to topic a, and holds 3, 4 and 5. A client resumes with
// an ID, and then gets the live event 6.
func TestResume(t *testing.T) {
	other := hub.New()
	tests := []struct {
		name, id, from string
		want           string
		gap            hub.Gap // with numbers in place of IDs
	}{
		{name: "new", want: "6"},
		{name: "new, from the oldest", from: oldest, want: "3 4 5 6"},
		{name: "new, from an ID", from: "%4", want: "5 6"},
		{name: "new, from an ID that fell off", from: "%1", want: "GAP:dropped 3 4 5 6", gap: hub.Gap{After: "%1", Through: "%2"}},
		{name: "the newest", id: "%5", want: "6"},
		{name: "the newest, although it would begin with the oldest", id: "%5", from: oldest, want: "6"},
		{name: "the header goes before another ID", id: "%4", from: "%3", want: "5 6"},
		{name: "one that is held", id: "%3", want: "4 5 6"},
		{name: "the last that fell off", id: "%2", want: "3 4 5 6"},
		{name: "one that fell off", id: "%1", want: "GAP:dropped 3 4 5 6", gap: hub.Gap{After: "%1", Through: "%2"}},
		{name: "the hub's beginning", id: "%0", want: "GAP:dropped 3 4 5 6", gap: hub.Gap{After: "%0", Through: "%2"}},
		{name: "of an earlier process", id: other.LastID(), want: "GAP:restarted 3 4 5 6", gap: hub.Gap{Through: "%2"}},
		{
			name: "of an earlier process, and another ID", id: other.LastID(), from: "%4",
			want: "GAP:restarted 3 4 5 6", gap: hub.Gap{Through: "%2"},
		},
		{name: "new, from an ID of an earlier process", from: other.LastID(), want: "GAP:restarted 3 4 5 6", gap: hub.Gap{After: other.LastID(), Through: "%2"}},
		{name: "beyond the newest", id: "%6", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "far beyond the newest", id: "%18446744073709551615", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "rubbish", id: "rubbish", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "rubbish that is no ASCII", id: "na\u00efve-5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "a number", id: "5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "no number", id: "%", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "a leading zero", id: "%05", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "a sign", id: "%+5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "more after it", id: "%5-5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "beyond 64 bits", id: "%18446744073709551616", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "an epoch that is too short", id: "abc-5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "an epoch in capitals", id: "ABCDEFGH-5", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "a number of an earlier process that is none", id: "abcdefgh-x", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
		{name: "rubbish, from the oldest", id: "rubbish", from: oldest, want: "GAP:unknown 3 4 5 6", gap: hub.Gap{Through: "%2"}},
		{name: "rubbish, from an ID", id: "rubbish", from: "%4", want: "GAP:unknown 5 6", gap: hub.Gap{Through: "%4"}},
		{name: "new, from a pattern", from: "*", want: "GAP:unknown 6", gap: hub.Gap{After: "*", Through: "%5"}},
		{name: "a pattern", id: "*", want: "GAP:unknown 6", gap: hub.Gap{Through: "%5"}},
	}
	for _, tt := range tests {
		for way, query := range ways {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				h := hub.New(hub.WithMaxEvents(3))
				publishAll(t, h, "a", "1 2 3 4 5")
				epoch := strings.TrimSuffix(h.LastID(), "5")
				full := func(id string) string { return strings.Replace(id, "%", epoch, 1) }
				header := http.Header{}
				if tt.id != "" {
					header.Set("Last-Event-ID", full(tt.id))
				}
				s := ssetest.Request{URL: serve(t, h) + "topic=a" + query + "&from=" + full(tt.from), Header: header}.Open(t)

				old := strings.Fields(strings.TrimSuffix(tt.want, "6"))
				if len(old) > 0 && strings.HasPrefix(old[0], "GAP:") {
					want := hub.Gap{Reason: hub.GapReason(old[0][4:]), After: full(tt.gap.After), Through: full(tt.gap.Through)}
					if want.After == "" {
						want.After = full(tt.id)
					}
					got := gapOf(t, s.Next())
					if got.Reason != want.Reason || got.After != want.After || got.Through != want.Through {
						t.Errorf("got %+v, want %+v", got, want)
					}
					s.Resume() // must not be told again
					old = old[1:]
				}
				if got, want := summaries(s.Collect(len(old))), strings.Join(old, " "); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				publish(t, h, "a", "6")
				if got := summary(s.Next()); got != "6" {
					t.Errorf("got %q, want the live event, 6", got)
				}
				hosttest.Eventually(t, "it is subscribed", func() bool { return h.Len("a") > 0 })
				s.Resume() // after the newest ID, nothing old may come
				publish(t, h, "a", "7")
				if got := s.Next().Data; got != "7" {
					t.Errorf("got %q after a resumption with the newest ID, want the next live event, 7", got)
				}
			})
		}
	}
}

// A client that resumes after each event gets the same as one that stays.
func TestResumeAfterEachEvent(t *testing.T) {
	const words = "1 2 3 4 5 6 7 8 9"
	for way, query := range ways {
		t.Run(way, func(t *testing.T) {
			var h hub.Hub
			s := ssetest.Open(t, serve(t, &h)+"topic=a&topic=b.*"+query)
			for i, word := range strings.Fields(words) {
				publish(t, &h, []string{"a", "b.c", "other"}[i%3], word)
			}
			var got []core.Event
			for range 6 {
				got = append(got, s.Next())
				s.Resume()
			}
			if got, want := summaries(got), "1 2 4 5 7 8"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			publish(t, &h, "a", "live")
			if got, want := s.Next().Data, "live"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// An event that is published between the call of Subscribe and the stream's run is not lost.
func TestSubscribeIsFromTheCallOn(t *testing.T) {
	var h hub.Hub
	publish(t, &h, "a", "before")
	s := h.Subscribe(soon(t), "a", "p.*")
	publish(t, &h, "a", "1")
	publish(t, &h, "p.q", "2")
	if got := h.Len("a"); got != 0 {
		t.Errorf("got Len %d before the stream runs, want 0", got)
	}
	read(t, s).want("1 2")
}

// A page shows the state as of LastID, and continues from there.
func TestLastID(t *testing.T) {
	var h hub.Hub
	begin := h.LastID()
	if got := number(t, begin); got != 0 {
		t.Errorf("got number %d of a new hub's LastID, want 0", got)
	}
	if got := publish(t, &h, "a", "1"); got != h.LastID() {
		t.Errorf("got ID %q of the last event, want LastID, %q", got, h.LastID())
	}
	id := h.LastID()
	publish(t, &h, "b", "2")
	publish(t, &h, "a", "3")
	read(t, h.SubscribeFrom(soon(t), hub.After(begin), "a")).want("1 3")
	read(t, h.SubscribeFrom(soon(t), hub.After(id), "a", "b")).want("2 3")
	if h.LastID()[:9] != begin[:9] {
		t.Errorf("the epoch has changed from %q to %q", begin, h.LastID())
	}
	if other := hub.New().LastID(); other == begin {
		t.Errorf("another hub has the same epoch: %q", other)
	}
	if id := h.LastID(); strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") != "" || len(id) > 29 {
		t.Errorf("ID %q needs a preflight", id)
	}
}

// A stream may run several times, one after the other and at once. Each run begins at the
// time of the call.
func TestStreamRunsAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		from hub.Position
		want string
	}{
		{"now", hub.Now, "1 2"},
		{"oldest", hub.Oldest, "0 1 2"},
		{"gap", hub.After("rubbish"), "GAP:unknown 1 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h hub.Hub
			publish(t, &h, "a", "0")
			s := h.SubscribeFrom(soon(t), tt.from, "a", "*")
			publishAll(t, &h, "a", "1 2")
			first, second := read(t, s), read(t, s)
			for range strings.FieldsSeq(tt.want) {
				if a, b := first.event(), second.event(); a != b {
					t.Errorf("got %+v and %+v of two runs at once", a, b)
				}
			}
			if got := h.Len("a"); got != 2 {
				t.Errorf("got Len %d, want 2", got)
			}
			first.stop()
			third := read(t, s)
			third.want(tt.want)
			publish(t, &h, "a", "3")
			second.want("3")
			third.want("3")
		})
	}
}

// The stream ends with its context, both while it waits and while there are events left.
func TestContextEnds(t *testing.T) {
	for _, tt := range []struct{ name, held, read string }{
		{"while it waits", "1", "1"},
		{"while there are events", "1 2 3", "1"},
		{"before it begins", "1 2 3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h hub.Hub
			ctx, cancel := context.WithCancel(context.Background())
			publishAll(t, &h, "a", tt.held)
			r := read(t, h.SubscribeFrom(ctx, hub.Oldest, "a"))
			r.want(tt.read)
			cancel()
			if err := r.end(); err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if got := h.Len("a"); got != 0 {
				t.Errorf("got Len %d, want 0", got)
			}
		})
	}
}
