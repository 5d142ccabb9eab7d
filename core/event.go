package core

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Event is one event of a stream, as the WHATWG HTML standard defines it
// (section 9.2, "Server-sent events"). It is a value: copy it, compare it.
//
// The zero Event is an event too: a "message" whose data is empty.
type Event struct {
	// ID becomes the client's last event ID, which it sends when it reconnects
	// (section 9.2.4). An empty ID is not sent, and the client keeps the one it
	// has. It is one line: CR, LF and NUL are refused.
	ID string

	// Type is the name of the event in the DOM, the argument of addEventListener.
	// Empty means "message". It is one line: CR, LF and NUL are refused.
	Type string

	// Data is the payload. It may have any number of lines, which end with
	// CRLF, CR or LF; the client sees each of them as LF.
	Data string

	// Retry sets how long the client waits before it reconnects. It is sent in
	// whole milliseconds, rounded up. Zero is not sent; below zero is refused.
	Retry time.Duration

	// Comment is for people who read the raw stream; clients ignore it. An event
	// with a Comment or a Retry and nothing else has no data line, so clients do
	// not dispatch it.
	Comment string
}

// JSON returns a copy of e with the JSON of v as its Data. Its two results can be
// passed to yield directly:
//
//	yield(core.Event{Type: "price"}.JSON(price))
//
// Neither HTML characters nor characters outside ASCII are escaped.
func (e Event) JSON(v any) (Event, error) {
	enc := encoders.Get().(*jsonEncoder) //nolint:forcetypeassert // the pool's only type
	err := enc.Encode(v)
	text := enc.text
	enc.text = ""
	encoders.Put(enc)
	if err != nil {
		return e, fmt.Errorf("core: event data: %w", err)
	}
	e.Data = strings.TrimSuffix(text, "\n")
	return e, nil
}

// A jsonEncoder encodes a value as a string.
type jsonEncoder struct {
	*json.Encoder
	text string
}

var encoders = sync.Pool{New: func() any {
	e := new(jsonEncoder)
	e.Encoder = json.NewEncoder(e)
	e.SetEscapeHTML(false)
	return e
}}

// Write is called by Encode, in all versions of Go so far only once.
func (e *jsonEncoder) Write(p []byte) (int, error) {
	e.text += string(p)
	return len(p), nil
}

// Base64 returns a copy of e with the base64 of p as its Data, because an event carries only
// text. It is the standard encoding, with padding (RFC 4648, section 4), which a browser's
// atob and Go's [base64.StdEncoding] decode. The text is a third larger than p.
//
//	yield(core.Event{Type: "tile"}.Base64(png), nil)
func (e Event) Base64(p []byte) Event {
	const size = 3 * 256 // of a part that is encoded without padding
	var (
		text strings.Builder
		part [size / 3 * 4]byte
	)
	text.Grow(base64.StdEncoding.EncodedLen(len(p)))
	for raw := range slices.Chunk(p, size) {
		text.Write(base64.StdEncoding.AppendEncode(part[:0], raw))
	}
	e.Data = text.String()
	return e
}

// AppendText appends the wire form of e, which is one block with its blank line.
// It implements [encoding.TextAppender].
//
// Invalid UTF-8 becomes U+FFFD, as it would in any client. If the ID or the Type
// contains CR, LF or NUL, or if Retry is below zero, AppendText returns b unchanged
// and an error that names the field.
func (e Event) AppendText(b []byte) ([]byte, error) { return e.appendTo(b) }

// appendTo is AppendText without the copy of e.
func (e *Event) appendTo(b []byte) ([]byte, error) {
	if !plain(e.ID) || !plain(e.Type) || e.Retry < 0 {
		if err := e.check(); err != nil {
			return b, err
		}
		valid := *e
		valid.ID, valid.Type = validUTF8(e.ID), validUTF8(e.Type)
		e = &valid
	}
	if e.Comment != "" {
		b = appendLines(b, true, e.Comment)
	}
	if e.ID != "" {
		b = append(b, "id: "...)
		b = append(b, e.ID...)
		b = append(b, '\n')
	}
	if e.Type != "" {
		b = append(b, "event: "...)
		b = append(b, e.Type...)
		b = append(b, '\n')
	}
	if e.Retry != 0 {
		b = appendRetry(b, e.Retry)
	}
	if silent(e) {
		return append(b, '\n'), nil
	}
	if plain(e.Data) { // by far the most common
		b = append(b, "data: "...)
		b = append(b, e.Data...)
		return append(b, "\n\n"...), nil
	}
	return append(appendLines(b, false, e.Data), '\n'), nil
}

// UnmarshalText undoes AppendText: text is the wire form of one event, including its
// blank line. It implements [encoding.TextUnmarshaler]. It is for programs that store
// events in that form; to read a stream, use a [Parser]. If text is not one event,
// UnmarshalText returns an error and e is unchanged.
func (e *Event) UnmarshalText(text []byte) error {
	if i := bytes.Index(text, []byte("\n\n")); i <= 0 || i != len(text)-2 || text[0] == '\n' || bytes.IndexByte(text, '\r') >= 0 {
		return fmt.Errorf("core: the text %.40q is not an event: it must be lines that end with LF, and one blank line", text)
	}
	var (
		got             Event
		data            []byte
		lines, comments int
	)
	for line := range bytes.SplitSeq(text[:len(text)-2], []byte("\n")) {
		name, value := field(line)
		switch string(name) {
		case "data":
			if lines++; lines == 1 {
				data = slices.Clip(value) // most events have only one line
			} else {
				data = append(append(data, '\n'), value...)
			}
		case "id":
			got.ID = validUTF8(string(value))
		case "event":
			if got.Type = e.Type; string(value) != e.Type { // often the same as the previous event's
				got.Type = validUTF8(string(value))
			}
		case "retry":
			got.Retry, _ = milliseconds(value)
		case "":
			if comments++; comments > 1 {
				got.Comment += "\n"
			}
			got.Comment += validUTF8(string(value))
		}
	}
	if comments > 0 {
		got.Comment = comment(got.Comment)
	}
	if lines == 0 && (got.ID != "" || got.Type != "" || got.Comment == "" && got.Retry == 0) {
		return fmt.Errorf("core: the text %.40q is not an event: it has no data line", text)
	}
	got.Data = validUTF8(string(data))
	*e = got
	return nil
}

// silent reports whether clients do not dispatch e.
func silent(e *Event) bool {
	return e.Data == "" && e.ID == "" && e.Type == "" && (e.Comment != "" || e.Retry != 0)
}

// appendRetry appends the line that sets a reconnection time, which a client obeys as
// soon as it has read the line.
func appendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, int64((d-1)/time.Millisecond)+1, 10)
	return append(b, '\n')
}

// check returns an error that names the field that cannot be written.
func (e *Event) check() error {
	for _, f := range []struct{ name, value string }{{"ID", e.ID}, {"Type", e.Type}} {
		if i := strings.IndexAny(f.value, "\r\n\x00"); i >= 0 {
			return fmt.Errorf("core: event %s contains %q at byte %d: an ID and a Type are one line, without CR, LF or NUL",
				f.name, f.value[i], i)
		}
	}
	if e.Retry < 0 {
		return fmt.Errorf("core: event Retry is %v: a reconnection time must be zero or more", e.Retry)
	}
	return nil
}
