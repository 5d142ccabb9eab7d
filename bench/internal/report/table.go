package report

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Text returns the result as a table for a terminal, and below it which limits are kept
// or missed.
func (r *Result) Text() string {
	t := r.table()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n%s\n%s\n", r.Title, r.Name, r.About, t.Render())
	for _, s := range r.Sides {
		if ratio := r.Ratio(s).Median; s.Most > 0 && !math.IsNaN(ratio) {
			verdict := "kept"
			if ratio > s.Most {
				verdict = "MISSED"
			}
			fmt.Fprintf(&b, "%s: %.3f times %s, at most %.2f: %s\n", s.Name, ratio, r.Base, s.Most, verdict)
		}
		if s.Err != "" {
			fmt.Fprintf(&b, "%s: %s\n", s.Name, s.Err)
		}
	}
	return b.String()
}

// Markdown returns the result as a table for a document.
func (r *Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.table().RenderMarkdown())
	for _, s := range r.Sides {
		if s.Err != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", s.Name, s.Err)
		}
	}
	return b.String()
}

func (r *Result) table() table.Writer {
	t := table.NewWriter()
	head := table.Row{"", r.Metrics[0].Name, "least to greatest", "times " + r.Base}
	for _, m := range r.Metrics[1:] {
		head = append(head, m.Name)
	}
	t.AppendHeader(head)
	columns := make([]table.ColumnConfig, 0, len(head))
	for i := range head[1:] {
		columns = append(columns, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	for _, s := range r.Sides {
		t.AppendRow(r.row(s))
	}
	return t
}

func (r *Result) row(s *Side) table.Row {
	main := r.Metrics[0]
	sum, ratio := s.Of(main), r.Ratio(s)
	row := table.Row{s.Name, main.Unit.Format(sum.Median), main.Unit.Range(sum.Min, sum.Max), "-"}
	switch {
	case math.IsNaN(ratio.Median):
	case s.Name == r.Base:
		row[3] = "1"
	default:
		row[3] = fmt.Sprintf("%s (%s)", digits(ratio.Median), Number.Range(ratio.Min, ratio.Max))
	}
	for _, m := range r.Metrics[1:] {
		row = append(row, m.Unit.Format(s.Of(m).Median))
	}
	return row
}

// Origin says where the numbers come from; there may be several runs.
func (r *Report) Origin() string {
	var commands []string
	for _, result := range r.Results {
		if c := "`" + result.Command + "`"; !slices.Contains(commands, c) {
			commands = append(commands, c)
		}
	}
	return fmt.Sprintf("Measured with %s on %s, on %s.", strings.Join(commands, ", "), r.Time.Format("2006-01-02"), r.Machine)
}

// Splice puts each result's description and table into a document, between the lines
// "<!-- table NAME -->" and "<!-- end -->". If NAME is "origin", it puts the numbers'
// origin there. Results without such lines are left out.
func (r *Report) Splice(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	doc := string(content)
	parts := map[string]string{"origin": r.Origin() + "\n"}
	for _, result := range r.Results {
		parts[result.Name] = result.About + "\n\n" + result.Markdown()
	}
	for name, part := range parts {
		begin, end := "<!-- table "+name+" -->\n", "<!-- end -->"
		before, rest, found := strings.Cut(doc, begin)
		if !found {
			continue
		}
		_, after, found := strings.Cut(rest, end)
		if !found {
			return fmt.Errorf("report: %s: there is no %q after the table %s", file, end, name)
		}
		doc = before + begin + "\n" + strings.TrimSpace(part) + "\n\n" + end + after
	}
	if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
