package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// printable returns s with every control character escaped except tab and line feed.
// Otherwise a server could command the terminal: move the cursor, set the title, hide
// text. Characters that change the direction of text are escaped, too.
func printable(s string) string {
	if !strings.ContainsFunc(s, commands) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !commands(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func commands(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// oneLine is printable for text that must stay on one line.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(printable(s), "\n", `\n`), "\t", `\t`)
}

// milliseconds returns d as a number for JSON.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
