package adaptertest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yieldsse/yieldsse/core"
)

// encode returns the wire form of e without its comment, according to section 9.2 of the
// HTML standard and core's promises. It shares no code with core: it is slow, and easy to
// check. It is empty if e has only a comment.
func encode(e core.Event) []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + decodeUTF8(value) + "\n")
		}
	}
	field("id", e.ID)
	field("event", e.Type)
	if e.Retry > 0 {
		field("retry", milliseconds(e.Retry))
	}
	if e.Data != "" || e.ID != "" || e.Type != "" || e.Retry <= 0 && e.Comment == "" {
		text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(decodeUTF8(e.Data))
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString("data: " + line + "\n")
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.Bytes()
}

// milliseconds rounds up.
func milliseconds(d time.Duration) string {
	n := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		n++
	}
	return strconv.FormatInt(n, 10)
}

// decodeUTF8 does what a client's decoder does: the longest beginning of an incomplete
// character becomes one U+FFFD, and so does any other invalid byte.
func decodeUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			for k := 2; k <= min(3, len(s)) && !utf8.FullRuneInString(s[:k]); k++ {
				n = k
			}
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// A stripper removes comments from a stream, and blocks that have only comments. It
// checks that the session's own comments are where they may be.
type stripper struct {
	start  []byte // the line that sets the reconnection time, if there is one
	beat   []byte // the event that replaces the session's own comments, if there is one
	silent string // the line of a comment that replaces them

	whole  []byte // complete blocks
	block  []byte // lines of the next block
	line   []byte // the start of its next line
	lines  int
	last   []byte // the previous line, if it is a comment
	opened bool   // what follows start is the opening
	ended  bool   // the block that start begins has only the heartbeat event
	beats  int    // heartbeats, and openings that look like them
	odd    string // a session's own comment in a wrong place
}

func (s *stripper) write(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.line = append(s.line, p...)
			return
		}
		s.line = append(s.line, p[:end+1]...)
		p = p[end+1:]
		s.take()
		s.line = s.line[:0]
	}
}

const opening, heartbeat = ": open\n", ": heartbeat\n"

// take adds a line.
func (s *stripper) take() {
	line, last := string(s.line), string(s.last)
	own := s.own(line)
	starting := len(s.whole) == 0 && bytes.Equal(s.block, s.start) // no event has begun
	first := starting && s.lines == bytes.Count(s.start, []byte("\n"))
	switch {
	case (line == opening) && !first, own && !starting && len(s.block) > 0, s.replaces(line):
		s.odd = fmt.Sprintf("%q in line %d", line, s.lines+1)
	case s.own(last) && len(s.block) == 0 && line != "\n":
		s.odd = fmt.Sprintf("%q and no blank line, before line %d", last, s.lines+1)
	}
	s.opened = s.opened || first && (line == opening || s.silent != "" && line == s.silent)
	if own && line != opening {
		s.beats++
	}
	s.lines++
	s.last = s.last[:0]
	switch {
	case line[0] == ':':
		s.last = append(s.last, line...)
	case line != "\n":
		s.block = append(s.block, line...)
	case len(s.block) > 0:
		s.block = append(s.block, '\n')
		if !s.takeBeat(s.block) {
			s.whole = append(s.whole, s.block...)
		}
		s.block = s.block[:0]
	}
}

// own reports whether a line is a comment of the session's own.
func (s *stripper) own(line string) bool {
	return line == opening || line == heartbeat || s.silent != "" && line == s.silent
}

// replaces reports whether a line is a comment, although an event replaces it.
func (s *stripper) replaces(line string) bool {
	return (s.beat != nil || s.silent != "") && (line == opening || line == heartbeat)
}

// takeBeat removes a block that is the heartbeat event, and reports whether it is. Of the
// one that ends the block that start begins, start is left.
func (s *stripper) takeBeat(block []byte) bool {
	if s.beat == nil {
		return false
	}
	if bytes.Equal(block, s.beat) || bytes.Equal(block, s.first()) {
		s.beats++
	}
	s.opened = s.opened || bytes.Equal(block, s.first()) && s.lines == bytes.Count(block, []byte("\n"))
	if len(s.whole) == 0 && len(s.start) > 0 && bytes.Equal(block, s.first()) {
		s.whole, s.ended = append(s.whole, s.start...), true
		return true
	}
	return bytes.Equal(block, s.beat)
}

// first returns the first block, if it has the heartbeat event.
func (s *stripper) first() []byte { return append(bytes.Clone(s.start), s.beat...) }

// begun reports whether what may be the opening has arrived.
func (s *stripper) begun() bool { return s.lines > bytes.Count(s.first(), []byte("\n")) }

// all returns everything so far, without what may be a part of the heartbeat event.
func (s *stripper) all() []byte {
	tail := slices.Clip(s.block)
	if len(s.line) > 0 && s.line[0] != ':' {
		tail = append(tail, s.line...)
	}
	switch {
	case len(s.beat) == 0:
	case bytes.HasPrefix(s.beat, tail):
		tail = nil
	case len(s.whole) == 0 && len(tail) > len(s.start) && bytes.HasPrefix(s.first(), tail):
		tail = s.start
	}
	return append(bytes.Clone(s.whole), tail...)
}

// oddities are parts of texts.
var oddities = []string{
	"a", "price", " ", "  two", "\t", ":", ": no comment", "data: x", "id: 7", "event: e", "retry: 1",
	"\n", "\r", "\r\n", "\n\n", "\r\r\n", "\u0085", "\u2028", "\u2029", "\x00", "\x01", "\x0b", "\x0c", "\x1b[0m", "\x7f",
	"ä", "日本", "🎈", "\ufeff", "\ufffd", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x8e", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80",
	"0\r\n\r\n", "5\r\nhello\r\n", "</script>", `{"a":1}`,
}

// text returns about size bytes. In one line, it has nothing that an ID must not have.
func text(r *rand.Rand, size int, oneLine bool) string {
	var b strings.Builder
	for b.Len() < size {
		switch r.IntN(4) {
		case 0:
			b.WriteString(strings.Repeat("x", r.IntN(size-b.Len()+1)))
		case 1:
			b.WriteString(strings.Repeat(oddities[r.IntN(len(oddities))], 1+r.IntN(3)))
		case 2:
			if size > 10_000 { // otherwise it would take too long
				b.WriteString(strings.Repeat("0123456789 \n", r.IntN((size-b.Len())/12+1)))
			}
		default:
			b.WriteString(oddities[r.IntN(len(oddities))])
		}
	}
	s := b.String()
	if oneLine {
		s = strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s)
	}
	return s
}

// printable returns noise.
func printable(r *rand.Rand, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(' ' + r.IntN('~'-' ')) //nolint:gosec // it is printable
	}
	return string(b)
}

// goodEvent returns an event that can be encoded.
func goodEvent(r *rand.Rand, most int) core.Event {
	var e core.Event
	if r.IntN(3) > 0 {
		e.ID = text(r, r.IntN(12), true)
	}
	if r.IntN(3) == 0 {
		e.Type = text(r, r.IntN(12), true)
	}
	if r.IntN(8) == 0 {
		e.Retry = oneOf(r, 1, time.Microsecond, time.Millisecond, time.Millisecond+1, time.Hour, 1<<62)
	}
	if r.IntN(8) == 0 {
		e.Comment = text(r, r.IntN(30), false)
	}
	switch r.IntN(20) {
	case 0: // none
	case 1:
		e.Data = text(r, min(most, r.IntN(300<<10)), false)
	case 2, 3, 4:
		e.Data = text(r, min(most, r.IntN(40<<10)), false)
	default:
		e.Data = text(r, min(most, r.IntN(60)), false)
	}
	return e
}

// badEvent returns an event that cannot be encoded.
func badEvent(r *rand.Rand) core.Event {
	e := goodEvent(r, 1000)
	end := oneOf(r, "\r", "\n", "\r\n", "\x00")
	switch r.IntN(3) {
	case 0:
		e.ID += end + oneOf(r, "", "b")
	case 1:
		e.Type += end + oneOf(r, "", "b")
	default:
		e.Retry = oneOf(r, -1, -time.Hour, -1<<63)
	}
	return e
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }
