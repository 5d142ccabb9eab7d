package main

import (
	"regexp"
	"strings"
)

// answer is what a language model might say: lists, code, other alphabets, and
// the prompt itself.
func answer(prompt string) string {
	return "You asked:\n\n> " + strings.ReplaceAll(lines.Replace(prompt), "\n", "\n> ") + `

A stream is a **generator**. It yields events, and somebody else sends them:

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

1. Obey ` + "`yield`" + `: when it says false, return.
2. Wait with the context, never with a bare sleep.
3. A token keeps its every byte:
   - leading  spaces,
   - blank lines and	tabs,
   - 你好, καλημέρα, здравствуйте, مرحبا and 👋🏽.

That is all there is to it. Happy streaming!
`
}

// lines makes the three line ends of an event stream one, as its reader does.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// pieces are of the size that tokens have: most words bring the space before
// them.
var pieces = regexp.MustCompile(`(?s) ?[\pL\pN]{1,6}|\n+|\s+|.`)

// split cuts text into tokens, which together are the text again.
func split(text string) []string { return pieces.FindAllString(text, -1) }
