package check

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Wire describes the bytes of a stream, apart from their meaning: a client's parser
// silently accepts most mistakes. The zero value is ready for use.
type Wire struct {
	LF, CRLF, CR int // line ends; CR counts those without an LF
	BOM          bool
	InvalidUTF8  bool
	Comments     int

	Spaced   int // data lines with a space after the colon
	Unspaced int // data lines with a value and no space before it

	Unknown      []string // names of fields that do not exist, bounded
	UnknownLines int
	BadRetry     string // the first with anything but digits
	BadRetries   int
	Retries      Range // of reconnection times
	NulIDs       int

	IDOnly     int // blocks with an ID and no data line
	NoData     int // blocks with a type and no data line
	Unfinished bool
	Pending    int64 // bytes of the event that has not ended

	known   bool // a line was a known field or a comment
	started bool
	afterCR bool
	open    bool // in a line
	line    []byte
	carry   []byte // the beginning of a character
	block   struct{ data, id, typ bool }
	ids     []string // of events, not yet taken; empty if an event has none
	id      string
}

// A Range has the shortest and the longest of some times. The zero Range is empty.
type Range struct {
	Any               bool
	Shortest, Longest time.Duration
}

func (r *Range) add(d time.Duration) {
	if !r.Any {
		*r = Range{true, d, d}
	}
	r.Shortest, r.Longest = min(r.Shortest, d), max(r.Longest, d)
}

const maxUnknown = 5

// Write takes the next bytes.
func (w *Wire) Write(p []byte) (int, error) {
	n := len(p)
	w.text(p)
	for len(p) > 0 {
		if w.afterCR {
			w.afterCR = false
			if p[0] == '\n' {
				w.CRLF++
				w.CR--
				p = p[1:]
				continue
			}
		}
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			w.take(p)
			break
		}
		w.take(p[:i])
		if p[i] == '\r' {
			w.CR++
			w.afterCR = true
		} else {
			w.LF++
		}
		w.endLine()
		p = p[i+1:]
	}
	return n, nil
}

// Close is called at the end of the response.
func (w *Wire) Close() error {
	w.Unfinished = w.inEvent()
	w.InvalidUTF8 = w.InvalidUTF8 || len(w.carry) > 0
	return nil
}

// inEvent reports whether an event has begun and not ended. A comment is not an event.
func (w *Wire) inEvent() bool {
	begun := w.open && (len(w.line) == 0 || w.line[0] != ':')
	return begun || w.block.data || w.block.typ || w.block.id
}

// nextID returns the ID in the event that the parser has just yielded.
func (w *Wire) nextID() string {
	if len(w.ids) == 0 {
		return ""
	}
	id := w.ids[0]
	w.ids = slices.Delete(w.ids, 0, 1)
	return id
}

// text looks for invalid UTF-8. A character may be split between two calls.
func (w *Wire) text(p []byte) {
	if w.InvalidUTF8 {
		return
	}
	for len(w.carry) > 0 && len(p) > 0 && !utf8.FullRune(w.carry) {
		w.carry = append(w.carry, p[0])
		p = p[1:]
	}
	if len(w.carry) > 0 {
		if !utf8.FullRune(w.carry) {
			return
		}
		if !utf8.Valid(w.carry) {
			w.InvalidUTF8 = true
			return
		}
		w.carry = w.carry[:0]
	}
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				w.carry = append(w.carry, p[i:]...)
				p = p[:i]
			}
			break
		}
	}
	w.InvalidUTF8 = !utf8.Valid(p)
}

// take adds a part of a line. Lines are judged whole. The parser reads the same bytes
// and limits their length.
func (w *Wire) take(p []byte) {
	if len(p) == 0 {
		return
	}
	w.open = true
	w.Pending += int64(len(p))
	w.line = append(w.line, p...)
}

func (w *Wire) endLine() {
	line := w.line
	w.line, w.open = w.line[:0], false
	if cap(line) > large {
		w.line = nil
	}
	if !w.started {
		w.started = true
		if bytes.HasPrefix(line, []byte("\uFEFF")) {
			w.BOM = true
			line = line[len("\uFEFF"):]
		}
	}
	if len(line) == 0 {
		w.endBlock()
		return
	}
	name, value, colon := bytes.Cut(line, []byte(":"))
	text, spaced := bytes.CutPrefix(value, []byte(" "))
	switch string(name) {
	case "":
		w.Comments++
	case "data":
		w.block.data = true
		if spaced {
			w.Spaced++
		} else if len(value) > 0 {
			w.Unspaced++
		}
	case "event":
		w.block.typ = true
	case "id":
		if bytes.IndexByte(text, 0) >= 0 {
			w.NulIDs++
			break
		}
		w.block.id = true
		w.id = strings.ToValidUTF8(string(text), "\uFFFD")
	case "retry":
		if len(text) == 0 || len(bytes.Trim(text, "0123456789")) > 0 {
			if w.BadRetries++; w.BadRetries == 1 {
				w.BadRetry = string(text)
			}
		} else if ms, err := strconv.ParseInt(string(text), 10, 64); err != nil || ms > int64(longestRetry/time.Millisecond) {
			w.Retries.add(longestRetry)
		} else {
			w.Retries.add(time.Duration(ms) * time.Millisecond)
		}
	default:
		w.unknown(name, colon)
		return
	}
	w.known = true
}

// longestRetry stands for all longer times.
const longestRetry = 1000 * time.Hour

func (w *Wire) unknown(name []byte, colon bool) {
	w.UnknownLines++
	shown := name
	if !colon {
		shown = append(slices.Clip(name), " (a line without a colon)"...)
	}
	if len(name) > 40 {
		shown = append(slices.Clip(name[:40]), "..."...)
	}
	if len(w.Unknown) < maxUnknown && !slices.Contains(w.Unknown, string(shown)) {
		w.Unknown = append(w.Unknown, string(shown))
	}
}

func (w *Wire) endBlock() {
	b := w.block
	w.Pending = 0
	w.block = struct{ data, id, typ bool }{}
	id := w.id
	w.id = ""
	switch {
	case b.data:
		w.ids = append(w.ids, id)
	case b.id:
		w.IDOnly++
	case b.typ:
		w.NoData++
	}
}
