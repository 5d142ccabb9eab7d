// Command million shows how one machine holds a million streams: subscriptions of hubs in
// as many servers as the limit on open files makes necessary, on one log. The clients are
// real connections over the loopback device.
//
//	go run ./bench/million
//	go run ./bench/million -conns 100000
//
// It fails if a connection is refused or ends, or an event is lost, and never because it is slow.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/work"
)

func main() {
	process.Main(server.Serve)
	o, err := parseOptions()
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

type options struct {
	conns int
	each  int // connections of a server at most; 0 means as many as it may open files for
	beats []time.Duration
	out   string
	doc   string
}

func parseOptions() (options, error) {
	o := options{beats: []time.Duration{30 * time.Second, 15 * time.Second}}
	flag.IntVar(&o.conns, "conns", million, "`number` of connections")
	flag.IntVar(&o.each, "each", 0, "the greatest `number` of connections of a server; 0 means as many as the limit on open files allows")
	flag.Func("heartbeat", "`times` of silence before a comment, with a round for each (default 30s,15s)", func(s string) (err error) {
		o.beats, err = durations(s)
		return err
	})
	flag.StringVar(&o.out, "out", "", "write results.json and charts to this `folder`; other results that are there stay")
	flag.StringVar(&o.doc, "doc", "", "put the tables into this `document`, between <!-- table NAME --> and <!-- end -->; needs -out")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: see -help", flag.Arg(0))
	case o.conns < 1 || o.each < 0:
		return o, errors.New("-conns must be 1 or more, and -each 0 or more")
	case o.doc != "" && o.out == "":
		return o, errors.New("-doc needs -out, the folder with the document's other results")
	}
	return o, nil
}

func durations(list string) (all []time.Duration, err error) {
	for part := range strings.SplitSeq(list, ",") {
		d, err := time.ParseDuration(part)
		if err != nil {
			return nil, err
		}
		if d <= 0 {
			return nil, fmt.Errorf("%v is not above 0", d)
		}
		all = append(all, d)
	}
	return all, nil
}

// run measures one round for each heartbeat.
func run(o options) error {
	most, err := work.PerProcess(o.conns)
	if err != nil {
		return err
	}
	each := most
	if o.each > 0 {
		each = min(most, o.each)
	}
	free, err := readResources()
	if err != nil {
		return err
	}
	if err := free.check(o.conns, each); err != nil {
		return err
	}
	r := &report.Report{Time: time.Now(), Command: command(o), Machine: report.ThisMachine(), Results: newResults(o, each)}
	fmt.Fprintf(os.Stdout, "%s\n\n", r.Machine)
	p := newProgress(os.Stderr)
	for _, beat := range o.beats {
		got, err := measure(o.conns, each, beat, p)
		p.clear()
		if err != nil {
			return fmt.Errorf("heartbeat %v: %w", beat, err)
		}
		enter(r.Results, beat.String(), got)
		for _, result := range r.Results { // with what is known so far, because a round takes minutes
			fmt.Fprintln(os.Stdout, result.Text())
		}
	}
	for _, missed := range missed(r.Results) {
		fmt.Fprintln(os.Stdout, "missed:", missed)
	}
	r.Took = time.Since(r.Time).Round(time.Second).String()
	return write(r, o)
}

// write writes the report, and keeps what other programs have measured.
func write(r *report.Report, o options) error {
	if o.out == "" {
		return nil
	}
	file := filepath.Join(o.out, "results.json")
	old, err := report.Read(file)
	if err == nil {
		r.Keep(old)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := r.Write(file); err != nil {
		return err
	}
	if err := r.Charts(o.out); err != nil {
		return err
	}
	if o.doc == "" {
		return nil
	}
	return r.Splice(o.doc)
}

// command returns the command line that runs this again.
func command(o options) string {
	args := []string{"go run ./bench/million"}
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "conns", "each":
			args = append(args, "-"+f.Name+" "+f.Value.String())
		case "heartbeat":
			var beats []string
			for _, beat := range o.beats {
				beats = append(beats, beat.String())
			}
			args = append(args, "-heartbeat "+strings.Join(beats, ","))
		}
	})
	return strings.Join(args, " ")
}

// A tableOf figures has a row for each, and a column for each round.
type tableOf struct {
	name, title, about string
	unit               report.Unit
	chart              bool
	rows               []row
}

// A row shows a figure. The goal is 0 if there is none.
type row struct {
	figure, name string
	goal         float64
}

var tables = []tableOf{
	{
		"million-memory", "memory of each",
		"The server's and the reader's are resident memory after a garbage collection; the kernel's are both ends of the connection: " +
			"the difference of Slab in /proc/meminfo, and the buffers of TCP in /proc/net/sockstat.",
		report.Bytes, true, []row{
			{"user", "server", 1900},
			{"slab", "kernel, objects", 0},
			{"buffers", "kernel, buffers", 0},
			{"reader", "reader", 0},
		},
	},
	{
		"million-after", "memory of all servers", "Resident memory after a garbage collection.",
		report.Bytes, false, []row{
			{"before", "before the connections", 0},
			{"held", "with the connections", 0},
			{"after", "after they have left", 0},
		},
	},
	{
		"million-cpu", "CPU of heartbeats",
		"The share of all CPUs of the machine that the heartbeats take, over one period. " +
			"A heartbeat is late if it does not arrive in that period.",
		report.Percent, false, []row{
			{"beatServers", "servers", 0},
			{"beatReaders", "readers", 0},
			{"beat", "both", 60},
			{"late", "late heartbeats", 0},
		},
	},
	{
		"million-times", "times", "One event of 200 bytes is published in one server, and goes through the log to all. " +
			"The CPU of a delivery is the servers'. Departures are noticed that long after the last connection was closed.",
		report.Nanoseconds, false, []row{
			{"connect", "connecting all", 0},
			{"publish", "Publish", 0},
			{"first", "first delivery", 0},
			{"half", "median delivery", 0},
			{"most", "p99 delivery", 0},
			{"last", "last delivery", 15e9},
			{"delivery", "CPU of a delivery", 0},
			{"left", "leaving", 0},
			{"noticed", "departures noticed", 3e9},
		},
	},
}

// newResults returns the tables without figures.
func newResults(o options, each int) (all []*report.Result) {
	size := fmt.Sprintf("%s connections, at most %s to a server", report.Thousands(o.conns), report.Thousands(each))
	for _, t := range tables {
		r := &report.Result{
			Name: t.name, Title: report.Thousands(o.conns) + " connections: " + t.title, About: size + ". " + t.about,
			Time: time.Now(), Command: command(o), Rounds: 1, Chart: t.chart,
		}
		for _, beat := range o.beats {
			r.Metrics = append(r.Metrics, report.Metric{Key: beat.String(), Name: "heartbeats every " + beat.String(), Unit: t.unit})
		}
		r.Metrics = append(r.Metrics, report.Metric{Key: goal, Name: "goal, at most", Unit: t.unit})
		for _, row := range t.rows {
			s := &report.Side{Name: row.name, Ours: true, Samples: []report.Sample{{}}}
			if row.goal > 0 && (o.conns == million || t.unit == report.Bytes) { // fewer take less time, and each as much memory
				s.Samples[0][goal] = row.goal
			}
			r.Sides = append(r.Sides, s)
		}
		all = append(all, r)
	}
	return all
}

const (
	goal    = "goal"
	million = 1_000_000
)

// enter puts the figures of one round into the tables.
func enter(results []*report.Result, round string, got figures) {
	for i, t := range tables {
		for k, row := range t.rows {
			results[i].Sides[k].Samples[0][round] = got[row.figure]
			if row.figure == "after" {
				results[i].Sides[k].Samples[0][goal] = 1.1 * got["before"]
			}
		}
	}
}

// missed returns a sentence for each figure that is above its goal.
func missed(results []*report.Result) (all []string) {
	for _, r := range results {
		want := r.Metrics[len(r.Metrics)-1]
		for _, s := range r.Sides {
			for _, m := range r.Metrics[:len(r.Metrics)-1] {
				got, most := s.Of(m).Median, s.Of(want).Median
				if !math.IsNaN(most) && got > most {
					all = append(all, fmt.Sprintf("%s, %s, %s: %s, want at most %s",
						r.Title, s.Name, m.Name, m.Unit.Format(got), m.Unit.Format(most)))
				}
			}
		}
	}
	return all
}
