package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A guest is a person in the chat, on one of the frameworks.
type guest struct {
	*ssetest.Stream
	t *testing.T
}

// enterChat enters the chat, and returns when the guest has been told who is there.
func enterChat(t *testing.T, base, name string) guest {
	t.Helper()
	g := guest{ssetest.Open(t, base+"/chat?name="+url.QueryEscape(name)), t}
	for {
		switch e := g.Next(); {
		case e.Type == "people", e.Type == "join" && g.presence(e).Name == strings.TrimSpace(name):
			return g
		}
	}
}

func (g guest) presence(e core.Event) presence {
	g.t.Helper()
	var p presence
	if err := json.Unmarshal([]byte(e.Data), &p); err != nil {
		g.t.Fatalf("%s: %v", e.Data, err)
	}
	return p
}

// expect waits for an event, which must have this type, and returns its short form.
func (g guest) expect(want string) {
	g.t.Helper()
	if got := g.short(g.Next()); got != want {
		g.t.Errorf("got %q, want %q", got, want)
	}
}

// short returns an event as a line of text, without the time.
func (g guest) short(e core.Event) string {
	g.t.Helper()
	if e.Type != "" {
		p := g.presence(e)
		return fmt.Sprintf("%s %s %v", e.Type, p.Name, p.People)
	}
	var m message
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
		g.t.Fatalf("%s: %v", e.Data, err)
	}
	if age := time.Since(m.Time); age < 0 || age > time.Minute {
		g.t.Errorf("got a message with time %v, want the current time", m.Time)
	}
	if m.To != "" {
		return fmt.Sprintf("%s to %s: %s", m.From, m.To, m.Text)
	}
	return fmt.Sprintf("%s: %s", m.From, m.Text)
}

func say(t *testing.T, base, from, to, text string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"from": from, "to": to, "text": text})
	if err != nil {
		t.Fatal(err)
	}
	status(t, base, request{method: http.MethodPost, path: "/chat", body: string(body)}, http.StatusNoContent)
}

// across runs a test with each framework and the next one, each time with a new demo.
func across(t *testing.T, test func(t *testing.T, here, there string)) {
	t.Helper()
	for i, f := range frameworks {
		next := frameworks[(i+1)%len(frameworks)]
		t.Run(f.name+" and "+next.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "1h")
			test(t, r.urls[f.name], r.urls[next.name])
		})
	}
}

// Messages that are sent on one framework arrive on all.
func TestChat(t *testing.T) {
	r := start(t, "1h")
	var guests []guest
	for i, f := range frameworks {
		g := enterChat(t, r.urls[f.name], fmt.Sprintf("Guest %d", i))
		for _, other := range guests {
			if got, want := other.Next().Type, "join"; got != want {
				t.Errorf("got type %q, want %q", got, want)
			}
		}
		guests = append(guests, g)
	}
	for _, f := range frameworks {
		const text = "  Grüße, 世界:\n<b>\"2 & 2\"</b> 👋🏽 "
		say(t, r.urls[f.name], " Ada ", "", text)
		for _, g := range guests {
			g.expect("Ada: " + strings.TrimSpace(text))
		}
	}
}

// A person who comes later gets the history, and one who comes back gets what they missed.
func TestChatHistory(t *testing.T) {
	across(t, func(t *testing.T, here, there string) {
		ada := enterChat(t, here, "Ada")
		for i := range 3 {
			say(t, there, "Ada", "", fmt.Sprintf("old %d", i))
			ada.expect(fmt.Sprintf("Ada: old %d", i))
		}
		bob := guest{ssetest.Open(t, there+"/chat?name=Bob"), t}
		for _, want := range []string{"join Ada [Ada]", "Ada: old 0", "Ada: old 1", "Ada: old 2", "join Bob [Ada Bob]"} {
			bob.expect(want)
		}
		ada.expect("join Bob [Ada Bob]")

		ada.Close()
		for i := range 100 {
			say(t, there, "Bob", "", fmt.Sprintf("missed %d", i))
		}
		ada.Resume()
		for i := range 100 {
			ada.expect(fmt.Sprintf("Bob: missed %d", i))
		}
	})
}

// A private message reaches its sender and its receiver, also in their history, and
// nobody else.
func TestChatPrivate(t *testing.T) {
	across(t, func(t *testing.T, here, there string) {
		ada, bob, eve := enterChat(t, here, "Ada"), enterChat(t, there, "Bob"), enterChat(t, here, "Eve")
		ada.Collect(2) // the others have joined
		bob.Collect(1)
		say(t, here, "Ada", "Bob", "psst")
		say(t, there, "Bob", "Ada", "pardon?")
		say(t, here, "Ada", "Ada", "a note")
		say(t, here, "Ada", "", "that is all")
		for _, test := range []struct {
			guest guest
			want  []string
		}{
			{ada, []string{"Ada to Bob: psst", "Bob to Ada: pardon?", "Ada to Ada: a note", "Ada: that is all"}},
			{bob, []string{"Ada to Bob: psst", "Bob to Ada: pardon?", "Ada: that is all"}},
			{eve, []string{"Ada: that is all"}},
		} {
			for _, want := range test.want {
				test.guest.expect(want)
			}
		}

		again := guest{ssetest.Open(t, there+"/chat?name=Bob"), t}
		again.Collect(3) // all three have joined
		for _, want := range []string{"Ada to Bob: psst", "Bob to Ada: pardon?", "Ada: that is all", "people  [Ada Bob Eve]"} {
			again.expect(want)
		}
	})
}

// A person joins with their first window and leaves with the last.
func TestChatPresence(t *testing.T) {
	onAll(t, "5ms", func(t *testing.T, _, base string) {
		ada := enterChat(t, base, "Ada")
		bob := enterChat(t, base, "Bob")
		ada.expect("join Bob [Ada Bob]")
		again := enterChat(t, base, "Bob") // only Bob's windows are told
		bob.expect("people  [Ada Bob]")
		bob.Close()
		say(t, base, "Bob", "", "still here")
		ada.expect("Bob: still here")
		again.Close()
		ada.expect("leave Bob [Ada]")
		back := enterChat(t, base, "Bob")
		ada.expect("join Bob [Ada Bob]")
		back.Close()
		ada.expect("leave Bob [Ada]")
	})
}

// A person who leaves has four ticks to come back, each time.
func TestChatComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDemo(time.Second, new(core.Group), log.New(io.Discard, "", 0))
		defer d.crew.end()
		d.enter("Ada")
		for range 3 {
			d.leave("Ada")
			wait(t.Context(), 3*time.Second)
			if err := d.find("Ada"); err != nil {
				t.Errorf("three ticks after leaving: got %v, want Ada", err)
			}
			d.enter("Ada")
		}
		d.leave("Ada")
		wait(t.Context(), 4*time.Second+1)
		if err := d.find("Ada"); err == nil {
			t.Error("four ticks after leaving: got Ada, want nobody")
		}
	})
}

// The list of people is a list even if it is empty.
func TestNobodyIsAList(t *testing.T) {
	got, err := json.Marshal(presence{Name: "Ada", People: new(people).names()})
	if want := `{"name":"Ada","people":[]}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

// A person who loses the connection and comes back has not left.
func TestChatReconnect(t *testing.T) {
	onAll(t, "1h", func(t *testing.T, _, base string) {
		ada := enterChat(t, base, "Ada")
		bob := enterChat(t, base, "Bob")
		ada.expect("join Bob [Ada Bob]")
		bob.Resume()
		bob.expect("people  [Ada Bob]")
		say(t, base, "Bob", "", "me again")
		ada.expect("Bob: me again")
	})
}

// An ID that is not from this process leads to a gap.
func TestChatGap(t *testing.T) {
	onAll(t, "1h", func(t *testing.T, _, base string) {
		say(t, base, "Ada", "", "hello")
		s := ssetest.Request{URL: base + "/chat?name=Bob", Header: http.Header{"Last-Event-Id": {"aaaaaaaa-7"}}}.Open(t)
		got := s.Collect(2)
		if got[0].Type != "gap" || !strings.Contains(got[0].Data, "restarted") || !strings.Contains(got[1].Data, "hello") {
			t.Errorf("got %+v, want a gap and then the held events", got)
		}
	})
}

func TestChatProblems(t *testing.T) {
	onAll(t, "1h", func(t *testing.T, framework, base string) {
		long := strings.Repeat("名", maxName)
		for _, name := range []string{"", "   ", long + "x", "a\nb", "\x7f", "\xff\xfe", "a\u200fb"} {
			contentType, body := status(t, base, request{path: "/chat?name=" + url.QueryEscape(name)}, http.StatusBadRequest)
			wantError(t, framework, contentType, body, errName.text)
		}
		enterChat(t, base, long)
		enterChat(t, base, "O'Hara.*>")

		for _, test := range []struct {
			name, body string
			status     int
			want       string
		}{
			{"no body", ``, 400, errChat.text},
			{"half a body", `{"from": "Ada"`, 400, errChat.text},
			{"no object", `[]`, 400, errChat.text},
			{"no name", `{"text": "x"}`, 400, errName.text},
			{"a bad name", `{"from": "\u0000", "text": "x"}`, 400, errName.text},
			{"no text", `{"from": "Ada"}`, 400, errChat.text},
			{"blank text", `{"from": "Ada", "text": " \n "}`, 400, errChat.text},
			{"long text", `{"from": "Ada", "text": "` + strings.Repeat("字", maxText+1) + `"}`, 400, errLong.text},
			{"to nobody", `{"from": "Ada", "text": "x", "to": "Nobody"}`, 404, `there is no "Nobody" in the room, only O'Hara.*>, ` + long},
		} {
			t.Run(test.name, func(t *testing.T) {
				contentType, body := status(t, base, request{method: http.MethodPost, path: "/chat", body: test.body}, test.status)
				wantError(t, framework, contentType, body, test.want)
			})
		}
		say(t, base, "Ada", "", strings.Repeat("字", maxText))
	})
}
