package core_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// wellFormed is table 3-7 of the Unicode standard: the range of each byte of a
// character.
var wellFormed = [][][2]byte{
	{{0x00, 0x7F}},
	{{0xC2, 0xDF}, {0x80, 0xBF}},
	{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
	{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
	{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
}

// decodeUTF8 replaces each maximal subpart of an ill-formed sequence: the longest
// beginning of a row of wellFormed, or one byte.
func decodeUTF8(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		taken, whole := 1, false
		for _, row := range wellFormed {
			n := 0
			for n < len(row) && n < len(s) && row[n][0] <= s[n] && s[n] <= row[n][1] {
				n++
			}
			taken, whole = max(taken, n), whole || n == len(row)
		}
		if whole {
			out.WriteString(s[:taken])
		} else {
			out.WriteString("\uFFFD")
		}
		s = s[taken:]
	}
	return out.String()
}

var lineEnds = regexp.MustCompile(`\r\n|\r|\n`)

// received returns e as a client gets it, or false if e cannot be sent.
func received(e core.Event) (core.Event, bool) {
	if strings.ContainsAny(e.ID+e.Type, "\r\n\x00") || e.Retry < 0 {
		return e, false
	}
	lines := func(s string) string { return lineEnds.ReplaceAllString(decodeUTF8(s), "\n") }
	retry := e.Retry.Truncate(time.Millisecond)
	if retry < e.Retry && retry <= math.MaxInt64-time.Millisecond {
		retry += time.Millisecond
	}
	return core.Event{
		ID:      decodeUTF8(e.ID),
		Type:    decodeUTF8(e.Type),
		Data:    lines(e.Data),
		Comment: lines(e.Comment),
		Retry:   retry,
	}, true
}

// parsed is the result of parsing a stream.
type parsed struct {
	events      []core.Event
	lastEventID string
	retry       time.Duration
}

// reference parses a whole stream word for word as the standard says, without regard to
// time or memory.
func reference(wire string, comments bool) parsed {
	var (
		p             parsed
		id, typ, data string
		retry         time.Duration
		text          = strings.TrimPrefix(decodeUTF8(wire), "\uFEFF")
		lines         = lineEnds.Split(text, -1)
	)
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		if line == "" {
			p.lastEventID = id
			e := core.Event{ID: id, Type: typ, Data: strings.TrimSuffix(data, "\n")}
			if data != "" && e != (core.Event{}) { // together they are an event
				e.Retry = retry
			} else if comments && retry > 0 {
				p.events = append(p.events, core.Event{Retry: retry})
			}
			if data != "" {
				p.events = append(p.events, e)
			}
			typ, data, retry = "", "", 0
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "data":
			data += value + "\n"
		case name == "event":
			typ = value
		case name == "id" && !strings.Contains(value, "\x00"):
			id = value
		case name == "retry" && regexp.MustCompile(`^[0-9]+$`).MatchString(value):
			ms, err := strconv.ParseInt(value, 10, 64)
			if most := int64(math.MaxInt64 / time.Millisecond); err != nil || ms > most {
				ms = most
			}
			retry = time.Duration(ms) * time.Millisecond
			p.retry = retry
		case name == "" && comments:
			if value == "" {
				value = " "
			}
			p.events = append(p.events, core.Event{Comment: value})
		}
	}
	if comments && retry > 0 {
		p.events = append(p.events, core.Event{Retry: retry})
	}
	return p
}

// foreign reports whether a whole response is not an event stream.
func foreign(wire string) bool {
	text := strings.TrimPrefix(decodeUTF8(wire), "\uFEFF")
	lines := lineEnds.Split(text, -1)
	some := false
	if wire == "\xEF" || wire == "\xEF\xBB" {
		return false // less than a byte order mark
	}
	for i, line := range lines {
		name, _, colon := strings.Cut(line, ":")
		switch {
		case line == "" || name == "":
		case name == "data" || name == "event" || name == "id" || name == "retry":
			if i < len(lines)-1 || !some {
				return false
			}
		case i == len(lines)-1 && !some && !colon && slices.ContainsFunc([]string{"data", "event", "id", "retry"}, func(known string) bool {
			return strings.HasPrefix(known, line)
		}):
			return false
		default:
			some = true
		}
	}
	return some
}

// pieces reads its bytes in random pieces, some of them empty, and ends in
// either of the two ways that a reader may.
type pieces struct {
	rest []byte
	rand *rand.Rand
	max  int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.rand.IntN(p.max+1))], p.rest)
	p.rest = p.rest[n:]
	if len(p.rest) == 0 && (n == 0 || p.rand.IntN(2) == 0) {
		return n, io.EOF
	}
	return n, nil
}

// No input makes the parser panic or yield more than it has read, and it does not matter
// how the reader splits the bytes.
func FuzzRead(f *testing.F) {
	for _, tt := range parserTests {
		for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
			f.Add([]byte(strings.ReplaceAll(tt.wire, "\n", lineEnd)), uint64(1), uint8(2), false)
			f.Add([]byte(strings.ReplaceAll(tt.wire, "\n", lineEnd)), uint64(2), uint8(1), true)
		}
	}
	for _, tt := range invalidUTF8 {
		f.Add([]byte("id:"+tt.in+"\nevent:"+tt.in+"\ndata:"+tt.in+"\n:"+tt.in+"\n\n"), uint64(3), uint8(2), true)
	}
	f.Add([]byte("data: "+strings.Repeat("x", 5000)+"\r\n\r\ndata: y\r\r"), uint64(4), uint8(255), false)
	f.Add([]byte("data: "+strings.Repeat("x", 4089)+"\r\n\r\ndata: "+strings.Repeat("y", 2100)+"\n\n"), uint64(5), uint8(255), true)
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64, size uint8, comments bool) {
		want := reference(string(wire), comments)
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not a secret
		for name, r := range map[string]io.Reader{
			"whole":  bytes.NewReader(wire),
			"pieces": &pieces{wire, random, 1 + int(size)},
		} {
			p := core.Parser{Comments: comments}
			found, err := drain(t, p.Read(r))
			if errors.Is(err, core.ErrNotStream) != foreign(string(wire)) || err != nil && !errors.Is(err, core.ErrNotStream) {
				t.Errorf("%s: got error %v, want one that it is not a stream: %t", name, err, foreign(string(wire)))
			}
			got := parsed{events: found, lastEventID: p.LastEventID, retry: p.Retry}
			same(t, name, got, want)
			size := 0
			for _, e := range got.events {
				size += len(e.Type) + len(e.Data) + len(e.Comment)
			}
			if most := 3 * len(wire); size > most { // U+FFFD has three bytes
				t.Errorf("%s: got %d bytes of %d, want %d at most", name, size, len(wire), most)
			}
		}
	})
}

// An event that AppendText accepts is parsed once, and is the same event.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{
		"", "x", " ", " x", ":", "\t", "\n", "\r", "\r\n", "\n\r", "a\nb", "a\r\nb\r", "\x00", "data: x\n\nid: 1",
		"\uFEFF", "é", "\u2028", "\u0085", "\xff", "\xe2\x82", "\uFFFD", strings.Repeat("0123456789\n", 7),
	} {
		f.Add(s, s, s, int64(0), s)
		f.Add("", "", s, int64(0), "")
		f.Add("", "", "", int64(0), s)
		f.Add(s, "", "", int64(1), "c")
		f.Add("", s, "", int64(time.Second), "")
		f.Add("1", "t", s, int64(1_000_001), s)
	}
	for _, retry := range []int64{-1, 1, 999_999, 1_000_000, 1_000_001, math.MaxInt64, math.MinInt64} {
		f.Add("", "", "", retry, "")
		f.Add("1", "t", "x", retry, "c")
	}
	f.Fuzz(func(t *testing.T, id, typ, data string, retry int64, comment string) {
		e := core.Event{ID: id, Type: typ, Data: data, Retry: time.Duration(retry), Comment: comment}
		want, ok := received(e)
		wire, err := e.AppendText(nil)
		if (err == nil) != ok {
			t.Fatalf("%+v: got error %v, want one: %v", e, err, !ok)
		}
		if err != nil {
			return
		}
		got := core.Event{ID: "of", Type: "another", Data: "event", Comment: "x", Retry: time.Hour}
		if err := got.UnmarshalText(wire); err != nil || got != want {
			t.Errorf("UnmarshalText: got %+v, %v, want %+v", got, err, want)
		}
		again, err := got.AppendText(nil)
		if err != nil || !bytes.Equal(again, wire) && retry <= math.MaxInt64-1_000_000 {
			t.Errorf("encoded again: got %q, %v, want %q", again, err, wire)
		}

		// In a stream a comment is an event for each of its lines. The event is sent twice, so
		// that nothing of the first may remain in the second.
		p := core.Parser{Comments: true}
		found := parsed{events: events(t, p.Read(bytes.NewReader(slices.Concat(wire, wire)))), lastEventID: p.LastEventID, retry: p.Retry}
		var parts []core.Event
		if want.Comment != "" {
			for line := range strings.SplitSeq(want.Comment, "\n") {
				if line == "" {
					line = " "
				}
				parts = append(parts, core.Event{Comment: line})
			}
		}
		rest := want
		if rest.Comment = ""; rest != (core.Event{}) || want.Comment == "" {
			parts = append(parts, rest)
		}
		same(t, "in a stream", found, parsed{slices.Concat(parts, parts), want.ID, want.Retry})
	})
}

// Encoding and parsing both replace what a browser's decoder replaces.
func FuzzUTF8(f *testing.F) {
	for _, tt := range invalidUTF8 {
		for _, before := range []string{"", "x", "é", strings.Repeat("x", 31)} {
			f.Add(before + tt.in)
			f.Add(before + tt.in + "\n" + tt.in + "x")
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, e := range []core.Event{{Data: s}, {Comment: s + "x"}, {ID: s + "x"}, {Type: s + "x"}} {
			want, ok := received(e)
			if !ok {
				continue
			}
			wire, err := e.AppendText(nil)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, field := range []struct{ name, value string }{
				{"", want.Comment}, {"id", want.ID}, {"event", want.Type}, {"data", want.Data},
			} {
				if field.value != "" || field.name == "data" && want.Comment == "" {
					for line := range strings.SplitSeq(field.value, "\n") {
						lines = append(lines, field.name+": "+line+"\n")
					}
				}
			}
			if got, want := string(wire), strings.Join(lines, "")+"\n"; got != want {
				t.Errorf("AppendText: got %q, want %q", got, want)
			}
		}
		raw := lineEnds.ReplaceAllString(s, "")
		wire := "data: " + raw + "\n\n"
		got := events(t, core.Read(strings.NewReader(wire)))
		if want := decodeUTF8(raw); len(got) != 1 || got[0].Data != want {
			t.Errorf("Read: got %q, want %q", got, want)
		}
	})
}
