package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func TestMain(m *testing.M) {
	process.Main(server.Serve)
	os.Exit(m.Run())
}

// A run fails if anything is lost, so it is enough that it ends well with all figures.
func TestRun(t *testing.T) {
	out := t.TempDir()
	doc := filepath.Join(out, "doc.md")
	if err := os.WriteFile(doc, []byte("<!-- table million-times -->\n<!-- end -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := &report.Report{Results: []*report.Result{{Name: "other", Metrics: []report.Metric{{Key: "cpu"}}}}}
	if err := kept.Write(filepath.Join(out, "results.json")); err != nil {
		t.Fatal(err)
	}
	beats := []time.Duration{time.Second, time.Second / 2}
	if err := run(options{conns: 300, each: 100, beats: beats, out: out, doc: doc}); err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(r.Results), len(tables)+1; got != want {
		t.Fatalf("got %d results, want %d: the tables and what was there", got, want)
	}
	for i, table := range tables {
		for k, row := range table.rows {
			for _, beat := range beats {
				if _, ok := r.Results[i+1].Sides[k].Samples[0][beat.String()]; !ok {
					t.Errorf("%s, %s: the figure for heartbeats every %v is missing", table.name, row.name, beat)
				}
			}
		}
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "| last delivery |") {
		t.Errorf("the table is not in the document:\n%s", text)
	}
}
