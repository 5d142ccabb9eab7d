package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/fatih/color"

	"github.com/yieldsse/yieldsse/core"
)

// A palette has the colours of text, which may be off.
type palette struct{ faint, name, id, key *color.Color }

func newPalette(coloured bool) palette {
	p := palette{
		faint: color.New(color.Faint),
		name:  color.New(color.FgCyan, color.Bold),
		id:    color.New(color.FgYellow),
		key:   color.New(color.FgBlue),
	}
	for _, c := range []*color.Color{p.faint, p.name, p.id, p.key} {
		if coloured {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return p
}

// useColor returns what --color means for w.
func useColor(when string, w any) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", nil
	}
	return false, usageError("--color is %q: it must be auto, always or never", when)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, ok = terminalWidth(f)
	return ok
}

// A printer turns events into text or JSON.
type printer struct {
	palette palette
	indent  bool // JSON in the data
	json    bool
	last    time.Time // of the previous event, or of the connection
}

// event returns the output for e, which arrived at now.
func (p *printer) event(e core.Event, now time.Time) []byte {
	since := now.Sub(p.last)
	p.last = now
	if p.json {
		return jsonLine(e, now, since)
	}
	return p.text(e, since)
}

// positionType is the type of an event that stands for an ID without an event. No server
// sends it, because a field's value cannot contain a line end.
const positionType = "\n"

// aside reports whether e is not an event: a comment, a reconnection time or an ID.
func aside(e core.Event) bool {
	return e != core.Event{} && e == core.Event{Retry: e.Retry, Comment: e.Comment} || e.Type == positionType
}

// text returns a line about the event, and its data below.
func (p *printer) text(e core.Event, since time.Duration) []byte {
	head := []string{p.palette.faint.Sprintf("+%.3fs", since.Seconds())}
	var body string
	switch {
	case !aside(e):
		head = append(head, p.palette.name.Sprint(oneLine(typeOf(e))))
		if e.ID != "" {
			head = append(head, p.palette.id.Sprint("id "+oneLine(e.ID)))
		}
		body = p.data(e.Data)
	case e.Type == positionType && e.ID == "":
		head = append(head, p.palette.faint.Sprint("no id"))
	case e.Type == positionType:
		head = append(head, p.palette.id.Sprint("id "+oneLine(e.ID)))
	case e.Comment != "":
		head = append(head, p.palette.faint.Sprint(strings.TrimRight(": "+oneLine(e.Comment), " ")))
	}
	if e.Retry != 0 {
		head = append(head, p.palette.faint.Sprintf("retry %v", e.Retry))
	}

	var b bytes.Buffer
	b.WriteString(strings.Join(head, "  ") + "\n")
	for line := range strings.Lines(body) {
		b.WriteString("  " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.Bytes()
}

func typeOf(e core.Event) string {
	if e.Type == "" {
		return "message"
	}
	return e.Type
}

// Larger or deeper JSON is not indented, because each level makes each line below
// longer.
const (
	indentSize  = 256 << 10
	indentDepth = 32
)

// indentedKey matches a key of an object in indented JSON.
var indentedKey = regexp.MustCompile(`(?m)^( *)("(?:[^"\\]|\\.)*")(:)`)

func (p *printer) data(data string) string {
	var b bytes.Buffer
	if !p.indent || len(data) > indentSize || depth(data) > indentDepth || json.Indent(&b, []byte(data), "", "  ") != nil {
		return printable(data)
	}
	text := printable(b.String())
	if !strings.Contains(text, "\n") {
		return text
	}
	return indentedKey.ReplaceAllStringFunc(text, func(s string) string {
		m := indentedKey.FindStringSubmatch(s)
		return m[1] + p.palette.key.Sprint(m[2]) + m[3]
	})
}

// depth returns how deep the brackets in s are nested, at most.
func depth(s string) (deepest int) {
	level := 0
	for i := range len(s) {
		switch s[i] {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}

// jsonLine returns a line of tail --json, which newTail documents.
func jsonLine(e core.Event, now time.Time, since time.Duration) []byte {
	line := struct {
		Time    time.Time       `json:"time"`
		SinceMS float64         `json:"sinceMs"`
		ID      *string         `json:"id,omitempty"`
		Type    string          `json:"type,omitempty"`
		Data    *string         `json:"data,omitempty"`
		JSON    json.RawMessage `json:"json,omitempty"`
		RetryMS int64           `json:"retryMs,omitempty"`
		Comment string          `json:"comment,omitempty"`
	}{
		Time: now.UTC(), SinceMS: milliseconds(since),
		RetryMS: e.Retry.Milliseconds(), Comment: e.Comment,
	}
	if e.ID != "" || e.Type == positionType {
		line.ID = &e.ID
	}
	if !aside(e) {
		line.Type, line.Data = typeOf(e), &e.Data
		if json.Valid([]byte(e.Data)) {
			line.JSON = json.RawMessage(e.Data)
		}
	}
	return jsonText(line)
}

// jsonText returns v as a line of JSON without characters that command a terminal.
func jsonText(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Appendf(nil, "{\"error\":%q}\n", err.Error())
	}
	if !bytes.ContainsFunc(b.Bytes(), commands) {
		return b.Bytes()
	}
	var escaped bytes.Buffer
	for _, r := range b.String() { // in JSON such characters are only in strings
		if commands(r) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return escaped.Bytes()
}
