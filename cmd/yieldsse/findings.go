package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/check"
	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
)

// The width of the output in columns.
const (
	defaultWidth = 100 // if it is not known
	tableWidth   = 60  // of the narrowest table
	mostWidth    = 120 // longer lines are hard to read
)

// outputWidth returns how long lines for w may be.
func outputWidth(w io.Writer) int {
	if f, isFile := w.(*os.File); isFile {
		if n, ok := terminalWidth(f); ok && n > 0 {
			return min(n, mostWidth)
		}
	}
	return defaultWidth
}

// marks are the colours of the severities and of the reasons.
type marks struct {
	severity map[check.Severity]*color.Color
	faint    *color.Color
}

func newMarks(coloured bool) marks {
	m := marks{
		severity: map[check.Severity]*color.Color{
			check.OK:      color.New(color.FgGreen),
			check.Info:    color.New(color.FgCyan),
			check.Warning: color.New(color.FgYellow, color.Bold),
			check.Fault:   color.New(color.FgRed, color.Bold),
		},
		faint: color.New(color.Faint),
	}
	all := []*color.Color{m.faint}
	for _, c := range m.severity {
		all = append(all, c)
	}
	for _, c := range all {
		if coloured {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return m
}

// findingsText returns the report as text: a table, or a list if there is no room for a
// table.
func findingsText(r *check.Report, verbose bool, width int, m marks) string {
	var shown []check.Finding
	for _, f := range r.Findings {
		if f.Severity != check.OK || verbose {
			shown = append(shown, f)
		}
	}
	all := ""
	switch {
	case len(shown) == 0:
	case width < tableWidth:
		all = findingsList(shown, width, m)
	default:
		all = findingsTable(shown, width, m)
	}
	return all + wrap("", summary(r), width, nil) + "\n"
}

func findingsList(shown []check.Finding, width int, m marks) string {
	const indent = "  "
	var b strings.Builder
	for _, f := range shown {
		fmt.Fprintf(&b, "%s %s\n", m.severity[f.Severity].Sprint(f.Severity), f.Subject)
		for line := range strings.SplitSeq(said(f, width-len(indent), m), "\n") {
			b.WriteString(indent + line + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func findingsTable(shown []check.Finding, width int, m marks) string {
	w := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options.SeparateRows = true
	w.SetStyle(style)
	w.AppendHeader(table.Row{"", "subject", "finding"})

	subject := len("subject")
	for _, f := range shown {
		subject = max(subject, len(f.Subject))
	}
	const (
		mark  = len("warning")
		rules = 4 + 3*2 // lines between the columns, and the space on both sides of each
	)
	for _, f := range shown {
		w.AppendRow(table.Row{m.severity[f.Severity].Sprint(f.Severity), f.Subject, said(f, width-rules-mark-subject, m)})
	}
	return w.Render() + "\n"
}

// said returns the text of a finding, in lines of this width.
func said(f check.Finding, width int, m marks) string {
	seen := wrap("", f.Seen, width, nil)
	if f.Why == "" {
		return seen
	}
	return seen + "\n" + wrap("why:  ", f.Why, width, m.faint) + "\n" + wrap("fix:  ", f.Fix, width, nil)
}

// wrap breaks s between words, and breaks a word that is too long. The lines after the
// first are indented by the label's width. Each line is coloured on its own, so that the
// frame of a table is not.
func wrap(label, s string, width int, c *color.Color) string {
	lines := strings.Split(text.WrapSoft(oneLine(s), max(width-len(label), 10)), "\n")
	for i, line := range lines {
		indent := strings.Repeat(" ", len(label))
		if i == 0 {
			indent = label
		}
		line = indent + strings.TrimRight(line, " ")
		if c != nil {
			line = c.Sprint(line)
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// summary returns the last line.
func summary(r *check.Report) string {
	s := r.Summary
	total := s.OK + s.Info + s.Warning + s.Fault
	return fmt.Sprintf("%d of %d checks passed: %s, %s, %s; %s in %.1f s", s.OK, total,
		words.Count(int64(s.Fault), "fault"), words.Count(int64(s.Warning), "warning"), words.Count(int64(s.Info), "note"),
		words.Count(int64(r.Events), "event"), float64(r.WatchedMS)/1000)
}
