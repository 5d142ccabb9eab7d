package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/report"
)

// example has a base, one of our sides that stays below its limit, one that does not and
// has lost something, and one that has failed.
func example() *report.Report {
	side := func(name string, ours bool, lost float64, cpu ...float64) *report.Side {
		s := &report.Side{Name: name, Ours: ours, Most: 0.5}
		for _, v := range cpu {
			s.Samples = append(s.Samples, report.Sample{"cpu": v, "lost": lost})
		}
		return s
	}
	broken := side("broken", false, 0)
	broken.Err = "it fell over"
	return &report.Report{
		Time:    time.Date(2025, 1, 3, 3, 4, 5, 0, time.UTC),
		Command: "go run ./bench",
		Results: []*report.Result{{
			Name: "work", Time: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), Command: "go run ./bench -rounds=3", Title: "A work", About: "What it is.", Base: "by hand", Rounds: 3, Chart: true,
			Metrics: []report.Metric{{Key: "cpu", Name: "CPU", Unit: report.Nanoseconds}, report.Lost},
			Sides: []*report.Side{
				side("by hand", false, 0, 1000, 2000, 1500),
				side("fast", true, 0, 250, 500, 375),
				side("slow", true, 12, 1000, 2000, 1500),
				broken,
			},
		}},
	}
}

func TestTables(t *testing.T) {
	md := example().Results[0].Markdown()
	for _, want := range []string{
		"| by hand | 1.50\u00a0\u00b5s | 1.00 to 2.00 | 1 | 0 |",
		"| fast | 375\u00a0ns | 250 to 500 | 0.25 (0.25 to 0.25) | 0 |",
		"| slow | 1.50\u00a0\u00b5s | 1.00 to 2.00 | 1.00 (1.00 to 1.00) | 12.0\u00a0% |",
		"| broken | - | - | - | - |",
		"broken: it fell over",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("%q is not in\n%s", want, md)
		}
	}
	text := example().Results[0].Text()
	for _, want := range []string{"fast: 0.250 times by hand, at most 0.50: kept", "slow: 1.000 times by hand, at most 0.50: MISSED"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestMissed(t *testing.T) {
	failed, slow := example().Results[0].Missed()
	if len(failed) != 1 || !strings.Contains(failed[0], "slow: lost 12.0") {
		t.Errorf("failed: got %q, want the side that lost events", failed)
	}
	if len(slow) != 1 || !strings.Contains(slow[0], "slow: 1.00 times by hand") {
		t.Errorf("slow: got %q, want the side that is above its limit", slow)
	}
}

func TestKeep(t *testing.T) {
	result := func(name, title string) *report.Result { return &report.Result{Name: name, Title: title} }
	old := &report.Report{Results: []*report.Result{result("a", "old"), result("b", "old")}}
	fresh := &report.Report{Results: []*report.Result{result("c", "new"), result("b", "new")}}
	for range 2 { // the second time changes nothing
		fresh.Keep(old)
		var got []string
		for _, r := range fresh.Results {
			got = append(got, r.Name+" "+r.Title)
		}
		if want := []string{"a old", "b new", "c new"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestReadWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "results.json")
	want := example()
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	// Whether an empty list is nil does not matter.
	want.Results[0].Sides[3].Samples = got.Results[0].Sides[3].Samples
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSplice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	doc := "a\n<!-- table work -->\nold\n<!-- end -->\nb\n<!-- table other -->\nkept\n<!-- end -->\n<!-- table origin -->\n<!-- end -->\n"
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := example().Splice(file); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := string(content)
		for _, want := range []string{"a\n<!-- table work -->\n\nWhat it is.\n\n|", "| fast |", "\n<!-- end -->\nb\n", "kept", "`go run ./bench -rounds=3` on 2025-01-02"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
		if strings.Contains(got, "old") || strings.Count(got, "| fast |") != 1 {
			t.Errorf("the old table is still there:\n%s", got)
		}
	}
	if err := os.WriteFile(file, []byte("<!-- table work -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := example().Splice(file); err == nil {
		t.Error("a table without an end: got no error, want one")
	}
}

// Results of a group share a table, with a column for each and a row for each comparison with
// an elder.
func TestGroup(t *testing.T) {
	r := example()
	first := r.Results[0]
	first.Group, first.Column = "all", "one"
	first.Sides[2].Elder, first.Sides[2].Most = "fast", 3
	second := example().Results[0]
	second.Name, second.Group, second.Column = "second", "all", "two"
	second.Sides[2].Elder = "fast"
	second.Sides[2].Samples = second.Sides[1].Samples
	r.Results = append(r.Results, second)

	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("<!-- table all -->\n<!-- end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Splice(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "<!-- table all -->\n\n" +
		"|  | one | two |\n" +
		"| --- | ---:| ---:|\n" +
		"| by hand | 1.50\u00a0\u00b5s | 1.50\u00a0\u00b5s |\n" +
		"| fast | 0.25 (0.25 to 0.25) | 0.25 (0.25 to 0.25) |\n" +
		"| slow | 1.00 (1.00 to 1.00) | 0.25 (0.25 to 0.25) |\n" +
		"| broken | - | - |\n" +
		"| slow, times fast | 4.00 (4.00 to 4.00) | 1.00 (1.00 to 1.00) |\n" +
		"\n<!-- end -->\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	if _, slow := first.Missed(); len(slow) != 1 || !strings.Contains(slow[0], "slow: 4.00 times fast, want at most 3.00") {
		t.Errorf("slow: got %q, want the side that is above the limit to its elder", slow)
	}
	if text, want := first.Text(), "slow: 4.000 times fast, at most 3.00: MISSED"; !strings.Contains(text, want) {
		t.Errorf("%q is not in\n%s", want, text)
	}
}

// Without a base, a table has only values.
func TestNoBase(t *testing.T) {
	r := example()
	r.Results[0].Base = ""
	md := r.Results[0].Markdown()
	for _, want := range []string{"|  | CPU | lost |", "| fast | 375\u00a0ns | 0 |"} {
		if !strings.Contains(md, want) {
			t.Errorf("%q is not in\n%s", want, md)
		}
	}
	dir := t.TempDir()
	if err := r.Charts(dir); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "work-light.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(svg), "times") {
		t.Error("the chart compares with a base that is not there")
	}
}

func TestCharts(t *testing.T) {
	dir := t.TempDir()
	if err := example().Charts(dir); err != nil {
		t.Fatal(err)
	}
	for _, theme := range []string{"light", "dark"} {
		svg, err := os.ReadFile(filepath.Join(dir, "work-"+theme+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch token := token.(type) {
			case xml.CharData:
				text.Write(token)
			case xml.StartElement:
				i := slices.IndexFunc(token.Attr, func(a xml.Attr) bool { return a.Name.Local == "textLength" })
				if token.Name.Local == "text" && (i < 0 || !positive(token.Attr[i].Value)) {
					t.Errorf("%s: a text without its length: a wider font makes it run into its bar", theme)
				}
			}
		}
		for _, want := range []string{"A work", "fast", "375\u00a0ns (0.25\u00d7)", "by hand"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: %q is not in %q", theme, want, text.String())
			}
		}
	}
}

func positive(number string) bool {
	v, err := strconv.ParseFloat(number, 64)
	return err == nil && v > 0
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		unit  report.Unit
		value float64
		want  string
	}{
		{report.Nanoseconds, 13.26, "13.3\u00a0ns"},
		{report.Nanoseconds, 4_830, "4.83\u00a0\u00b5s"},
		{report.Nanoseconds, 12_000_000, "12.0\u00a0ms"},
		{report.Nanoseconds, 3e9, "3.00\u00a0s"},
		{report.Bytes, 25_300, "25.3\u00a0kB"},
		{report.Percent, 99.5, "99.5\u00a0%"},
		{report.Number, 0.0073, "0.007"},
		{report.Number, 0, "0"},
		{report.Number, 1002, "1002"},
		{report.Bytes, math.NaN(), "-"},
	} {
		if got := tt.unit.Format(tt.value); got != tt.want {
			t.Errorf("%v %v: got %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
}
