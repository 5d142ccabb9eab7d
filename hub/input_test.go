package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

var errMaintenance = errors.New("maintenance")

// When Publish refuses an event, the error says which and why, and nothing has changed.
func TestPublishRefuses(t *testing.T) {
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(errMaintenance)
	for _, tt := range []struct {
		name, topic string
		event       core.Event
		ctx         context.Context //nolint:containedctx // of a row of the table
		words       string          // of the error, separated by |
	}{
		{name: "an ID of its own", topic: "a", event: core.Event{ID: "mine"}, words: `"mine"|hub assigns`},
		{name: "no topic", topic: "", words: "topic is empty"},
		{name: "a pattern", topic: "a.*", words: `"a.*"|pattern`},
		{name: "another pattern", topic: ">", words: `">"|pattern`},
		{name: "a wildcard within a token", topic: "a.b*", words: `"a.b*"|whole tokens`},
		{name: "an empty token", topic: "a..b", words: `"a..b"|empty`},
		{name: "a dot at the start", topic: ".a", words: `".a"|empty`},
		{name: "a dot at the end", topic: "a.", words: `"a."|empty`},
		{name: "a line end", topic: "a\nb", words: `"a\nb"|control`},
		{name: "a NUL", topic: "a\x00", words: `"a\x00"|control`},
		{name: "a control character beyond ASCII", topic: "a\u0085", words: "control"},
		{name: "invalid UTF-8", topic: "a\xff", words: `"a\xff"|UTF-8`},
		{name: "too long", topic: strings.Repeat("n", 256), words: `nnn...|255 bytes`},
		{name: "too long, in two bytes each", topic: strings.Repeat("\u00e9", 128), words: `255 bytes`},
		{name: "a type of two lines", topic: "a", event: core.Event{Type: "x\ny"}, words: `"a"|Type|one line`},
		{name: "a retry below zero", topic: "a", event: core.Event{Retry: -time.Second}, words: `"a"|Retry|-1s`},
		{name: "a topic that is new, and a wrong type", topic: "new", event: core.Event{Type: "\x00"}, words: `"new"|Type`},
		{name: "too large", topic: "a", event: core.Event{Data: strings.Repeat("x", 1000)}, words: `"a"|bytes|1000|WithMaxBytes`},
		{name: "an end of the context", topic: "a", ctx: ended, words: "publish|maintenance"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, opts := range [][]hub.PublishOption{nil, {hub.WithKey("k")}} {
					h := hub.New(hub.WithMaxBytes(1000))
					publish(t, h, "a", "1", hub.WithKey("k"))
					last := h.LastID()
					ctx := tt.ctx
					if ctx == nil {
						ctx = context.Background()
					}
					id, err := h.Publish(ctx, tt.topic, tt.event, opts...)
					if err == nil || id != "" {
						t.Fatalf("got ID %q and error %v, want an error", id, err)
					}
					for word := range strings.SplitSeq(tt.words, "|") {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("got %q, want it to say %q", err, word)
						}
					}
					if !strings.HasPrefix(err.Error(), "hub: ") || strings.Count(err.Error(), "hub: ") != 1 {
						t.Errorf("got %q, want the prefix hub: once", err)
					}
					if tt.ctx != nil && !errors.Is(err, errMaintenance) {
						t.Errorf("got %v, want one that wraps %v", err, errMaintenance)
					}
					if got := h.LastID(); got != last {
						t.Errorf("got LastID %q, want %q as before", got, last)
					}
					if got := strings.Join(h.Topics(), " "); got != "a" {
						t.Errorf("got topics %q, want a", got)
					}
					if got, want := publish(t, h, "a", "2"), idOf(h, 2); got != want {
						t.Errorf("got ID %q afterwards, want %q", got, want)
					}
					if got := held(t, h, ">"); got != "1 2" {
						t.Errorf("got %q afterwards, want 1 and 2", got)
					}
				}
			})
		})
	}
}

func TestNamesThatAreFine(t *testing.T) {
	var h hub.Hub
	for _, name := range []string{
		"a", "orders.eu.1207", strings.Repeat("n", 255), "with space", "\u00e9t\u00e9.\u5b57", "-", "a/b", "%", "#", "\U0001f600",
	} {
		if err := hub.Check(name); err != nil {
			t.Error(err)
		}
		r := read(t, h.Subscribe(soon(t), name))
		publish(t, &h, name, "1")
		r.want("1")
	}
	for _, name := range []string{"*", ">", "a.*", "a.>", "*.a", "*.*", "*.>", "a.*.b", "\u00e9.*"} {
		if err := hub.Check("a", name); err != nil {
			t.Error(err)
		}
	}
}

// The error of Check is the only element of a stream of such names, and nothing is left
// behind.
func TestSubscribeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		topics []string
		words  string
	}{
		{"none", nil, "no topic"},
		{"an empty one", []string{""}, "empty"},
		{"one of several", []string{"a", "b.", "c"}, `"b."|empty`},
		{"a token after the rest", []string{"a.>.b"}, `"a.>.b"|last`},
		{"the rest twice", []string{">.>"}, `">.>"|last`},
		{"a wildcard within a token", []string{"a.x*"}, `"a.x*"|whole tokens`},
		{"another", []string{">a"}, `">a"|whole tokens`},
		{"two in one", []string{"**"}, `"**"|whole tokens`},
		{"an empty token", []string{"*..a"}, "empty"},
		{"only a dot", []string{"."}, "empty"},
		{"a line end", []string{"a\r"}, `"a\r"|control`},
		{"a DEL", []string{"a\x7f"}, "control"},
		{"invalid UTF-8", []string{"\xc3"}, "UTF-8"},
		{"too long", []string{strings.Repeat("\u00e9", 127) + "xx"}, "255 bytes"},
		{"a very long one", []string{strings.Repeat("x", 1<<20)}, "255 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hub.New(hub.WithJoin(func(_ context.Context, topic string) { t.Errorf("joined %q", topic) }))
			want := hub.Check(tt.topics...)
			if want == nil {
				t.Fatal("got no error from Check")
			}
			for word := range strings.SplitSeq(tt.words, "|") {
				if !strings.Contains(want.Error(), word) || !strings.HasPrefix(want.Error(), "hub: ") || len(want.Error()) > 1500 {
					t.Errorf("got %q, want it to say %q", want, word)
				}
			}
			got := read(t, h.Subscribe(soon(t), tt.topics...)).end()
			if got == nil || got.Error() != want.Error() {
				t.Errorf("got %v, want %v", got, want)
			}
			for _, name := range tt.topics {
				if n := h.Len(name); n != 0 {
					t.Errorf("got Len(%q) = %d, want 0", name, n)
				}
				if n := h.Kick(name); n != 0 {
					t.Errorf("got %d from Kick(%q), want 0", n, name)
				}
			}
		})
	}
}
