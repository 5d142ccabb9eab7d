package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A Report is what a soak has seen.
type Report struct {
	Command string        `json:"command"`
	Machine string        `json:"machine"`
	Seed    uint64        `json:"seed"`
	Took    time.Duration `json:"took"`
	Log     string        `json:"log"`
	Servers int           `json:"servers"`
	Readers int           `json:"readers"`

	Published   int64 `json:"published"` // events
	Again       int64 `json:"again"`     // attempts to publish that failed
	Received    int64 `json:"received"`  // events, by all readers
	Connections int64 `json:"connections"`
	Ended       int64 `json:"ended"`  // connections that ended cleanly
	Broken      int64 `json:"broken"` // connections that broke, or could not be made
	Lost        int64 `json:"lost"`
	Twice       int64 `json:"twice"`
	Told        int64 `json:"told"`   // gap events
	Behind      int   `json:"behind"` // readers that did not get everything

	Herds  int `json:"herds"`  // how often all readers were reset at once
	Left   int `json:"left"`   // servers that were told to leave
	Killed int `json:"killed"` // servers that were killed
	Logs   int `json:"logs"`   // how often the log was killed

	Kinds   []KindCount `json:"kinds"`
	Start   Usage       `json:"start"` // of the first server, before anybody comes
	Peak    Usage       `json:"peak"`  // the greatest of each
	End     Usage       `json:"end"`   // when everybody has left
	Samples []Usage     `json:"samples"`
	Wrong   []string    `json:"wrong"` // what must not happen
}

// A KindCount is what has become of the clients of a kind.
type KindCount struct {
	Name     string `json:"name"`
	Survived int64  `json:"survived"` // the session has ended as it must
	Away     int64  `json:"away"`     // the server was restarted, or did not take the client
}

// sampled adds what the first server has.
func (r *Report) sampled(u Usage) {
	r.Samples = append(r.Samples, u)
	p := &r.Peak
	p.Heap, p.RSS, p.TCPMemory = max(p.Heap, u.Heap), max(p.RSS, u.RSS), max(p.TCPMemory, u.TCPMemory)
	p.Files, p.Goroutines, p.Sessions = max(p.Files, u.Files), max(p.Goroutines, u.Goroutines), max(p.Sessions, u.Sessions)
}

// Text returns the report for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, the log in %s, %v\n\n", r.Command, r.Machine, r.Log, r.Took.Round(time.Second))
	for _, t := range r.tables() {
		t.SetStyle(table.StyleLight)
		t.Style().Format.Header = text.FormatDefault
		b.WriteString(t.Render() + "\n\n")
	}
	for _, wrong := range r.Wrong {
		fmt.Fprintln(&b, "WRONG:", wrong)
	}
	return b.String()
}

// Markdown returns the tables for a document.
func (r *Report) Markdown() string {
	var b strings.Builder
	for _, t := range r.tables() {
		b.WriteString(t.RenderMarkdown() + "\n\n")
	}
	return b.String()
}

func (r *Report) tables() []table.Writer {
	readers, kinds, usage := table.NewWriter(), table.NewWriter(), table.NewWriter()
	readers.AppendHeader(table.Row{"readers", ""})
	for _, row := range []struct {
		name string
		n    int64
	}{
		{"readers that check each event", int64(r.Readers)},
		{"events that were published", r.Published},
		{"events that they received", r.Received},
		{"events lost", r.Lost},
		{"events received twice", r.Twice},
		{"gaps that they were told of", r.Told},
		{"readers that did not receive the last event", int64(r.Behind)},
		{"connections", r.Connections},
		{"of which a server ended cleanly", r.Ended},
		{"connections broken off, or not made", r.Broken},
		{"times all readers were reset at once", int64(r.Herds)},
		{"servers told to leave, under load", int64(r.Left)},
		{"servers killed", int64(r.Killed)},
		{"times that the log was killed", int64(r.Logs)},
	} {
		readers.AppendRow(table.Row{row.name, thousands(row.n)})
	}
	kinds.AppendHeader(table.Row{"a client that", "survived", "met a restart, or was refused"})
	for _, k := range r.Kinds {
		kinds.AppendRow(table.Row{k.Name, thousands(k.Survived), thousands(k.Away)})
	}
	usage.AppendHeader(table.Row{"the server that ran throughout", "before", "peak", "when all had left"})
	for _, row := range []struct {
		name string
		of   func(Usage) string
	}{
		{"sessions", func(u Usage) string { return thousands(int64(u.Sessions)) }},
		{"goroutines", func(u Usage) string { return thousands(int64(u.Goroutines)) }},
		{"file descriptors", func(u Usage) string { return thousands(int64(u.Files)) }},
		{"heap in use", func(u Usage) string { return mib(u.Heap) }},
		{"resident memory", func(u Usage) string { return mib(u.RSS) }},
		{"TCP memory of the whole machine", func(u Usage) string { return mib(u.TCPMemory) }},
	} {
		usage.AppendRow(table.Row{row.name, row.of(r.Start), row.of(r.Peak), row.of(r.End)})
	}
	for _, t := range []table.Writer{readers, kinds, usage} {
		t.SetColumnConfigs([]table.ColumnConfig{
			{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight}, {Number: 4, Align: text.AlignRight},
		})
	}
	return []table.Writer{readers, kinds, usage}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// readReport reads what Write has written.
func readReport(file string) (*Report, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	r := new(Report)
	return r, json.Unmarshal(text, r)
}

// Write writes soak.json, soak.md and the charts into a folder.
func (r *Report) Write(folder string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // others read it
		return err
	}
	for name, text := range map[string][]byte{"soak.json": append(text, '\n'), "soak.md": []byte(r.Markdown())} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return r.charts(folder)
}

// The most that a server may have more when everybody has left than before anybody came.
const (
	moreGoroutines = 10
	moreFiles      = 4 + poolSize
	moreHeap       = maxBytes + 8<<20 // the hub's events and what it needs to find them
)

// flat returns an error unless a server has no more than at the beginning.
func (u Usage) flat(base Usage) error {
	switch {
	case u.Sessions > 0:
		return fmt.Errorf("%d sessions go on", u.Sessions)
	case u.Goroutines > base.Goroutines+moreGoroutines:
		return fmt.Errorf("%d goroutines are left, of %d at the beginning:\n%s", u.Goroutines, base.Goroutines, u.Stacks)
	case u.Files > base.Files+moreFiles:
		return fmt.Errorf("%d files are open, of %d at the beginning", u.Files, base.Files)
	case u.Heap > base.Heap+moreHeap:
		return fmt.Errorf("%s of heap are in use, of %s at the beginning", mib(u.Heap), mib(base.Heap))
	}
	return nil
}
