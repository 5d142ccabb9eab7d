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
	sharedSize          = 512
)

// Read parses an event stream according to section 9.2.6 of the WHATWG HTML standard,
// and yields the events that a browser would dispatch. It is short for
// new(Parser).Read(r).
func Read(r io.Reader) Stream { return new(Parser).Read(r) }

// A Parser parses event streams. It holds the state that outlives a connection, so that a
// client can use one Parser for all its connections, one after the other. The zero Parser
// is ready to use.
type Parser struct {
	// MaxEventSize bounds the bytes of an event. Beyond it the stream ends with
	// ErrEventTooLarge. Zero or less means 16 MiB.
	MaxEventSize int

	// Comments makes Read also yield comments, and reconnection times that come
	// without an event, as events that have nothing else. A comment is one line. It
	// is yielded when that line has been read, before the event of its block. An
	// empty comment is read as a space.
	Comments bool

	// Positions makes Read yield an event whenever the stream changes or resets the
	// last event ID without an event: it has this Type, the new ID and no data. Then
	// the ID of each yielded event, except for comments and reconnection times, is the
	// position of the stream. Choose a Type that the stream does not use. Empty, the
	// default, yields none.
	Positions string

	// LastEventID is the last event ID that the stream has set, with or without an
	// event. An event that has no ID in the stream is yielded with this one. Set it
	// before the first Read to resume.
	LastEventID string

	// Retry is the last reconnection time that the stream has set. It is set as soon
	// as its line has been read.
	Retry time.Duration

	// Incomplete says that the last Read has come to the end of its reader in the middle
	// of an event, which it has discarded. Nobody sends that event again, unless the
	// client asks for it.
	Incomplete bool
}

// Read parses r to its end. The stream can be used once, by one goroutine. A read error
// other than [io.EOF] is its last element. An event without its blank line at the end of
// r is discarded; then Incomplete is set. If r has lines that are neither
// fields nor comments, and no field, [ErrNotStream] is the last element.
//
// Type is as it was sent: it is empty where the DOM says "message". Invalid UTF-8
// becomes U+FFFD. The Data of short events that arrive together share memory: keeping one of
// them keeps up to 512 bytes.
func (p *Parser) Read(r io.Reader) Stream {
	return func(yield func(Event, error) bool) {
		p.Incomplete = false
		s := parseState{parser: p, yield: yield, max: p.MaxEventSize, id: p.LastEventID}
		if s.max <= 0 {
			s.max = defaultMaxEventSize
		}
		err := s.read(r)
		if errors.Is(err, errStopped) {
			return
		}
		if p.Comments && s.retry > 0 && !yield(Event{Retry: s.retry}, nil) { // it counts even without a blank line
			return
		}
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// errStopped means that yield has returned false.
var errStopped = errors.New("core: stopped")

// A parseState is one call of Read: the event that is being read (the buffers of section
// 9.2.6), and what outlives it.
type parseState struct {
	parser *Parser
	yield  func(Event, error) bool
	max    int

	id       string // the last event ID buffer, which outlives the event
	typ      string
	types    [4]string // the latest ones, because most streams have only a few
	nextType int
	data     []byte
	hasData  bool
	borrowed bool   // data is one line, in the buffer of read
	lines    []byte // the memory for other data, which each event uses again
	retry    time.Duration
	shared   strings.Builder // the latest short data

	open  bool   // the block has had a field of an event
	known bool   // the response has had a field
	other string // the beginning of the first line that is not of an event stream
}

// isPartOfField reports whether an unfinished line may be that of a field.
func isPartOfField(line []byte) bool {
	name, _, whole := bytes.Cut(line, []byte(":"))
	for _, field := range []string{"data", "event", "id", "retry"} {
		if string(name) == field || !whole && len(name) > 0 && strings.HasPrefix(field, string(name)) {
			return true
		}
	}
	return false
}

// size is how much of the block is kept. A line counts as a whole while it is read, so
// that the limit does not depend on how r splits its bytes.
func (s *parseState) size() int { return len(s.id) + len(s.typ) + len(s.data) }

// read splits r into lines. A line ends at LF, CR or CRLF: read acts on a CR at once, and
// skips an LF right after it. It never examines a byte twice for the same line end,
// however r splits its bytes.
func (s *parseState) read(r io.Reader) error {
	var (
		buf     = make([]byte, readSize)
		pos     int      // where the line begins
		end     int      // where the bytes end
		seen    int      // buf[pos:seen] has no line end
		lf, cr  = -1, -1 // the next ones from pos on, or end; not known if less than pos
		afterCR bool
		start   = true // there may be a byte order mark
		failure error  // of the last read, which may have returned bytes as well
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
			if err := s.parseLine(buf[pos:i], end-i); err != nil {
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
		case failure == io.EOF: //nolint:errorlint // a wrapped EOF is a failure
			if start {
				pos = end // less than a byte order mark
			}
			s.parser.Incomplete = s.open || isPartOfField(buf[pos:end])
			return s.end(buf[pos:end])
		case failure != nil:
			return fmt.Errorf("core: read: %w", failure)
		}

		// Make room: slide, or grow if the line fills half of the buffer.
		if end == len(buf) || pos == end {
			s.keep()
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

// index returns the index of the first c in buf[from:end], or end.
func index(buf []byte, from, end int, c byte) int {
	if i := bytes.IndexByte(buf[from:end], c); i >= 0 {
		return from + i
	}
	return end
}

var bom = []byte("\uFEFF")

// fill reads until there are bytes or an error, but does not try forever.
func fill(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// parseLine parses one line without its end. More bytes have arrived after it.
func (s *parseState) parseLine(line []byte, more int) error {
	if len(line) == 0 {
		return s.dispatch(more)
	}
	if len(line)+s.size() > s.max {
		return s.tooLarge()
	}
	name, value := field(line)
	switch string(name) {
	case "data":
		if !s.hasData {
			s.data, s.hasData, s.borrowed = value, true, true
			break
		}
		s.keep()
		s.lines = append(append(s.lines, '\n'), value...)
		s.data = s.lines
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
		s.known = true
		return nil // not open: a server may end with it
	case "":
		if s.parser.Comments && !s.yield(Event{Comment: comment(validUTF8(string(value)))}, nil) {
			return errStopped
		}
		return nil // not known: a proxy may send comments before anything else
	default:
		if s.other == "" {
			s.other = string(line[:min(len(line), excerptSize)])
		}
		return nil
	}
	s.open, s.known = true, true
	return nil
}

// field splits a line into a name and a value. The name of a comment is empty.
func field(line []byte) (name, value []byte) {
	const data = "data"
	if n := len(data); len(line) > n && string(line[:n+1]) == data+":" { // most lines
		name, value = line[:n], line[n+1:]
	} else {
		name, value, _ = bytes.Cut(line, []byte(":"))
	}
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	return name, value
}

// comment returns the Comment of an event for the text of a comment: an empty Comment
// would be none.
func comment(text string) string {
	if text == "" {
		return " "
	}
	return text
}

// end checks that a response that has ended was an event stream. rest is its last line, which
// has no line end.
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
	return fmt.Errorf("%w: it has more than %d bytes: raise MaxEventSize", ErrEventTooLarge, s.max)
}

// typeOf returns value as a string. For a recent type it does not allocate one.
func (s *parseState) typeOf(value []byte) string {
	for _, t := range s.types {
		if string(value) == t {
			return t
		}
	}
	t := validUTF8(string(value))
	if len(t) <= 64 { // so that types stays small
		s.types[s.nextType] = t
		s.nextType = (s.nextType + 1) % len(s.types)
	}
	return t
}

// keep copies borrowed data, before the buffer of read changes or another line follows.
func (s *parseState) keep() {
	if s.borrowed {
		s.lines = append(s.lines[:0], s.data...)
		s.data, s.borrowed = s.lines, false
	}
}

// text returns the data as a string. Short ones of events that have arrived together, with
// more bytes behind this one, share an allocation. It is small, because any of them keeps
// all of it.
func (s *parseState) text(more int) string {
	n := len(s.data)
	if n > sharedSize/4 {
		return validUTF8(string(s.data))
	}
	if s.shared.Cap()-s.shared.Len() < n {
		s.shared = strings.Builder{}
		s.shared.Grow(min(n+more, sharedSize))
	}
	s.shared.Write(s.data)
	return validUTF8(s.shared.String()[s.shared.Len()-n:])
}

// dispatch acts on a blank line. It commits the ID in any case, but there is an event only
// if there was a data line.
func (s *parseState) dispatch(more int) error {
	p := s.parser
	moved := p.Positions != "" && !s.hasData && p.LastEventID != s.id
	p.LastEventID = s.id
	has, e := s.hasData, Event{ID: s.id, Type: s.typ, Data: s.text(more), Retry: s.retry}
	if cap(s.lines) > 16*readSize {
		s.lines = nil
	}
	s.typ, s.data, s.hasData, s.borrowed, s.retry, s.open = "", nil, false, false, 0, false

	if retry := e.Retry; retry > 0 && (!has || e == Event{Retry: retry}) { // an event of a Retry alone would have no data line
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

// milliseconds parses ASCII digits. If the time is too long for a Duration, it returns the
// longest one in whole milliseconds.
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
