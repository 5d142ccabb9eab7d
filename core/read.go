package core

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

const (
	defaultMaxEventSize = 16 << 20
	readSize            = 4 << 10
	excerptSize         = 400
)

// Read parses an event stream as section 9.2.6 of the WHATWG HTML standard
// says, and yields the events that a browser would dispatch. It is what
// new(Parser).Read(r) is.
func Read(r io.Reader) Stream { return new(Parser).Read(r) }

// A Parser parses event streams. It holds what outlives a connection, so that a
// client can use one for all its connections, one after the other. The zero
// Parser works.
type Parser struct {
	// MaxEventSize bounds the bytes of an event. Beyond it the stream ends with
	// ErrEventTooLarge. Zero or less means 16 MiB.
	MaxEventSize int

	// Comments makes Read yield comments as well, and reconnection times that
	// no event came with, as events that have nothing else. A comment is one
	// line, and is yielded when that line has come, in front of the event in
	// whose block it stands. An empty one is read as a space.
	Comments bool

	// Positions makes Read yield where the stream moves the last event ID, or
	// resets it, without an event: as an event of this Type that has the new ID
	// and no data. So the ID of each event, comments and reconnection times
	// aside, is where the stream stands. Choose a Type that the stream does not
	// use. Empty, the default, yields none.
	Positions string

	// LastEventID is the last event ID that the stream has committed, with or
	// without an event. An event that brings no ID of its own has this one. Set
	// it before the first Read to resume.
	LastEventID string

	// Retry is the last reconnection time that the stream has set. It holds as
	// soon as its line has come.
	Retry time.Duration
}

// Read parses r to its end. The stream is for one use, by one goroutine. A read
// error other than [io.EOF] is its last element; an event that no blank line
// ended is discarded. If r ends and had lines, but no field and not only comments,
// [ErrNotStream] is the last element.
//
// Type is as it was sent: empty where the DOM says "message". Invalid UTF-8
// becomes U+FFFD.
func (p *Parser) Read(r io.Reader) Stream {
	return func(yield func(Event, error) bool) {
		s := parseState{parser: p, yield: yield, max: p.MaxEventSize, id: p.LastEventID}
		if s.max <= 0 {
			s.max = defaultMaxEventSize
		}
		err := s.read(r)
		if errors.Is(err, errStopped) {
			return
		}
		if p.Comments && s.retry > 0 && !yield(Event{Retry: s.retry}, nil) { // it holds without a blank line
			return
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// errStopped means that yield said false.
var errStopped = errors.New("core: stopped")

// A parseState is one call of Read: the event that is being read (the buffers of section
// 9.2.6), and what outlives it.
type parseState struct {
	parser *Parser
	yield  func(Event, error) bool
	max    int

	id       string // the last event ID buffer, which outlives the event
	typ      string
	types    [4]string // those seen last, for most streams have but a few
	nextType int
	data     []byte
	hasData  bool
	retry    time.Duration

	known bool   // a line of an event stream has come
	other string // the beginning of the first line that is none
}

// size is what of the block is kept. A line counts whole while it is read, so
// that the limit does not depend on how the reads fall.
func (s *parseState) size() int { return len(s.id) + len(s.typ) + len(s.data) }

// read cuts r into lines. A line ends at LF, CR or CRLF; a CR is acted upon at
// once, and an LF right behind it is then swallowed. No byte is looked at twice
// for the same line end, however the reads fall.
func (s *parseState) read(r io.Reader) error {
	var (
		buf     = make([]byte, readSize)
		pos     int      // where the line begins
		end     int      // where the bytes end
		seen    int      // no line end in buf[pos:seen]
		lf, cr  = -1, -1 // the next ones from pos on, or end; known if not before pos
		afterCR bool
		start   = true // a byte order mark may come
		failure error  // of the last read, which may have brought bytes as well
	)
	for {
		if start {
			start = false
			switch head := buf[pos:end]; {
			case bytes.HasPrefix(head, bom):
				pos += len(bom)
				seen = pos
			case len(head) < len(bom) && bytes.HasPrefix(bom, head):
				start = true
			}
		}
		for !start && pos < end {
			if afterCR {
				afterCR = false
				if buf[pos] == '\n' {
					pos++
					seen = max(seen, pos)
					continue
				}
			}
			if lf < pos {
				lf = index(buf, seen, end, '\n')
			}
			if cr < pos {
				cr = index(buf, seen, end, '\r')
			}
			i := min(lf, cr)
			if i == end {
				lf, cr = -1, -1
				break
			}
			afterCR = i == cr
			if err := s.parseLine(buf[pos:i]); err != nil {
				return err
			}
			pos = i + 1
			seen = pos
		}
		seen = end
		if !start && end-pos+s.size() > s.max {
			return s.tooLarge()
		}
		switch {
		case failure == io.EOF: //nolint:errorlint // a wrapped one is a failure
			if start {
				pos = end // less than a byte order mark
			}
			return s.end(buf[pos:end])
		case failure != nil:
			return fmt.Errorf("core: read: %w", failure)
		}

		// Make room: slide, or grow if the line fills half of the buffer.
		if end == len(buf) || pos == end {
			rest := buf[pos:end]
			if len(rest) > len(buf)/2 {
				buf = make([]byte, 2*len(buf))
			}
			copy(buf, rest)
			pos, end, seen, lf, cr = 0, len(rest), len(rest), -1, -1
		}
		var n int
		n, failure = fill(r, buf[end:])
		end += n
	}
}

// index returns where c first stands in buf[from:end], or end.
func index(buf []byte, from, end int, c byte) int {
	if i := bytes.IndexByte(buf[from:end], c); i >= 0 {
		return from + i
	}
	return end
}

var bom = []byte("\uFEFF")

// fill reads until there is something, or an error, and not for ever.
func fill(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// parseLine parses one line without its end.
func (s *parseState) parseLine(line []byte) error {
	if len(line) == 0 {
		return s.dispatch()
	}
	if len(line)+s.size() > s.max {
		return s.tooLarge()
	}
	name, value := field(line)
	switch string(name) {
	case "data":
		if s.hasData {
			s.data = append(s.data, '\n')
		}
		s.hasData = true
		s.data = append(s.data, value...)
	case "event":
		s.typ = s.typeOf(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 && string(value) != s.id {
			s.id = validUTF8(string(value))
		}
	case "retry":
		if d, ok := milliseconds(value); ok {
			s.retry = d
			s.parser.Retry = d
		}
	case "":
		if s.parser.Comments && !s.yield(Event{Comment: comment(validUTF8(string(value)))}, nil) {
			return errStopped
		}
		return nil // a proxy may send some in front of whatever comes
	default:
		if s.other == "" {
			s.other = string(line[:min(len(line), excerptSize)])
		}
		return nil
	}
	s.known = true
	return nil
}

// field cuts a line in two. The name of a comment is empty.
func field(line []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(line, []byte(":"))
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	return name, value
}

// comment returns what stands for a comment, which cannot be empty.
func comment(text string) string {
	if text == "" {
		return " "
	}
	return text
}

// end looks at a whole response, of which rest has no line end.
func (s *parseState) end(rest []byte) error {
	if s.known {
		return nil
	}
	other := s.other
	if other == "" {
		other = string(rest[:min(len(rest), excerptSize)])
		for _, name := range []string{"", "data", "event", "id", "retry"} {
			if strings.HasPrefix(other, name+":") || strings.HasPrefix(name, other) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: it has the line %.100q", ErrNotStream, other)
}

func (s *parseState) tooLarge() error {
	return fmt.Errorf("%w: over %d bytes", ErrEventTooLarge, s.max)
}

// typeOf returns value as a string, and makes none for a type that it knows.
func (s *parseState) typeOf(value []byte) string {
	for _, t := range s.types {
		if string(value) == t {
			return t
		}
	}
	t := validUTF8(string(value))
	if len(t) <= 64 { // so that what is remembered stays small
		s.types[s.nextType] = t
		s.nextType = (s.nextType + 1) % len(s.types)
	}
	return t
}

// dispatch acts on a blank line: the ID is committed whether or not there is an
// event, and there is one only if there was a data line.
func (s *parseState) dispatch() error {
	p := s.parser
	moved := p.Positions != "" && !s.hasData && p.LastEventID != s.id
	p.LastEventID = s.id
	has, e := s.hasData, Event{ID: s.id, Type: s.typ, Data: validUTF8(string(s.data)), Retry: s.retry}
	s.typ, s.data, s.hasData, s.retry = "", s.data[:0], false, 0
	if cap(s.data) > 16*readSize {
		s.data = nil
	}

	if retry := e.Retry; retry > 0 && (!has || e == Event{Retry: retry}) { // together they would not be an event
		e.Retry = 0
		if p.Comments && !s.yield(Event{Retry: retry}, nil) {
			return errStopped
		}
	}
	if moved {
		e.Type = p.Positions
	}
	if (has || moved) && !s.yield(e, nil) {
		return errStopped
	}
	return nil
}

// milliseconds reads ASCII digits. What no Duration can hold is the longest one
// in whole milliseconds.
func milliseconds(digits []byte) (time.Duration, bool) {
	if len(digits) == 0 || strings.Trim(string(digits), "0123456789") != "" {
		return 0, false
	}
	const most = math.MaxInt64 / int64(time.Millisecond)
	var ms int64
	for _, c := range digits {
		if ms = ms*10 + int64(c-'0'); ms > most {
			ms = most
			break
		}
	}
	return time.Duration(ms) * time.Millisecond, true
}
