package core_test

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

var _ encoding.TextAppender = core.Event{}

const maxDuration = time.Duration(math.MaxInt64)

func TestAppendText(t *testing.T) {
	tests := []struct {
		name  string
		event core.Event
		want  string
	}{
		// What is sent, and in which order.
		{"zero event", core.Event{}, "data: \n\n"},
		{"data", core.Event{Data: "hello"}, "data: hello\n\n"},
		{
			"all fields",
			core.Event{ID: "7", Type: "add", Data: "x", Retry: time.Second, Comment: "c"},
			": c\nid: 7\nevent: add\nretry: 1000\ndata: x\n\n",
		},
		{"ID alone has data", core.Event{ID: "7"}, "id: 7\ndata: \n\n"},
		{"type alone has data", core.Event{Type: "done"}, "event: done\ndata: \n\n"},
		{"comment alone has none", core.Event{Comment: "c"}, ": c\n\n"},
		{"retry alone has none", core.Event{Retry: time.Second}, "retry: 1000\n\n"},
		{"comment and retry have none", core.Event{Comment: "c", Retry: time.Second}, ": c\nretry: 1000\n\n"},
		{"comment and ID have data", core.Event{Comment: "c", ID: "7"}, ": c\nid: 7\ndata: \n\n"},
		{"retry and type have data", core.Event{Retry: time.Second, Type: "t"}, "event: t\nretry: 1000\ndata: \n\n"},
		{"comment and line end have data", core.Event{Comment: "c", Data: "\n"}, ": c\ndata: \ndata: \n\n"},

		// Lines of data.
		{"LF", core.Event{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		{"CR", core.Event{Data: "a\rb"}, "data: a\ndata: b\n\n"},
		{"CRLF is one line end", core.Event{Data: "a\r\nb"}, "data: a\ndata: b\n\n"},
		{"LF and CR are two", core.Event{Data: "a\n\rb"}, "data: a\ndata: \ndata: b\n\n"},
		{"CR and CRLF are two", core.Event{Data: "a\r\r\nb"}, "data: a\ndata: \ndata: b\n\n"},
		{"mixed", core.Event{Data: "a\rb\nc\r\nd"}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		{"LF at the end", core.Event{Data: "a\n"}, "data: a\ndata: \n\n"},
		{"CR at the end", core.Event{Data: "a\r"}, "data: a\ndata: \n\n"},
		{"CRLF at the end", core.Event{Data: "a\r\n"}, "data: a\ndata: \n\n"},
		{"LF at the start", core.Event{Data: "\na"}, "data: \ndata: a\n\n"},
		{"CR at the start", core.Event{Data: "\ra"}, "data: \ndata: a\n\n"},
		{"LF alone", core.Event{Data: "\n"}, "data: \ndata: \n\n"},
		{"CR alone", core.Event{Data: "\r"}, "data: \ndata: \n\n"},
		{"CRLF alone", core.Event{Data: "\r\n"}, "data: \ndata: \n\n"},
		{"blank line inside", core.Event{Data: "a\n\nb"}, "data: a\ndata: \ndata: b\n\n"},
		{"would-be fields", core.Event{Data: "a\nid: 1\r\rdata: x"}, "data: a\ndata: id: 1\ndata: \ndata: data: x\n\n"},
		{"VT is text", core.Event{Data: "a\vb"}, "data: a\vb\n\n"},
		{"FF is text", core.Event{Data: "a\fb"}, "data: a\fb\n\n"},
		{"NEL is text", core.Event{Data: "a\u0085b"}, "data: a\u0085b\n\n"},
		{"U+2028 is text", core.Event{Data: "a\u2028b"}, "data: a\u2028b\n\n"},
		{"U+2029 is text", core.Event{Data: "a\u2029b"}, "data: a\u2029b\n\n"},
		{"NUL is text", core.Event{Data: "a\x00b"}, "data: a\x00b\n\n"},
		{"lines of other alphabets", core.Event{Data: "日\r\n本\r語\n"}, "data: 日\ndata: 本\ndata: 語\ndata: \n\n"},

		// The space behind the colon.
		{"leading space", core.Event{Data: " world"}, "data:  world\n\n"},
		{"spaces only", core.Event{Data: "  "}, "data:   \n\n"},
		{"leading tab", core.Event{Data: "\tx"}, "data: \tx\n\n"},
		{"leading colon", core.Event{Data: ":x"}, "data: :x\n\n"},
		{"leading space of each line", core.Event{Data: " a\n b"}, "data:  a\ndata:  b\n\n"},
		{"leading space of ID and type", core.Event{ID: " 1", Type: " t"}, "id:  1\nevent:  t\ndata: \n\n"},

		// What an ID and a Type may hold.
		{"tab and colon", core.Event{ID: "a\tb:c", Type: "d\te:f"}, "id: a\tb:c\nevent: d\te:f\ndata: \n\n"},
		{"controls", core.Event{ID: "\x01\v\f\x1f\x7f", Type: "\b"}, "id: \x01\v\f\x1f\x7f\nevent: \b\ndata: \n\n"},
		{"other alphabets", core.Event{ID: "é", Type: "時間\u2028"}, "id: é\nevent: 時間\u2028\ndata: \n\n"},
		{"type message stays", core.Event{Type: "message"}, "event: message\ndata: \n\n"},

		// Comments.
		{"comment of lines", core.Event{Comment: "a\nb\rc\r\nd"}, ": a\n: b\n: c\n: d\n\n"},
		{"comment with line end", core.Event{Comment: "a\n"}, ": a\n: \n\n"},
		{"comment of a line end", core.Event{Comment: "\r\n"}, ": \n: \n\n"},
		{"comment of a space", core.Event{Comment: " "}, ":  \n\n"},
		{"comment like a field", core.Event{Comment: "data: x\n\ndata: y"}, ": data: x\n: \n: data: y\n\n"},
		{"comment in other alphabets", core.Event{Comment: "né\nß"}, ": né\n: ß\n\n"},

		// Reconnection times.
		{"1 ms", core.Event{Retry: time.Millisecond}, "retry: 1\n\n"},
		{"1 ns is rounded up", core.Event{Retry: 1}, "retry: 1\n\n"},
		{"just under 1 ms", core.Event{Retry: time.Millisecond - 1}, "retry: 1\n\n"},
		{"just over 1 ms", core.Event{Retry: time.Millisecond + 1}, "retry: 2\n\n"},
		{"2 ms", core.Event{Retry: 2 * time.Millisecond}, "retry: 2\n\n"},
		{"the longest", core.Event{Retry: maxDuration}, "retry: 9223372036855\n\n"},
		{"with data", core.Event{Data: "x", Retry: 1500 * time.Millisecond}, "retry: 1500\ndata: x\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.event.AppendText(nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}

			// It is appended, and no byte after it is touched.
			buf := []byte(strings.Repeat("#", len("before")+len(got)+16))
			copy(buf, "before")
			got, err = tt.event.AppendText(buf[:len("before")])
			if err != nil || string(got) != "before"+tt.want {
				t.Errorf("got %q, %v, want %q", got, err, "before"+tt.want)
			}
			if rest, want := string(buf[len(got):]), strings.Repeat("#", 16); rest != want {
				t.Errorf("bytes beyond: got %q, want %q", rest, want)
			}
		})
	}
}

// invalidUTF8 are byte sequences and how they are decoded: with one U+FFFD for each
// maximal subpart.
var invalidUTF8 = []struct{ name, in, want string }{
	{"continuation", "\x80", "\uFFFD"},
	{"two continuations", "\x80\xBF", "\uFFFD\uFFFD"},
	{"FE and FF", "\xFE\xFF", "\uFFFD\uFFFD"},
	{"in text", "a\xFFb", "a\uFFFDb"},
	{"overlong of two", "\xC0\xAF\xC1\xBF", "\uFFFD\uFFFD\uFFFD\uFFFD"},
	{"overlong of three", "\xE0\x80\xAF\xE0\x9F\xBF", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
	{"overlong of four", "\xF0\x80\x80\xAF\xF0\x8F\xBF\xBF", strings.Repeat("\uFFFD", 8)},
	{"surrogates", "\xED\xA0\x80\xED\xBF\xBF", strings.Repeat("\uFFFD", 6)},
	{"beyond U+10FFFF", "\xF4\x90\x80\x80\xF5\x80", strings.Repeat("\uFFFD", 6)},
	{"one of two", "\xC3", "\uFFFD"},
	{"one of three", "\xE2", "\uFFFD"},
	{"two of three", "\xE2\x82", "\uFFFD"},
	{"two of three, lowest", "\xE0\xA0", "\uFFFD"},
	{"two of three, below the surrogates", "\xED\x9F", "\uFFFD"},
	{"one of four", "\xF0", "\uFFFD"},
	{"two of four", "\xF0\x9F", "\uFFFD"},
	{"three of four", "\xF0\x9F\x98", "\uFFFD"},
	{"three of four, highest", "\xF4\x8F\xBF", "\uFFFD"},
	{"three of four and text", "\xF0\x9F\x98x", "\uFFFDx"},
	{"start after start", "\xE2\x82\xE2\x82\xAC", "\uFFFD€"},
	{"parts of three", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA", "\uFFFD\uFFFD\uFFFD\uFFFDA"},
	{"parts and singles", "\xF4\x91\x92\x93\xFFA\x80\xBFB", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB"},
	{"one too many", "\xE2\x82\xAC\xAC", "€\uFFFD"},
	{"an encoded U+FFFD", "\uFFFD\xFF\uFFFD", "\uFFFD\uFFFD\uFFFD"},
	{"borders of what is valid", "\u0080\u07FF\u0800\uD7FF\uE000\uFFFF\U00010000\U0010FFFF", "\u0080\u07FF\u0800\uD7FF\uE000\uFFFF\U00010000\U0010FFFF"},
	{"a byte order mark is text", "\uFEFFa", "\uFEFFa"},
}

func TestAppendTextInvalidUTF8(t *testing.T) {
	fields := []struct {
		name  string
		event func(s string) core.Event
		wire  string
	}{
		{"ID", func(s string) core.Event { return core.Event{ID: s} }, "id: %s\ndata: \n\n"},
		{"Type", func(s string) core.Event { return core.Event{Type: s} }, "event: %s\ndata: \n\n"},
		{"Data", func(s string) core.Event { return core.Event{Data: s} }, "data: %s\n\n"},
		{"Data's first line", func(s string) core.Event { return core.Event{Data: s + "\rx"} }, "data: %s\ndata: x\n\n"},
		{"Data's last line", func(s string) core.Event { return core.Event{Data: "x\r\n" + s} }, "data: x\ndata: %s\n\n"},
		{"Comment", func(s string) core.Event { return core.Event{Comment: s} }, ": %s\n\n"},
	}
	for _, f := range fields {
		for _, tt := range invalidUTF8 {
			t.Run(f.name+"/"+tt.name, func(t *testing.T) {
				for _, around := range []string{"", "x", strings.Repeat("0123456789", 5)} {
					got, err := f.event(around + tt.in + around).AppendText(nil)
					want := fmt.Sprintf(f.wire, around+tt.want+around)
					if err != nil || string(got) != want {
						t.Errorf("got %q, %v, want %q", got, err, want)
					}
				}
			})
		}
	}
}

// One special byte, at each place of texts of each length.
func TestAppendTextFindsEachByte(t *testing.T) {
	const text = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&()*+"
	for _, tt := range []struct {
		name, in, data string
		refused        bool // in an ID and a Type
	}{
		{"LF", "\n", "\ndata: ", true},
		{"CR", "\r", "\ndata: ", true},
		{"NUL", "\x00", "\x00", true},
		{"tab", "\t", "\t", false},
		{"SO", "\x0e", "\x0e", false},
		{"space", " ", " ", false},
		{"DEL", "\x7f", "\x7f", false},
		{"80", "\x80", "\uFFFD", false},
		{"8A", "\x8a", "\uFFFD", false},
		{"FF", "\xff", "\uFFFD", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range len(text) {
				for i := range n + 1 {
					before, after := text[:i], text[i:n]
					s := before + tt.in + after
					got, err := core.Event{Data: s}.AppendText(nil)
					if want := "data: " + before + tt.data + after + "\n\n"; err != nil || string(got) != want {
						t.Fatalf("Data: got %q, %v, want %q", got, err, want)
					}
					got, err = core.Event{ID: s}.AppendText(nil)
					if (err != nil) != tt.refused {
						t.Fatalf("ID %q: got %q, %v, want an error: %v", s, got, err, tt.refused)
					}
					if want := "id: " + before + tt.data + after + "\ndata: \n\n"; err == nil && string(got) != want {
						t.Fatalf("ID: got %q, want %q", got, want)
					}
					if got, err = (core.Event{Type: s}).AppendText(nil); (err != nil) != tt.refused {
						t.Fatalf("Type %q: got %q, %v, want an error: %v", s, got, err, tt.refused)
					}
				}
			}
		})
	}
}

func TestAppendTextRefuses(t *testing.T) {
	long := strings.Repeat("0123456789", 10)
	tests := []struct {
		name  string
		event core.Event
		field string
	}{
		{"LF in ID", core.Event{ID: "1\n", Data: "x"}, "ID"},
		{"CR in ID", core.Event{ID: "\r1", Data: "x"}, "ID"},
		{"CRLF in ID", core.Event{ID: "1\r\ndata: y", Data: "x"}, "ID"},
		{"NUL in ID", core.Event{ID: "a\x00b"}, "ID"},
		{"NUL at the end of a long ID", core.Event{ID: long + "\x00"}, "ID"},
		{"LF in an ID of another alphabet", core.Event{ID: "é\n"}, "ID"},
		{"LF in an invalid ID", core.Event{ID: "\xff\n"}, "ID"},
		{"LF in Type", core.Event{Type: "a\nb", Data: "x"}, "Type"},
		{"CR in Type", core.Event{Type: "a\r", Data: "x"}, "Type"},
		{"NUL in Type", core.Event{Type: "\x00"}, "Type"},
		{"LF in a Type of another alphabet", core.Event{Type: "時\n間"}, "Type"},
		{"Type next to a good ID", core.Event{ID: "1", Type: "a\nb", Comment: "c"}, "Type"},
		{"ID alone", core.Event{ID: "\n"}, "ID"},
		{"negative Retry", core.Event{Retry: -time.Second, Data: "x"}, "Retry"},
		{"Retry of -1 ns", core.Event{Retry: -1}, "Retry"},
		{"the least Retry", core.Event{Retry: math.MinInt64, Comment: "c"}, "Retry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buf := []byte("before" + strings.Repeat("#", 256))
			all := string(buf)
			got, err := tt.event.AppendText(buf[:len("before")])
			if err == nil {
				t.Fatalf("got %q, want an error", got)
			}
			if !strings.HasPrefix(err.Error(), "core: event "+tt.field+" ") {
				t.Errorf("got error %q, want one that names %s", err, tt.field)
			}
			if string(got) != "before" || &got[0] != &buf[0] || cap(got) != cap(buf) {
				t.Errorf("got %q, want b as it was", got)
			}
			if string(buf) != all {
				t.Errorf("bytes beyond: got %q, want %q", buf, all)
			}
			if got, _ := tt.event.AppendText(nil); got != nil {
				t.Errorf("got %q, want nil for nil", got)
			}
		})
	}
}

// A block ends with its only blank line, so that blocks can follow each other.
func TestAppendTextMakesOneBlock(t *testing.T) {
	for _, s := range []string{"", "x", "\n", "\n\n", "\r\r", "\r\n\r\n", "a\n\nb\r\r", "é\n\n\xff"} {
		for _, e := range []core.Event{{Data: s}, {Comment: s}, {Data: s, Comment: s, ID: "1", Type: "t", Retry: 1}} {
			b, err := e.AppendText(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Index(string(b), "\n\n"), len(b)-2; got != want {
				t.Errorf("%q: first blank line: got %d, want %d", b, got, want)
			}
			if i := bytes.IndexByte(b, '\r'); i >= 0 {
				t.Errorf("%q: got a CR at %d, want none", b, i)
			}
		}
	}
}

func TestAppendTextAllocates(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, tt := range []struct {
		name  string
		event core.Event
	}{
		{"200 bytes", core.Event{ID: "1234567", Type: "message-added", Data: strings.Repeat("x", 159)}},
		{"lines", core.Event{Data: strings.Repeat("0123456789\n", 20)}},
		{"CRLF lines", core.Event{Data: strings.Repeat("0123456789\r\n", 20)}},
		{"other alphabets", core.Event{ID: "é", Type: "時間", Data: "時間\nß", Comment: "né"}},
		{"all fields", core.Event{ID: "1", Type: "t", Data: "x", Comment: "c", Retry: time.Hour}},
		{"comment", core.Event{Comment: "heartbeat"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := testing.AllocsPerRun(100, func() {
				if _, err := tt.event.AppendText(buf); err != nil {
					t.Error(err)
				}
			})
			if got != 0 {
				t.Errorf("got %v allocations, want 0", got)
			}
		})
	}
}

type failing struct{}

var errFailing = errors.New("no JSON of this")

func (failing) MarshalJSON() ([]byte, error) { return nil, errFailing }

func TestJSON(t *testing.T) {
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"nil", nil, `null`},
		{"string", "a", `"a"`},
		{"line ends are escaped", "a\r\nb\n", `"a\r\nb\n"`},
		{"HTML stays", "<a href='x'>&</a>", `"<a href='x'>&</a>"`},
		{"other alphabets stay", []string{"当前时间:", "é", "😀"}, `["当前时间:","é","😀"]`},
		{"struct", struct {
			N int    `json:"n"`
			S string `json:"s"`
		}{1, "<"}, `{"n":1,"s":"<"}`},
		{"raw JSON of lines is one line", json.RawMessage("{\n\"a\": 1\n}"), `{"a":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := core.Event{ID: "1", Type: "t", Data: "old", Retry: time.Second, Comment: "c"}
			got, err := e.JSON(tt.value)
			want := core.Event{ID: "1", Type: "t", Data: tt.want, Retry: time.Second, Comment: "c"}
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if e.Data != "old" {
				t.Errorf("e.Data: got %q, want it as it was", e.Data)
			}
		})
	}
}

// Data of every length around the encoder's own, and what RFC 4648 has as test vectors.
func TestBase64(t *testing.T) {
	for raw, want := range map[string]string{
		"": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE=", "foobar": "Zm9vYmFy", "\xfb\xff": "+/8=",
	} {
		e := core.Event{ID: "1", Type: "t", Data: "old", Retry: time.Second, Comment: "c"}
		if got, want := e.Base64([]byte(raw)), (core.Event{ID: "1", Type: "t", Data: want, Retry: time.Second, Comment: "c"}); got != want {
			t.Errorf("%q: got %+v, want %+v", raw, got, want)
		}
	}
	raw := make([]byte, 3000)
	for i := range raw {
		raw[i] = byte(i * i >> 3) //nolint:gosec // any byte
	}
	for n := range raw {
		if got, want := (core.Event{}).Base64(raw[:n]).Data, base64.StdEncoding.EncodeToString(raw[:n]); got != want {
			t.Fatalf("%d bytes: got %q, want %q", n, got, want)
		}
	}
	if got := testing.AllocsPerRun(100, func() { _ = core.Event{}.Base64(raw) }); got != 1 {
		t.Errorf("got %v allocations, want only the data's", got)
	}
}

func TestJSONFails(t *testing.T) {
	e := core.Event{ID: "1", Data: "old"}
	for _, v := range []any{make(chan int), math.NaN(), failing{}, []any{"a", failing{}}} {
		got, err := e.JSON(v)
		if err == nil || got != e {
			t.Errorf("%T: got %+v, %v, want %+v and an error", v, got, err, e)
			continue
		}
		if !strings.HasPrefix(err.Error(), "core: event data: ") {
			t.Errorf("%T: got error %q, want one that says where", v, err)
		}
	}
	if _, err := e.JSON(failing{}); !errors.Is(err, errFailing) {
		t.Errorf("got error %v, want it to wrap %v", err, errFailing)
	}
}

// UnmarshalText refuses what is not one event in its wire form. FuzzRoundTrip tests texts
// that are.
func TestEventUnmarshalText(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       core.Event
		err        string
	}{
		{name: "all fields", text: ": a\n: b\nid: 1\nevent: t\nretry: 5\ndata: x\ndata: y\n\n", want: core.Event{ID: "1", Type: "t", Data: "x\ny", Comment: "a\nb", Retry: 5 * time.Millisecond}},
		{name: "no spaces", text: ":\ndata:x\n\n", want: core.Event{Data: "x", Comment: " "}},
		{name: "unknown field", text: "foo: 1\ndata: x\n\n", want: core.Event{Data: "x"}},
		{name: "nothing", err: "blank line"},
		{name: "a blank line", text: "\n", err: "blank line"},
		{name: "blank lines", text: "\n\n", err: "blank line"},
		{name: "blank lines first", text: "\n\ndata: x\n\n", err: "blank line"},
		{name: "a blank line first", text: "\ndata: x\n\n", err: "blank line"},
		{name: "a blank line too many", text: "data: x\n\n\n", err: "blank line"},
		{name: "no blank line", text: "data: x\n", err: "blank line"},
		{name: "no line end", text: "data: x", err: "blank line"},
		{name: "two events", text: "data: x\n\ndata: y\n\n", err: "blank line"},
		{name: "CR", text: "data: x\ry\n\n", err: "LF"},
		{name: "an ID alone", text: "id: 1\n\n", err: "no data line"},
		{name: "a type and a comment", text: ": c\nevent: t\n\n", err: "no data line"},
		{name: "an unknown field alone", text: "foo: 1\n\n", err: "no data line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := core.Event{ID: "before", Type: "t", Data: "d"}
			got := before
			err := got.UnmarshalText([]byte(tt.text))
			switch {
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || got != before):
				t.Errorf("got %+v, %v, want the event as it was, and an error about %s", got, err, tt.err)
			}
		})
	}
}
