package main

import (
	"regexp"
	"strings"
)

// answer returns what a language model might say: lists, code, other alphabets, and the
// prompt.
func answer(prompt string) string {
	return "You asked:\n\n> " + strings.ReplaceAll(lines.Replace(prompt), "\n", "\n> ") + `

A stream is a **generator**. It yields events, and the library sends them:

` + "```go" + `
func ticks(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		for now := range core.Every(ctx, time.Second) {
			if !yield(core.Event{Data: now.String()}, nil) {
				return // the client has left
			}
		}
	}
}
` + "```" + `

Three things to remember:

1. Obey ` + "`yield`" + `: when it returns false, return.
2. Wait with the context, never with a bare sleep.
3. A token arrives byte for byte:
   - leading  spaces,
   - blank lines and	tabs,
   - 你好, καλημέρα, здравствуйте, مرحبا and 👋🏽.

That is all there is to it. Happy streaming!
`
}

// lines replaces the three line ends of an event stream by one, as its reader does.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// pieces matches text of a token's usual size. Most words include the space before them.
var pieces = regexp.MustCompile(`(?s) ?[\pL\pN]{1,6}|\n+|\s+|.`)

// split cuts text into tokens. Together they are text.
func split(text string) []string { return pieces.FindAllString(text, -1) }
