package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Event is one event of a stream, as the WHATWG HTML standard defines it
// (section 9.2, "Server-sent events"). It is a value: copy it, compare it.
//
// The zero Event is an event too: a "message" whose data is empty.
type Event struct {
	// ID becomes the client's last event ID, with which it reconnects
	// (section 9.2.4). An empty ID sends none, and the client keeps the one it
	// has. It is one line: CR, LF and NUL are refused.
	ID string

	// Type is the name of the event in the DOM, what addEventListener takes.
	// Empty means "message". It is one line: CR, LF and NUL are refused.
	Type string

	// Data is the payload. It may have any number of lines, which end with
	// CRLF, CR or LF; the client sees each of them as LF.
	Data string

	// Retry sets how long the client waits before it reconnects. It is sent in
	// whole milliseconds, rounded up. Zero sends none; below zero is refused.
	Retry time.Duration

	// Comment is for whoever reads the wire; clients ignore it. An event that
	// has a Comment or a Retry and nothing else has no data line, so no client
	// dispatches it.
	Comment string
}

// JSON returns a copy of e whose Data is the JSON of v. Its two results are
// made to stand inside a yield:
//
//	yield(core.Event{Type: "price"}.JSON(price))
//
// Text stays as it is: neither HTML characters nor other alphabets are escaped.
func (e Event) JSON(v any) (Event, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return e, fmt.Errorf("core: event data: %w", err)
	}
	e.Data = string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	return e, nil
}

// AppendText appends the wire form of e, which is one block with its blank
// line, and implements [encoding.TextAppender].
//
// Invalid UTF-8 becomes U+FFFD, as it would at any client. An ID or a Type that
// holds CR, LF or NUL, and a Retry below zero, are errors that name the field;
// then b comes back as it was.
func (e Event) AppendText(b []byte) ([]byte, error) { return e.appendTo(b) }

// appendTo is AppendText for the hot path, which spares the copy of e.
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

// UnmarshalText undoes AppendText, and implements [encoding.TextUnmarshaler]:
// text is the wire form of one event, to its blank line. It is for those who keep
// events in that form; a [Parser] reads streams. If text is not one event, that
// is an error, and e stays as it was.
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
				data = slices.Clip(value) // most events have but one line
			} else {
				data = append(append(data, '\n'), value...)
			}
		case "id":
			got.ID = validUTF8(string(value))
		case "event":
			if got.Type = e.Type; string(value) != e.Type { // it often is the one of the event before
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

// silent reports whether e is nothing for a client to dispatch.
func silent(e *Event) bool {
	return e.Data == "" && e.ID == "" && e.Type == "" && (e.Comment != "" || e.Retry != 0)
}

// appendRetry appends the line that sets a reconnection time, which holds as soon as it
// is read.
func appendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, int64((d-1)/time.Millisecond)+1, 10)
	return append(b, '\n')
}

// check returns an error that names the field which cannot be written.
func (e *Event) check() error {
	for _, f := range []struct{ name, value string }{{"ID", e.ID}, {"Type", e.Type}} {
		if i := strings.IndexAny(f.value, "\r\n\x00"); i >= 0 {
			return fmt.Errorf("core: event %s holds %q at byte %d: an ID and a Type are one line, without CR, LF or NUL",
				f.name, f.value[i], i)
		}
	}
	if e.Retry < 0 {
		return fmt.Errorf("core: event Retry is %v: a reconnection time is zero or more", e.Retry)
	}
	return nil
}
