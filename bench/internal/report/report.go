// Package report stores measurements, and shows them as tables and charts.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// A Report has all that one run has measured.
type Report struct {
	Time    time.Time `json:"time"`
	Took    string    `json:"took"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	Results []*Result `json:"results"`
}

// A Machine describes where a report was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

func (m Machine) String() string {
	return fmt.Sprintf("%d CPUs (%s), %s, %s", m.CPUs, m.CPU, m.Kernel, m.Go)
}

// A Result has the samples of all sides of one work.
type Result struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	About   string    `json:"about"`
	Time    time.Time `json:"time"`
	Metrics []Metric  `json:"metrics"` // sides are compared by the first one
	Base    string    `json:"base"`    // the side that the others are compared with, or empty
	Command string    `json:"command"` // the command that measured it
	Rounds  int       `json:"rounds"`
	Chart   bool      `json:"chart,omitempty"`  // it is worth a picture
	Group   string    `json:"group,omitempty"`  // the name of a table that several results share
	Column  string    `json:"column,omitempty"` // this result's heading there
	Sides   []*Side   `json:"sides"`
}

// A Metric is a column of a table. Less is better in all of them.
type Metric struct {
	Key  string `json:"key"`
	Name string `json:"name"`
	Unit Unit   `json:"unit,omitempty"`
}

// A Side is one of the servers that are compared.
type Side struct {
	Name    string   `json:"name"`
	Ours    bool     `json:"ours,omitempty"`
	Most    float64  `json:"most,omitempty"`  // the highest ratio that is accepted
	Elder   string   `json:"elder,omitempty"` // the side that the limit compares this one with, instead of the base
	Samples []Sample `json:"samples"`
	Err     string   `json:"error,omitempty"`
}

// A Sample has the values of one round, by the metrics' keys.
type Sample map[string]float64

// values returns the values of one metric.
func (s *Side) values(key string) []float64 {
	var v []float64
	for _, sample := range s.Samples {
		if x, ok := sample[key]; ok {
			v = append(v, x)
		}
	}
	return v
}

// Of summarizes a metric of a side.
func (s *Side) Of(m Metric) stats.Summary { return stats.Of(s.values(m.Key)) }

// Ratio compares a side with the base, by the first metric. All its values are NaN if
// there is nothing to compare.
func (r *Result) Ratio(s *Side) stats.Summary { return r.ratioTo(s, r.Base) }

// limited returns the ratio that a side's limit is for, and the name of the side that it
// is to.
func (r *Result) limited(s *Side) (ratio stats.Summary, to string) {
	to = cmp.Or(s.Elder, r.Base)
	return r.ratioTo(s, to), to
}

func (r *Result) ratioTo(s *Side, name string) stats.Summary {
	for _, other := range r.Sides {
		if other.Name == name {
			return stats.Ratio(s.values(r.Metrics[0].Key), other.values(r.Metrics[0].Key))
		}
	}
	return stats.Of(nil)
}

// Missed returns a sentence for each of our sides that has failed or lost something, and
// for each that exceeds its ratio.
func (r *Result) Missed() (failed, slow []string) {
	for _, s := range r.Sides {
		if !s.Ours {
			continue
		}
		if s.Err != "" {
			failed = append(failed, fmt.Sprintf("%s: %s: %s", r.Name, s.Name, s.Err))
		}
		if lost := s.Of(Lost).Max; lost > 0 {
			failed = append(failed, fmt.Sprintf("%s: %s: lost %s", r.Name, s.Name, Lost.Unit.Format(lost)))
		}
		if got, to := r.limited(s); s.Most > 0 && got.Median > s.Most {
			slow = append(slow, fmt.Sprintf("%s: %s: %.2f times %s, want at most %.2f", r.Name, s.Name, got.Median, to, s.Most))
		}
	}
	return failed, slow
}

// Lost is the metric of events that did not arrive.
var Lost = Metric{Key: "lost", Name: "lost", Unit: Percent}

// Keep adds the results of old that r does not have, and sorts all in the order of old.
func (r *Report) Keep(old *Report) {
	fresh := make(map[string]*Result)
	for _, result := range r.Results {
		fresh[result.Name] = result
	}
	var all []*Result
	for _, result := range old.Results {
		if again := fresh[result.Name]; again != nil {
			result = again
			delete(fresh, result.Name)
		}
		all = append(all, result)
	}
	for _, result := range r.Results {
		if fresh[result.Name] != nil {
			all = append(all, result)
		}
	}
	r.Results = all
}

// Read reads a report that [Report.Write] wrote.
func Read(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("report: %s: %w", file, err)
	}
	return &r, nil
}

// Write writes the report as JSON, with the numbers of all rounds.
func (r *Report) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
