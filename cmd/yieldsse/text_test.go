package main

import (
	"strings"
	"testing"
)

// What a server says cannot command the terminal, wherever check shows it.
func TestCheckControlCharacters(t *testing.T) {
	const evil = "\u009b2J\u202e"
	url := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/"+evil+"\r\n\r\n\x1b]0;title\x07", false)
	for _, args := range []string{"check", "check -v"} {
		stdout, stderr, _ := try(t, append(strings.Fields(args), url)...)
		for name, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
			if i := strings.IndexFunc(text, commands); i >= 0 {
				t.Errorf("%s: got %q in %s", args, text[i:], name)
			}
			if !strings.Contains(text, `\u009b2J\u202e`) {
				t.Errorf("%s: got %q in %s, want the media type, escaped", args, text, name)
			}
		}
	}
}
