package report

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/yieldsse/yieldsse/bench/internal/stats"
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
		if ratio, to := r.limited(s); s.Most > 0 && !math.IsNaN(ratio.Median) {
			verdict := "kept"
			if ratio.Median > s.Most {
				verdict = "MISSED"
			}
			fmt.Fprintf(&b, "%s: %.3f times %s, at most %.2f: %s\n", s.Name, ratio.Median, to, s.Most, verdict)
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
	head := table.Row{""}
	for i, m := range r.Metrics {
		head = append(head, m.Name)
		if i == 0 && r.Base != "" {
			head = append(head, "least to greatest", "times "+r.Base)
		}
	}
	t.AppendHeader(head)
	alignRight(t, len(head))
	for _, s := range r.Sides {
		t.AppendRow(r.row(s))
	}
	return t
}

// alignRight aligns all columns but the first.
func alignRight(t table.Writer, columns int) {
	configs := make([]table.ColumnConfig, 0, columns)
	for i := range columns - 1 {
		configs = append(configs, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
}

func (r *Result) row(s *Side) table.Row {
	main := r.Metrics[0]
	sum, ratio := s.Of(main), r.Ratio(s)
	row := table.Row{s.Name, main.Unit.Format(sum.Median)}
	switch {
	case r.Base == "":
	case s.Name == r.Base && !math.IsNaN(ratio.Median):
		row = append(row, main.Unit.Range(sum.Min, sum.Max), "1")
	default:
		row = append(row, main.Unit.Range(sum.Min, sum.Max), times(ratio))
	}
	for _, m := range r.Metrics[1:] {
		row = append(row, m.Unit.Format(s.Of(m).Median))
	}
	return row
}

// times prints a ratio.
func times(ratio stats.Summary) string {
	if math.IsNaN(ratio.Median) {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", digits(ratio.Median), Number.Range(ratio.Min, ratio.Max))
}

// group returns the table that results share, which must have the same sides. Each has a
// column, with the base's value, the ratios to it, and the ratios to elders.
func group(results []*Result) string {
	t := table.NewWriter()
	head := table.Row{""}
	for _, r := range results {
		head = append(head, r.Column)
	}
	t.AppendHeader(head)
	alignRight(t, len(head))
	var elders []table.Row
	for i, s := range results[0].Sides {
		row, elder := table.Row{s.Name}, table.Row{s.Name + ", times " + s.Elder}
		for _, r := range results {
			s := r.Sides[i]
			if s.Name == r.Base {
				row = append(row, r.Metrics[0].Unit.Format(s.Of(r.Metrics[0]).Median))
			} else {
				row = append(row, times(r.Ratio(s)))
			}
			elder = append(elder, times(r.ratioTo(s, s.Elder)))
		}
		t.AppendRow(row)
		if s.Elder != "" {
			elders = append(elders, elder)
		}
	}
	t.AppendRows(elders)
	return t.RenderMarkdown()
}

// Origin says where the numbers come from; there may be several runs.
func (r *Report) Origin() string {
	var runs []string
	for _, result := range r.Results {
		if run := "`" + result.Command + "` on " + result.Time.Format("2006-01-02"); !slices.Contains(runs, run) {
			runs = append(runs, run)
		}
	}
	return fmt.Sprintf("Measured with %s; on %s.", strings.Join(runs, ", "), r.Machine)
}

// Splice puts each result's description and table into a document, between the lines
// "<!-- table NAME -->" and "<!-- end -->". If NAME is that of a group, it puts the table of
// the group's results there. If NAME is "origin", it puts the numbers' origin there. Results
// without such lines are left out.
func (r *Report) Splice(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	doc := string(content)
	parts := map[string]string{"origin": r.Origin() + "\n"}
	groups := make(map[string][]*Result)
	for _, result := range r.Results {
		parts[result.Name] = result.About + "\n\n" + result.Markdown()
		if result.Group != "" {
			groups[result.Group] = append(groups[result.Group], result)
		}
	}
	for name, results := range groups {
		parts[name] = group(results)
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
