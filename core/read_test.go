package core_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// events returns the events of s, which must not fail.
func events(tb testing.TB, s core.Stream) []core.Event {
	tb.Helper()
	got, err := drain(tb, s)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// drain returns the events of s and the error that ended it.
func drain(tb testing.TB, s core.Stream) (got []core.Event, err error) {
	tb.Helper()
	for e, failure := range s {
		if err != nil {
			tb.Fatalf("got %+v, %v after the error %v", e, failure, err)
		}
		if err = failure; err == nil {
			got = append(got, e)
		}
	}
	return got, err
}

func same(tb testing.TB, how string, got, want parsed) {
	tb.Helper()
	if !slices.Equal(got.events, want.events) {
		tb.Errorf("%s: got %+v, want %+v", how, got.events, want.events)
	}
	if got.lastEventID != want.lastEventID {
		tb.Errorf("%s: last event ID: got %q, want %q", how, got.lastEventID, want.lastEventID)
	}
	if got.retry != want.retry {
		tb.Errorf("%s: retry: got %v, want %v", how, got.retry, want.retry)
	}
}

// chunks returns one of its parts for each read, and then its error (io.EOF if nil).
type chunks struct {
	parts []string
	err   error
	reads int
}

func (c *chunks) Read(p []byte) (int, error) {
	c.reads++
	if len(c.parts) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		return 0, io.EOF
	}
	n := copy(p, c.parts[0])
	if c.parts[0] = c.parts[0][n:]; c.parts[0] == "" {
		c.parts = c.parts[1:]
	}
	return n, nil
}

// cut returns s in parts of n bytes.
func cut(s string, n int) []string {
	var parts []string
	for part := range slices.Chunk([]byte(s), n) {
		parts = append(parts, string(part))
	}
	return parts
}

var longestRetry = time.Duration(math.MaxInt64).Truncate(time.Millisecond)

// parserTests are streams whose lines end with LF; the tests try CR and CRLF as
// well. Events, last event ID and reconnection time are those of the default mode;
// noted are the events of the Comments mode, if they differ.
var parserTests = []struct {
	name, wire string
	want       parsed
	noted      []core.Event
	other      string // the line that core.ErrNotStream shows
}{
	{name: "nothing", wire: ""},
	{name: "blank lines", wire: "\n\n\n"},
	{name: "one event", wire: "data: x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{
		name:  "all fields",
		wire:  ": c\nid: 7\nevent: add\nretry: 1000\ndata: x\n\n",
		want:  parsed{[]core.Event{{ID: "7", Type: "add", Data: "x", Retry: time.Second}}, "7", time.Second},
		noted: []core.Event{{Comment: "c"}, {ID: "7", Type: "add", Data: "x", Retry: time.Second}},
	},
	{
		name:  "fields in another order",
		wire:  "data: x\nretry: 1000\nevent: add\nid: 7\n: c\n\n",
		want:  parsed{[]core.Event{{ID: "7", Type: "add", Data: "x", Retry: time.Second}}, "7", time.Second},
		noted: []core.Event{{Comment: "c"}, {ID: "7", Type: "add", Data: "x", Retry: time.Second}},
	},

	// Byte order marks.
	{name: "BOM", wire: "\uFEFFdata: x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{name: "BOM and a blank line", wire: "\uFEFF\ndata: x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{name: "BOM alone", wire: "\uFEFF"},
	{name: "part of a BOM", wire: "\xEF\xBB"},
	{name: "part of a BOM and a field", wire: "\xEF\xBBdata: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "second BOM", wire: "\uFEFF\uFEFFdata: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "BOM on a later line", wire: "\n\uFEFFdata: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "BOM in a value", wire: "data:\uFEFFx\n\n", want: parsed{events: []core.Event{{Data: "\uFEFFx"}}}},

	// Lines, names and values.
	{name: "no space", wire: "data:x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{name: "two spaces", wire: "data:  x\n\n", want: parsed{events: []core.Event{{Data: " x"}}}},
	{name: "tab", wire: "data:\tx\n\n", want: parsed{events: []core.Event{{Data: "\tx"}}}},
	{name: "space and tab", wire: "data: \tx\n\n", want: parsed{events: []core.Event{{Data: "\tx"}}}},
	{name: "no-break space", wire: "data:\u00A0x\n\n", want: parsed{events: []core.Event{{Data: "\u00A0x"}}}},
	{name: "trailing space", wire: "data: x \n\n", want: parsed{events: []core.Event{{Data: "x "}}}},
	{name: "colons in the value", wire: "data::x:y\n\n", want: parsed{events: []core.Event{{Data: ":x:y"}}}},
	{name: "space and colon", wire: "data: :\n\n", want: parsed{events: []core.Event{{Data: ":"}}}},
	{name: "no colon", wire: "data\n\n", want: parsed{events: []core.Event{{}}}},
	{name: "names without a colon", wire: "id: 1\nevent: t\ndata\nid\nevent\n\n", want: parsed{events: []core.Event{{}}}},
	{name: "case counts", wire: "Data: x\nDATA: y\ndata: z\n\n", want: parsed{events: []core.Event{{Data: "z"}}}},
	{name: "case counts alone", wire: "DATA: x\nID: 1\nRetry: 5\n\n", other: "DATA: x"},
	{name: "unknown names", wire: "datax: a\ndat: b\nfoo\nfoo: c\ndata: x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{name: "space before the name", wire: " data: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "space behind the name", wire: "data : x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "line of a space is not blank", wire: "data: x\n \ndata: y\n\n", want: parsed{events: []core.Event{{Data: "x\ny"}}}},
	{name: "VT, FF, NEL, U+2028 end no line", wire: "data: a\vb\fc\u0085d\u2028e\u2029\n\n", want: parsed{events: []core.Event{{Data: "a\vb\fc\u0085d\u2028e\u2029"}}}},
	{name: "NUL in data", wire: "data: a\x00b\n\n", want: parsed{events: []core.Event{{Data: "a\x00b"}}}},
	{
		name: "other alphabets", wire: "id: é\nevent: 時間\ndata: 当前\n: ß\n\n",
		want:  parsed{events: []core.Event{{ID: "é", Type: "時間", Data: "当前"}}, lastEventID: "é"},
		noted: []core.Event{{Comment: "ß"}, {ID: "é", Type: "時間", Data: "当前"}},
	},
	{
		name: "invalid UTF-8", wire: "id: \xFF\nevent: \xE2\x82\ndata: \xF0\x9F\x98x\ndata: \xC0\xAF\n: \xED\xA0\n\n",
		want:  parsed{events: []core.Event{{ID: "\uFFFD", Type: "\uFFFD", Data: "\uFFFDx\n\uFFFD\uFFFD"}}, lastEventID: "\uFFFD"},
		noted: []core.Event{{Comment: "\uFFFD\uFFFD"}, {ID: "\uFFFD", Type: "\uFFFD", Data: "\uFFFDx\n\uFFFD\uFFFD"}},
	},

	// Data.
	{name: "lines", wire: "data: a\ndata: b\n\n", want: parsed{events: []core.Event{{Data: "a\nb"}}}},
	{name: "one final LF is dropped", wire: "data: a\ndata\n\n", want: parsed{events: []core.Event{{Data: "a\n"}}}},
	{name: "empty data", wire: "data:\n\ndata: \n\n", want: parsed{events: []core.Event{{}, {}}}},
	{name: "two lines of empty data", wire: "data\ndata\n\n", want: parsed{events: []core.Event{{Data: "\n"}}}}, //nolint:dupword // so it is
	{name: "lines apart", wire: "data: a\nid: 1\ndata: b\n\n", want: parsed{events: []core.Event{{ID: "1", Data: "a\nb"}}, lastEventID: "1"}},
	{name: "two events", wire: "data: a\n\ndata: b\n\n", want: parsed{events: []core.Event{{Data: "a"}, {Data: "b"}}}},
	{name: "more blank lines", wire: "\n\ndata: a\n\n\n\ndata: b\n\n\n", want: parsed{events: []core.Event{{Data: "a"}, {Data: "b"}}}},
	// Responses that are not event streams, which may be cut off anywhere.
	{name: "JSON", wire: `{"error": "no such model"}`, other: `{"error": "no such model"}`},
	{name: "JSON behind a comment", wire: ": open\n\n{\"error\": 1}\n", noted: []core.Event{{Comment: "open"}}, other: `{"error": 1}`},
	{name: "JSON of lines", wire: "\n{\n\"data\": 1\n}\n", other: "{"},
	{name: "a page", wire: "<!DOCTYPE html>\n\n<title>data: x</title>\n", other: "<!DOCTYPE html>"},
	{name: "a word", wire: "OK", other: "OK"},
	{name: "unknown lines", wire: "foo: 1\n\nbar\n\n", other: "foo: 1"},
	{name: "a long line", wire: strings.Repeat("é", 1000), other: strings.Repeat("é", 100)},
	{name: "a page with a comment", wire: "<p>\n: c\n</p>\n", noted: []core.Event{{Comment: "c"}}, other: "<p>"},
	{name: "a page with a retry that is none", wire: "<p>\nretry: soon\n</p>\n"},
	{name: "a page with a type", wire: "<p>\nevent\n</p>\n"},
	{name: "a page with an ID", wire: "<p>\nid\n</p>\n"},
	{name: "a start of a name", wire: "dat"},
	{name: "a start of a value", wire: "data: x"},
	{name: "a comment that is cut", wire: ":x"},
	{name: "another start", wire: "dada", other: "dada"},
	{name: "another name", wire: "datas:", other: "datas:"},

	{name: "no blank line", wire: "data: a\n\ndata: b\n", want: parsed{events: []core.Event{{Data: "a"}}}},
	{name: "no line end", wire: "data: a\n\ndata: b", want: parsed{events: []core.Event{{Data: "a"}}}},

	// Types.
	{name: "type", wire: "event: t\ndata: x\n\n", want: parsed{events: []core.Event{{Type: "t", Data: "x"}}}},
	{name: "type message stays", wire: "event: message\ndata: x\n\n", want: parsed{events: []core.Event{{Type: "message", Data: "x"}}}},
	{name: "type is reset", wire: "event: t\ndata: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{Type: "t", Data: "x"}, {Data: "y"}}}},
	{name: "type without data is reset", wire: "event: t\n\ndata: y\n\n", want: parsed{events: []core.Event{{Data: "y"}}}},
	{name: "the last type", wire: "event: t\nevent: u\ndata: x\n\n", want: parsed{events: []core.Event{{Type: "u", Data: "x"}}}},
	{name: "empty type resets", wire: "event: t\nevent:\ndata: x\n\n", want: parsed{events: []core.Event{{Data: "x"}}}},
	{name: "types in turn", wire: "event: t\ndata\n\nevent: u\ndata\n\nevent: t\ndata\n\nevent: t\ndata\n\n", want: parsed{events: []core.Event{{Type: "t"}, {Type: "u"}, {Type: "t"}, {Type: "t"}}}},
	{name: "type with spaces", wire: "event:  a b \ndata\n\n", want: parsed{events: []core.Event{{Type: " a b "}}}},

	// IDs.
	{name: "ID persists", wire: "id: 1\ndata: x\n\ndata: y\n\n", want: parsed{events: []core.Event{{ID: "1", Data: "x"}, {ID: "1", Data: "y"}}, lastEventID: "1"}},
	{name: "ID without data is committed", wire: "id: 1\n\ndata: y\n\n", want: parsed{events: []core.Event{{ID: "1", Data: "y"}}, lastEventID: "1"}},
	{name: "ID alone", wire: "id: 1\n\n", want: parsed{lastEventID: "1"}},
	{name: "ID not committed", wire: "id: 1\ndata: x\n\nid: 2\ndata: y\n", want: parsed{events: []core.Event{{ID: "1", Data: "x"}}, lastEventID: "1"}},
	{name: "ID not ended", wire: "id: 1", want: parsed{}},
	{name: "the last ID", wire: "id: 1\nid: 2\ndata: x\n\n", want: parsed{events: []core.Event{{ID: "2", Data: "x"}}, lastEventID: "2"}},
	{name: "empty ID resets", wire: "id: 1\ndata: x\n\nid:\ndata: y\n\n", want: parsed{events: []core.Event{{ID: "1", Data: "x"}, {Data: "y"}}}},
	{name: "ID with NUL", wire: "id: 1\ndata: x\n\nid: 2\x00\ndata: y\n\n", want: parsed{events: []core.Event{{ID: "1", Data: "x"}, {ID: "1", Data: "y"}}, lastEventID: "1"}},
	{name: "ID of a NUL", wire: "id: 1\nid: \x00\ndata\n\n", want: parsed{events: []core.Event{{ID: "1"}}, lastEventID: "1"}},
	{name: "ID with spaces", wire: "id:  1 \ndata\n\n", want: parsed{events: []core.Event{{ID: " 1 "}}, lastEventID: " 1 "}},

	// Reconnection times.
	{name: "retry", wire: "retry: 1500\n\n", want: parsed{retry: 1500 * time.Millisecond}, noted: []core.Event{{Retry: 1500 * time.Millisecond}}},
	{name: "retry at once", wire: "retry: 1500\n", want: parsed{retry: 1500 * time.Millisecond}, noted: []core.Event{{Retry: 1500 * time.Millisecond}}},
	{name: "retry at once in an event that does not end", wire: "data: x\nretry: 1500\n", want: parsed{retry: 1500 * time.Millisecond}, noted: []core.Event{{Retry: 1500 * time.Millisecond}}},
	{name: "retry not ended", wire: "retry: 1500", want: parsed{}},
	{name: "retry of zero", wire: "retry: 5\nretry: 0\n\n", want: parsed{}},
	{name: "the last retry", wire: "retry: 5\nretry: 6\n\n", want: parsed{retry: 6 * time.Millisecond}, noted: []core.Event{{Retry: 6 * time.Millisecond}}},
	{name: "leading zeros", wire: "retry: 00010\n\n", want: parsed{retry: 10 * time.Millisecond}, noted: []core.Event{{Retry: 10 * time.Millisecond}}},
	{name: "many leading zeros", wire: "retry: " + strings.Repeat("0", 40) + "7\n", want: parsed{retry: 7 * time.Millisecond}, noted: []core.Event{{Retry: 7 * time.Millisecond}}},
	{name: "empty retry", wire: "retry: 5\nretry:\nretry\nretry: \n", want: parsed{retry: 5 * time.Millisecond}, noted: []core.Event{{Retry: 5 * time.Millisecond}}},
	{
		name: "no digits",
		wire: "retry: 5\nretry: +6\nretry: -6\nretry: 6s\nretry: 6.0\nretry: 0x6\nretry:  6\nretry: 6 \nretry: 1e3\nretry: 1_0\nretry: ٣\nretry: ６\n",
		want: parsed{retry: 5 * time.Millisecond}, noted: []core.Event{{Retry: 5 * time.Millisecond}},
	},
	{name: "the longest retry", wire: "retry: 9223372036854\n", want: parsed{retry: longestRetry}, noted: []core.Event{{Retry: longestRetry}}},
	{name: "beyond the longest retry", wire: "retry: 9223372036855\n", want: parsed{retry: longestRetry}, noted: []core.Event{{Retry: longestRetry}}},
	{name: "beyond 63 bits", wire: "retry: 9223372036854775808\n", want: parsed{retry: longestRetry}, noted: []core.Event{{Retry: longestRetry}}},
	{name: "beyond 64 bits", wire: "retry: 18446744073709551617\n", want: parsed{retry: longestRetry}, noted: []core.Event{{Retry: longestRetry}}},
	{name: "a hundred digits", wire: "retry: " + strings.Repeat("9", 100) + "\n", want: parsed{retry: longestRetry}, noted: []core.Event{{Retry: longestRetry}}},
	{
		name: "retry in an event", wire: "retry: 5\ndata: x\n\ndata: y\n\n",
		want: parsed{events: []core.Event{{Data: "x", Retry: 5 * time.Millisecond}, {Data: "y"}}, retry: 5 * time.Millisecond},
	},

	// Comments.
	{name: "comment", wire: ": c\n\n", noted: []core.Event{{Comment: "c"}}},
	{name: "comment without a space", wire: ":c\n\n", noted: []core.Event{{Comment: "c"}}},
	{name: "comment with two spaces", wire: ":  c\n\n", noted: []core.Event{{Comment: " c"}}},
	{name: "comment of lines", wire: ": a\n: b\n\n", noted: []core.Event{{Comment: "a"}, {Comment: "b"}}},
	{name: "empty comment", wire: ":\n\n", noted: []core.Event{{Comment: " "}}},
	{name: "comment of a space", wire: ": \n\n", noted: []core.Event{{Comment: " "}}},
	{name: "two empty comments", wire: ":\n:\n\n", noted: []core.Event{{Comment: " "}, {Comment: " "}}},
	{name: "comments without a blank line", wire: ": a\n:\n: b\n", noted: []core.Event{{Comment: "a"}, {Comment: " "}, {Comment: "b"}}},
	{name: "comment like a field", wire: ":data: x\n\n", noted: []core.Event{{Comment: "data: x"}}},
	{name: "comment not ended", wire: ": c"},
	{name: "comment blocks", wire: ": a\n\n: b\n\n", noted: []core.Event{{Comment: "a"}, {Comment: "b"}}},
	{
		name: "comment in an event", wire: "data: x\n: c\ndata: y\n\n",
		want:  parsed{events: []core.Event{{Data: "x\ny"}}},
		noted: []core.Event{{Comment: "c"}, {Data: "x\ny"}},
	},
	{
		name: "empty comment in an event", wire: ":\ndata: x\n\n",
		want:  parsed{events: []core.Event{{Data: "x"}}},
		noted: []core.Event{{Comment: " "}, {Data: "x"}},
	},
	{name: "comment and retry", wire: "retry: 5\n: c\n\n", want: parsed{retry: 5 * time.Millisecond}, noted: []core.Event{{Comment: "c"}, {Retry: 5 * time.Millisecond}}},
	{name: "comment and ID", wire: "id: 1\n: c\n\n", want: parsed{lastEventID: "1"}, noted: []core.Event{{Comment: "c"}}},
	{name: "comment and type", wire: "event: t\n: c\n\n", noted: []core.Event{{Comment: "c"}}},
	{
		name: "comment and an empty event", wire: ": c\ndata\n\n",
		want:  parsed{events: []core.Event{{}}},
		noted: []core.Event{{Comment: "c"}, {}},
	},
	{
		name: "retry and an empty event", wire: "data\nretry: 5\n\n",
		want:  parsed{events: []core.Event{{}}, retry: 5 * time.Millisecond},
		noted: []core.Event{{Retry: 5 * time.Millisecond}, {}},
	},
	{
		name: "comment and an empty event with an ID", wire: "id: 1\n: c\ndata\n\n",
		want:  parsed{events: []core.Event{{ID: "1"}}, lastEventID: "1"},
		noted: []core.Event{{Comment: "c"}, {ID: "1"}},
	},
	{
		name: "comment and an empty event with a type", wire: "event: t\n: c\ndata\n\n",
		want:  parsed{events: []core.Event{{Type: "t"}}},
		noted: []core.Event{{Comment: "c"}, {Type: "t"}},
	},
	{
		name: "comments are of their block", wire: ": c\n\ndata: x\n\n",
		want:  parsed{events: []core.Event{{Data: "x"}}},
		noted: []core.Event{{Comment: "c"}, {Data: "x"}},
	},
}

func TestParser(t *testing.T) {
	for _, tt := range parserTests {
		for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
			for _, comments := range []bool{false, true} {
				name := fmt.Sprintf("%s/%q", tt.name, lineEnd)
				want := tt.want
				if comments {
					name += "/Comments"
					if tt.noted != nil {
						want.events = tt.noted
					}
				}
				t.Run(name, func(t *testing.T) {
					wire := strings.ReplaceAll(tt.wire, "\n", lineEnd)
					check := func(how string, r io.Reader) {
						t.Helper()
						p := core.Parser{Comments: comments}
						got, err := drain(t, p.Read(r))
						if tt.other == "" && err != nil {
							t.Errorf("%s: got error %v, want none", how, err)
						}
						if tt.other != "" && (!errors.Is(err, core.ErrNotStream) || !strings.HasSuffix(fmt.Sprint(err), fmt.Sprintf("%q", tt.other))) {
							t.Errorf("%s: got error %v, want %v with %q", how, err, core.ErrNotStream, tt.other)
						}
						same(t, how, parsed{got, p.LastEventID, p.Retry}, want)
					}
					check("whole", strings.NewReader(wire))
					check("with io.EOF", iotest.DataErrReader(strings.NewReader(wire)))
					for n := 1; n <= 3; n++ {
						check(fmt.Sprintf("in parts of %d", n), &chunks{parts: cut(wire, n)})
					}
					for i := 1; i < len(wire); i++ {
						check(fmt.Sprintf("cut at %d", i), &chunks{parts: []string{wire[:i], wire[i:]}})
					}
					same(t, "reference", reference(wire, comments), want)
				})
			}
		}
	}
}

// An ID that changes without an event is yielded once, if Positions is set.
func TestParserPositions(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		from       string
		comments   bool
		want       []core.Event
	}{
		{name: "moved", wire: "id: 1\ndata: a\n\nid: 7\n\n", want: []core.Event{{ID: "1", Data: "a"}, {ID: "7", Type: "at"}}},
		{name: "reset", wire: "id: 1\ndata: a\n\nid\n\n", want: []core.Event{{ID: "1", Data: "a"}, {Type: "at"}}},
		{name: "reset by an event", wire: "id: 1\ndata: a\n\nid\ndata: b\n\n", want: []core.Event{{ID: "1", Data: "a"}, {Data: "b"}}},
		{name: "an event that brings none", wire: "id: 7\n\ndata: a\n\n", want: []core.Event{{ID: "7", Type: "at"}, {ID: "7", Data: "a"}}},
		{name: "the type of a block without data", wire: "event: t\nid: 7\n\n", want: []core.Event{{ID: "7", Type: "at"}}},
		{name: "the same again", wire: "id: 7\n\nid: 7\n\n\n", want: []core.Event{{ID: "7", Type: "at"}}},
		{name: "the one that was resumed", wire: "id: 7\n\nid: 8\n\n", from: "7", want: []core.Event{{ID: "8", Type: "at"}}},
		{name: "back and forth in one block", wire: "id: 8\nid: 7\n\n", from: "7"},
		{name: "with NUL", wire: "id: 8\x00\n\n", from: "7"},
		{name: "not ended", wire: "id: 8\n", from: "7"},
		{name: "a block of nothing", wire: "event: t\n\n\n", from: "7"},
		{
			name: "with a retry and a comment", wire: ": c\nid: 8\nretry: 5\n\n", comments: true,
			want: []core.Event{{Comment: "c"}, {Retry: 5 * time.Millisecond}, {ID: "8", Type: "at"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := 1; n <= len(tt.wire); n++ {
				p := core.Parser{Positions: "at", LastEventID: tt.from, Comments: tt.comments}
				position := tt.from
				var got []core.Event
				for e, err := range p.Read(&chunks{parts: cut(tt.wire, n)}) {
					if err != nil {
						t.Fatal(err)
					}
					if got = append(got, e); e.Comment == "" && e.Retry == 0 {
						position = e.ID
					}
				}
				if !slices.Equal(got, tt.want) || position != p.LastEventID {
					t.Errorf("in parts of %d: got %+v and position %q, want %+v and %q", n, got, position, tt.want, p.LastEventID)
				}
			}
		})
	}
}

// Line ends of all kinds in one stream: CRLF is one, LF and then CR are two.
func TestParserMixedLineEnds(t *testing.T) {
	tests := []struct {
		name, wire string
		want       []core.Event
	}{
		{"CRLF then CR", "data: a\r\n\rdata: b\r\n\r", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"CR then LF", "data: a\r\ndata: b\r\n\n", []core.Event{{Data: "a\nb"}}},
		{"CR then CRLF", "data: a\r\r\ndata: b\r\r\n", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"LF then CR", "data: a\n\rdata: b\n\r", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"LF then CRLF", "data: a\n\r\ndata: b\n\r\n", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"CRLF then LF", "data: a\r\n\ndata: b\r\n\n", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"only one LF is swallowed", "data: a\r\n\n\ndata: b\r\n\n\n", []core.Event{{Data: "a"}, {Data: "b"}}},
		{"a line each", "data: a\rdata: b\ndata: c\r\ndata: d\r\r", []core.Event{{Data: "a\nb\nc\nd"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range len(tt.wire) {
				got := events(t, core.Read(&chunks{parts: cut(tt.wire[:i+1], 1)}))
				whole := events(t, core.Read(strings.NewReader(tt.wire[:i+1])))
				if want := reference(tt.wire[:i+1], false).events; !slices.Equal(got, want) || !slices.Equal(whole, want) {
					t.Errorf("the first %d bytes: got %+v and whole %+v, want %+v", i+1, got, whole, want)
				}
			}
			if got := events(t, core.Read(strings.NewReader(tt.wire))); !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// An event is yielded before the parser reads more, whatever its line ends.
func TestParserActsAtOnce(t *testing.T) {
	tests := []struct {
		name  string
		parts []string
		want  int // the read that returns the end of the event
	}{
		{"LF", []string{"data: x\n\n", "data: y"}, 1},
		{"CR", []string{"data: x\r\r", "data: y"}, 1},
		{"CRLF", []string{"data: x\r\n\r\n", "data: y"}, 1},
		{"CR whose LF comes later", []string{"data: x\r\n\r", "\ndata: y"}, 1},
		{"CRs one by one", []string{"data: x\r", "\r", "\r"}, 2},
		{"behind part of the next line", []string{"data: x", "\r\rdata: y"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &chunks{parts: tt.parts}
			reads := 0
			for e, err := range core.Read(r) {
				if err != nil || e.Data != "x" || reads != 0 {
					t.Fatalf("got %+v, %v, want one event", e, err)
				}
				reads = r.reads
			}
			if reads != tt.want {
				t.Errorf("got the event at read %d, want %d", reads, tt.want)
			}
		})
	}

	t.Run("comments", func(t *testing.T) {
		const beats = 5
		r := &chunks{parts: slices.Repeat([]string{": beat\n"}, beats)}
		n := 0
		for e, err := range (&core.Parser{Comments: true}).Read(r) {
			if n++; err != nil || e != (core.Event{Comment: "beat"}) || r.reads != n {
				t.Errorf("got %+v, %v at read %d, want comment %d at its own", e, err, r.reads, n)
			}
		}
		if n != beats {
			t.Errorf("got %d comments, want %d", n, beats)
		}
	})

	t.Run("retry", func(t *testing.T) {
		var p core.Parser
		var got []time.Duration
		parts := []string{"retry: 5\r", "retry: 6\n", "re"}
		for e, err := range p.Read(readerFunc(func(b []byte) (int, error) {
			got = append(got, p.Retry)
			if len(parts) == 0 {
				return 0, io.EOF
			}
			n := copy(b, parts[0])
			parts = parts[1:]
			return n, nil
		})) {
			t.Errorf("got %+v, %v, want no event", e, err)
		}
		if want := []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, 6 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("got %v before each read, want %v", got, want)
		}
	})

	t.Run("last event ID", func(t *testing.T) {
		var p core.Parser
		var got []string
		for e, err := range p.Read(strings.NewReader("id: 1\ndata\n\nid: 2\ndata\n\nid: 3\n\nid: 4\n")) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.LastEventID)
			if p.LastEventID != e.ID {
				t.Errorf("got %q with event %q", p.LastEventID, e.ID)
			}
		}
		if want := []string{"1", "2"}; !slices.Equal(got, want) || p.LastEventID != "3" {
			t.Errorf("got %q and at last %q, want %q and 3", got, p.LastEventID, want)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestParserReadError(t *testing.T) {
	broken := errors.New("the cable is cut")
	const wire = "id: 1\ndata: a\n\nid: 2\nretry: 5\ndata: b\n"
	want := parsed{[]core.Event{{ID: "1", Data: "a"}}, "1", 5 * time.Millisecond}
	tests := []struct {
		name string
		r    func() io.Reader
		want error
	}{
		{"by itself", func() io.Reader { return &chunks{parts: cut(wire, 7), err: broken} }, broken},
		{"unexpected end", func() io.Reader { return &chunks{parts: []string{wire}, err: io.ErrUnexpectedEOF} }, io.ErrUnexpectedEOF},
		{"with the last bytes", func() io.Reader {
			return iotest.DataErrReader(&chunks{parts: []string{wire}, err: broken})
		}, broken},
		{"with the last bytes and only once", func() io.Reader {
			done := false
			return readerFunc(func(b []byte) (int, error) {
				if done {
					return 0, io.EOF
				}
				done = true
				return copy(b, wire), broken
			})
		}, broken},
		{"no progress", func() io.Reader {
			left := wire
			return readerFunc(func(b []byte) (int, error) {
				n := copy(b, left)
				left = left[n:]
				return n, nil
			})
		}, io.ErrNoProgress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p core.Parser
			got, err := drain(t, p.Read(tt.r()))
			if !errors.Is(err, tt.want) || !strings.HasPrefix(fmt.Sprint(err), "core: ") {
				t.Errorf("got error %v, want one of core's that wraps %v", err, tt.want)
			}
			same(t, "stream", parsed{got, p.LastEventID, p.Retry}, want)
		})
	}

	t.Run("at once", func(t *testing.T) {
		n := 0
		for e, err := range core.Read(iotest.ErrReader(broken)) {
			n++
			if e != (core.Event{}) || !errors.Is(err, broken) {
				t.Errorf("got %+v, %v, want no event and %v", e, err, broken)
			}
		}
		if n != 1 {
			t.Errorf("got %d elements, want 1", n)
		}
	})

	t.Run("empty reads between", func(t *testing.T) {
		parts := cut(wire+"\n", 1)
		empty := 0
		got := events(t, core.Read(readerFunc(func(b []byte) (int, error) {
			if empty++; empty%50 != 0 {
				return 0, nil
			}
			if len(parts) == 0 {
				return 0, io.EOF
			}
			n := copy(b, parts[0])
			parts = parts[1:]
			return n, nil
		})))
		if want := []core.Event{{ID: "1", Data: "a"}, {ID: "2", Data: "b", Retry: 5 * time.Millisecond}}; !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestParserStopsEarly(t *testing.T) {
	tests := []struct {
		name  string
		parts []string
		stop  int
	}{
		{"with more in the buffer", []string{"data: 1\n\ndata: 2\n\n", "data: 3\n\n"}, 1},
		{"with nothing in the buffer", []string{"data: 1\n\n", "data: 2\n\n"}, 1},
		{"at the second", []string{"data: 1\n\ndata: 2\n\n", "data: 3\n\n"}, 2},
		{"between a comment and its event", []string{": c\ndata\n\n", "data: 3\n\n"}, 1},
		{"between a retry and its event", []string{"retry: 1\ndata\n\n", "data: 3\n\n"}, 1},
		{"at a comment without a blank line", []string{": c\n", "data: 3\n\n"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &chunks{parts: tt.parts}
			p := core.Parser{Comments: true}
			n := 0
			p.Read(r)(func(core.Event, error) bool {
				n++
				return n < tt.stop
			})
			if n != tt.stop || r.reads != 1 {
				t.Errorf("got %d elements from %d reads, want %d from 1", n, r.reads, tt.stop)
			}
		})
	}

	t.Run("at the error", func(t *testing.T) {
		n := 0
		core.Read(iotest.ErrReader(io.ErrClosedPipe))(func(core.Event, error) bool {
			n++
			return false
		})
		if n != 1 {
			t.Errorf("got %d elements, want 1", n)
		}
	})

	t.Run("not begun", func(t *testing.T) {
		r := &chunks{parts: []string{"data: x\n\n"}}
		core.Read(r)
		if r.reads != 0 {
			t.Errorf("got %d reads, want none", r.reads)
		}
	})
}

// One parser parses a client's connections one after the other.
func TestParserReadsAgain(t *testing.T) {
	p := core.Parser{LastEventID: "0"}
	for _, tt := range []struct {
		name, wire string
		want       parsed
	}{
		{"resumes", "data: a\n\n", parsed{[]core.Event{{ID: "0", Data: "a"}}, "0", 0}},
		{"sets", "id: 1\nretry: 5\nevent: t\ndata: b\n\nid: 2\nevent: u\ndata: lost", parsed{[]core.Event{{ID: "1", Type: "t", Data: "b", Retry: 5 * time.Millisecond}}, "1", 5 * time.Millisecond}},
		{"begins again", "data: c\n\n", parsed{[]core.Event{{ID: "1", Data: "c"}}, "1", 5 * time.Millisecond}},
		{"ends after CR", "data: d\r\r", parsed{[]core.Event{{ID: "1", Data: "d"}}, "1", 5 * time.Millisecond}},
		{"does not swallow for the last", "\ndata: e\n\n", parsed{[]core.Event{{ID: "1", Data: "e"}}, "1", 5 * time.Millisecond}},
		{"each has a BOM", "\uFEFFdata: f\n\n", parsed{[]core.Event{{ID: "1", Data: "f"}}, "1", 5 * time.Millisecond}},
		{"empty", "", parsed{nil, "1", 5 * time.Millisecond}},
		{"resets", "id\nretry: 6\n\n", parsed{nil, "", 6 * time.Millisecond}},
		{"from nothing", "data: g\n\n", parsed{[]core.Event{{Data: "g"}}, "", 6 * time.Millisecond}},
	} {
		got := events(t, p.Read(strings.NewReader(tt.wire)))
		same(t, tt.name, parsed{got, p.LastEventID, p.Retry}, tt.want)
	}
}

// The limit is exact, and does not depend on how the reader splits the bytes.
func TestParserMaxEventSize(t *testing.T) {
	tests := []struct {
		name, wire string
		comments   bool
		fits       int // the smallest limit with which it passes
	}{
		{"two events that fit", "data: 0123456789\n\ndata: 0123456789\n\n", false, len("data: 0123456789")},
		{"ID and type count", "id: 12\nevent: ab\ndata: 0123456789\n\n", false, len("12ab") + len("data: 0123456789")},
		{"a comment line", ": 0123456789\ndata: x\n\n", false, len(": 0123456789")},
		{"an unknown field", "unknown: 0123456789\ndata: x\n\n", false, len("unknown: 0123456789")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
				wire := strings.ReplaceAll(tt.wire, "\n", lineEnd)
				for limit := 4; limit <= 2*tt.fits; limit++ {
					outcomes := map[bool][]string{}
					for n := 1; n <= len(wire); n++ {
						p := core.Parser{MaxEventSize: limit, Comments: tt.comments}
						_, err := drain(t, p.Read(&chunks{parts: cut(wire, n)}))
						if err != nil && !errors.Is(err, core.ErrEventTooLarge) {
							t.Fatal(err)
						}
						if err != nil && limit >= tt.fits {
							t.Fatalf("limit %d, in parts of %d: got %v, want none from %d on", limit, n, err, tt.fits)
						}
						if err == nil && limit < tt.fits {
							t.Fatalf("limit %d, in parts of %d: got no error, want %v below %d", limit, n, core.ErrEventTooLarge, tt.fits)
						}
						outcomes[err == nil] = append(outcomes[err == nil], fmt.Sprint(n))
					}
					if len(outcomes) != 1 {
						t.Fatalf("limit %d, line end %q: it fits in parts of %s bytes and not in parts of %s, want one of them",
							limit, lineEnd, strings.Join(outcomes[true], " "), strings.Join(outcomes[false], " "))
					}
				}
			}
		})
	}
}

// Comments do not count as a part of an event, however many there are.
func TestParserCommentsHaveNoSize(t *testing.T) {
	const beats = 400
	p := core.Parser{Comments: true, MaxEventSize: 1000}
	got := events(t, p.Read(strings.NewReader("data: a\n\n"+strings.Repeat(": hb\n", beats)+"data: b\n\n")))
	want := slices.Concat([]core.Event{{Data: "a"}}, slices.Repeat([]core.Event{{Comment: "hb"}}, beats), []core.Event{{Data: "b"}})
	if !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d: %.200q", len(got), len(want), fmt.Sprint(got))
	}
}

// endless returns a start, repeats a block forever, and counts bytes.
type endless struct {
	start, block string
	read         int
	limit        int // where it stops, with io.EOF
}

func (r *endless) Read(p []byte) (int, error) {
	if r.read >= r.limit {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		if at := r.read; at < len(r.start) {
			c := copy(p[n:], r.start[at:])
			n, r.read = n+c, r.read+c
			continue
		}
		at := (r.read - len(r.start)) % len(r.block)
		c := copy(p[n:], r.block[at:])
		n, r.read = n+c, r.read+c
	}
	return n, nil
}

func TestParserEndless(t *testing.T) {
	const limit = 20_000
	tests := []struct {
		name, start, block string
		comments, fails    bool
	}{
		{"data line", "data: ", "x", false, true},
		{"comment line", ": ", "x", false, true},
		{"comment line in the Comments mode", ": ", "x", true, true},
		{"unknown line", "unknown: ", "x", false, true},
		{"name", "", "x", false, true},
		{"NULs", "", "\x00", false, true},
		{"data lines", "", "data: 0123456789\n", false, true},
		{"empty data lines", "", "data\n", false, true},
		{"data lines with CR", "", "data: 0123456789\r", false, true},
		{"data lines with CRLF", "", "data: 0123456789\r\n", false, true},
		{"comments in the Comments mode", "", ": heartbeat\n", true, false},
		{"empty comments in the Comments mode", "data: x\n", ":\n", true, false},
		{"comments", "", ": heartbeat\n", false, false},
		{"empty comments", "data: x\n", ":\n", false, false},
		{"comment blocks in the Comments mode", "", ":\n\n", true, false},
		{"blank lines", "", "\n", false, false},
		{"unknown fields", "id\n", "unknown: x\n", false, false},
		{"reconnection times", "", "retry: 1\n", false, false},
		{"types", "", "event: a\nevent: b\n", false, false},
		{"IDs", "", "id: a\nid: b\n", false, false},
		{"events", "", "id: a\ndata: 0123456789\n\n", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &endless{start: tt.start, block: tt.block, limit: 20 * limit}
			p := core.Parser{MaxEventSize: limit, Comments: tt.comments}
			_, err := drain(t, p.Read(r))
			if !tt.fails {
				if err != nil {
					t.Errorf("got %v after %d bytes, want none", err, r.read)
				}
				return
			}
			if !errors.Is(err, core.ErrEventTooLarge) || !strings.Contains(fmt.Sprint(err), " 20000 ") {
				t.Errorf("got error %v, want %v with the limit", err, core.ErrEventTooLarge)
			}
			if r.read > 10*limit {
				t.Errorf("got an end after %d bytes, want one soon after %d", r.read, limit)
			}
		})
	}

	t.Run("default", func(t *testing.T) {
		for _, n := range []int{0, -1} {
			r := &endless{start: "data: ", block: strings.Repeat("x", 4096), limit: 64 << 20}
			p := core.Parser{MaxEventSize: n}
			if _, err := drain(t, p.Read(r)); !errors.Is(err, core.ErrEventTooLarge) || r.read < 16<<20 || r.read > 48<<20 {
				t.Errorf("limit %d: got %v after %d bytes, want %v soon after 16 MiB", n, err, r.read, core.ErrEventTooLarge)
			}
		}
	})
}

// The events before one that is too large are yielded, and its ID is not committed.
func TestParserTooLargeComesLast(t *testing.T) {
	p := core.Parser{MaxEventSize: 100}
	got, err := drain(t, p.Read(strings.NewReader("id: 1\ndata: x\n\nid: 2\ndata: "+strings.Repeat("x", 101)+"\n\ndata: y\n\n")))
	if !errors.Is(err, core.ErrEventTooLarge) {
		t.Errorf("got error %v, want %v", err, core.ErrEventTooLarge)
	}
	same(t, "stream", parsed{got, p.LastEventID, p.Retry}, parsed{events: []core.Event{{ID: "1", Data: "x"}}, lastEventID: "1"})
}

// Lines of about the sizes of the parser's buffers, split anywhere by reads.
func TestParserLongLines(t *testing.T) {
	var wire strings.Builder
	var want []core.Event
	for _, size := range []int{0, 1, 2040, 2048, 4083, 4088, 4089, 4090, 4091, 4095, 4096, 4097, 8190, 65535, 65536, 65537, 200_000, 3, 5000, 1_000_000, 7} {
		data := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		want = append(want, core.Event{Data: data})
		wire.WriteString("data: " + data + "\n\n")
	}
	for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
		text := strings.ReplaceAll(wire.String(), "\n", lineEnd)
		for name, r := range map[string]io.Reader{
			"whole":        strings.NewReader(text),
			"half reads":   iotest.HalfReader(strings.NewReader(text)),
			"parts of 997": &chunks{parts: cut(text, 997)},
		} {
			got := events(t, core.Read(r))
			if !slices.Equal(got, want) {
				t.Errorf("%s, line end %q: got %d events that differ from the %d sent", name, lineEnd, len(got), len(want))
			}
		}
	}
}

func TestParserEventOf10MB(t *testing.T) {
	data := strings.Repeat("0123456789\n", 1_000_000)
	wire, err := core.Event{ID: "1", Data: data}.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := events(t, core.Read(io.MultiReader(bytes.NewReader(wire), strings.NewReader("data: x\n\n"))))
	if want := []core.Event{{ID: "1", Data: data}, {ID: "1", Data: "x"}}; !slices.Equal(got, want) {
		t.Errorf("got %d events that differ from the %d sent", len(got), len(want))
	}
}

// patient passes reads on for a minute.
func patient(r io.Reader) io.Reader {
	begin, n := time.Now(), 0
	return readerFunc(func(p []byte) (int, error) {
		if n++; n%1024 == 1 && time.Since(begin) > time.Minute {
			return 0, errors.New("it takes too long: more than linear time")
		}
		return r.Read(p)
	})
}

// At these sizes anything but linear time would take minutes.
func TestParserIsLinear(t *testing.T) {
	const size = 2 << 20
	tests := []struct {
		name, wire string
		byByte     bool
	}{
		{"a long line by bytes", "data: " + strings.Repeat("x", size) + "\n\n", true},
		{"a long line with CR by bytes", "data: " + strings.Repeat("x", size) + "\r\r", true},
		{"short lines of an event by bytes", strings.Repeat("data: x\n", size/16) + "\n", true},
		{"short lines of an event with CR by bytes", strings.Repeat("data: x\r", size/16) + "\r", true},
		{"a big buffer and CR", "data: " + strings.Repeat("x", 2*size) + "\r\r" + strings.Repeat("data: x\r\r", size/8), false},
		{"a big buffer and LF", "data: " + strings.Repeat("x", 2*size) + "\n\n" + strings.Repeat("data: x\n\n", size/8), false},
		{"a big buffer, CR and one LF", "data: " + strings.Repeat("x", 2*size) + "\r\r" + strings.Repeat("data: x\r\r", size/8) + "\n", false},
		{"short lines of an event", strings.Repeat("data\n", size/2) + "\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r io.Reader = strings.NewReader(tt.wire)
			if tt.byByte {
				r = iotest.OneByteReader(r)
			}
			n := 0
			for e, err := range core.Read(patient(r)) {
				if err != nil {
					t.Fatal(err)
				}
				n += len(e.Data)
			}
			if most := len(tt.wire); n == 0 || n > most {
				t.Errorf("got %d bytes of data, want some, and %d at most", n, most)
			}
		})
	}
}

// The parser's memory does not grow with the stream.
func TestParserMemoryIsConstant(t *testing.T) {
	const rounds, size = 10, 256 << 10
	r, w := 0, 0
	var heap []uint64
	for _, err := range (&core.Parser{Comments: true}).Read(readerFunc(func(p []byte) (int, error) {
		if r%64 == 0 && w >= len(heap)*size {
			if len(heap) == rounds {
				return 0, io.EOF
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap = append(heap, m.HeapAlloc)
		}
		r++
		block := fmt.Appendf(nil, "id: %d\nevent: type-%d\nretry: %d\n: comment %d\ndata: %d\n\n", r, r, r, r, r)
		w += len(block)
		return copy(p, block), nil
	})) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, most := heap[len(heap)-1], heap[1]+64<<10; got > most {
		t.Errorf("got %d bytes in use at last, want %d at most: %d", got, most, heap)
	}
}

func TestParserAllocates(t *testing.T) {
	const n = 1000
	var wire []byte
	for i := range n {
		e := core.Event{ID: fmt.Sprintf("%07d", i), Type: "message-added", Data: strings.Repeat("x", 159)}
		wire, _ = e.AppendText(wire)
	}
	if got, want := len(wire)/n, 200; got != want {
		t.Fatalf("got events of %d bytes, want %d", got, want)
	}
	for _, lineEnd := range []string{"\n", "\r\n", "\r"} {
		r := bytes.NewReader(nil)
		text := bytes.ReplaceAll(wire, []byte("\n"), []byte(lineEnd))
		got := testing.AllocsPerRun(10, func() {
			r.Reset(text)
			for _, err := range core.Read(r) {
				if err != nil {
					t.Error(err)
				}
			}
		})
		if most := 2.0*n + 16; got > most {
			t.Errorf("line end %q: got %v allocations for %d events, want %v at most", lineEnd, got, n, most)
		}
	}
}

// The time depends little on the line end, and not at all in a buffer that a long line has
// enlarged.
func BenchmarkReadLineEnds(b *testing.B) {
	for _, size := range []int{0, 8 << 20} {
		for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
			b.Run(fmt.Sprintf("%q behind %d MiB", lineEnd, size>>20), func(b *testing.B) {
				first := "data: " + strings.Repeat("x", size) + lineEnd + lineEnd
				wire := first + strings.Repeat("data: 0123456789"+lineEnd+lineEnd, 100_000)
				b.SetBytes(int64(len(wire)))
				for b.Loop() {
					for _, err := range core.Read(strings.NewReader(wire)) {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// Short data of events that arrive together share allocations, and none is larger than 512
// bytes. One event alone has its own.
func TestReadSharesMemory(t *testing.T) {
	const events = 300
	allocations := func(size int) float64 {
		wire := strings.Repeat("data: "+strings.Repeat("x", size)+"\n\n", events)
		return testing.AllocsPerRun(10, func() {
			for _, err := range core.Read(strings.NewReader(wire)) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}) / events
	}
	for size, most := range map[int]float64{1: 0.05, 52: 0.2, 128: 0.4, 1000: 1.05} {
		if got, least := allocations(size), float64(size)/512; got > most || got < min(least, 1) {
			t.Errorf("%d bytes: got %v allocations for an event, want %v to %v", size, got, least, most)
		}
	}
	if got := allocations(129); got < 1 {
		t.Errorf("129 bytes: got %v allocations for an event, want one", got)
	}
}

// The end of a response tells whether an event was cut off.
func TestIncomplete(t *testing.T) {
	p := &core.Parser{}
	for _, test := range []struct {
		text string
		want bool
	}{
		{"", false},
		{"data: a\n\n", false},
		{"data: a\n\nda", true},
		{"data: a\n\ndata: b", true},
		{"data: a\n\ndata: b\n", true},
		{"data: a\r\n\r", false},
		{"data: a\n\nid: 2\r", true},
		{"data: a\n\nretry: 1\n", false},
		{"data: a\n\nretry: 1", true},
		{"data: a\n\n: comm", false},
		{"data: a\n\n   ", false},
		{"\ufeff: open\n", false},
		{"\ufeff", false},
	} {
		events(t, p.Read(iotest.OneByteReader(strings.NewReader(test.text))))
		if p.Incomplete != test.want {
			t.Errorf("%q: got %t, want %t", test.text, p.Incomplete, test.want)
		}
	}
	for _, err := range p.Read(strings.NewReader("data: a\n\ndata: b")) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if p.Incomplete {
		t.Error("a Read that was left has not come to the end")
	}
}
