package ssetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/core"
)

// Equal fails the test if the events are not the same, and shows where they
// differ.
func Equal(t testing.TB, got, want []core.Event) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("ssetest: got %d events, want %d (- want, + got):\n%s", len(got), len(want), diff(got, want))
	}
}

// diff shows the events between the common start and the common end.
func diff(got, want []core.Event) string {
	const context = 3
	start := 0
	for start < min(len(got), len(want)) && got[start] == want[start] {
		start++
	}
	end := 0
	for end < min(len(got), len(want))-start && got[len(got)-1-end] == want[len(want)-1-end] {
		end++
	}
	var b strings.Builder
	if start > context {
		fmt.Fprintf(&b, "  ... %d the same\n", start-context)
	}
	b.WriteString(list("  ", want[max(0, start-context):start]))
	b.WriteString(list("- ", want[start:len(want)-end]))
	b.WriteString(list("+ ", got[start:len(got)-end]))
	b.WriteString(list("  ", want[len(want)-end:len(want)-max(0, end-context)]))
	if end > context {
		fmt.Fprintf(&b, "  ... %d the same\n", end-context)
	}
	return b.String()
}

// list returns a line for each event, with the fields that are set.
func list(prefix string, events []core.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(prefix)
		if e.ID != "" {
			fmt.Fprintf(&b, "id %q, ", e.ID)
		}
		if e.Type != "" {
			fmt.Fprintf(&b, "type %q, ", e.Type)
		}
		if e.Retry != 0 {
			fmt.Fprintf(&b, "retry %v, ", e.Retry)
		}
		if e.Comment != "" {
			fmt.Fprintf(&b, "comment %q, ", e.Comment)
		}
		fmt.Fprintf(&b, "data %.1000q\n", e.Data)
	}
	return b.String()
}
