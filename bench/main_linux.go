// Command bench compares this project with handlers written by hand on each framework,
// and with other libraries. README.md says how to run it and how it measures.
//
//   - internal/work defines what is measured, each work in a file
//   - internal/server has the servers that are measured, each in a file
//   - internal/process runs a server in a separate process and reads what it has used
//   - internal/reader is the client: raw sockets that count every event
//   - internal/report makes tables and charts of the results
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/work"
)

func main() {
	process.Main(server.Serve)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	only    string
	rounds  int
	quick   bool
	list    bool
	out     string
	doc     string
	render  string
	profile string
}

func parseOptions() (o options) {
	flag.StringVar(&o.only, "run", "", "only the works whose `name` matches this regular expression")
	flag.IntVar(&o.rounds, "rounds", 0, "`number` of rounds; 0 means each work's default")
	flag.BoolVar(&o.quick, "quick", false, "one or two small rounds of each work: shows that everything works, but the numbers say little")
	flag.BoolVar(&o.list, "list", false, "list the works")
	flag.StringVar(&o.out, "out", "", "write results.json and charts to this `folder`")
	flag.StringVar(&o.doc, "doc", "", "put the tables into this `document`, between <!-- table NAME --> and <!-- end -->")
	flag.StringVar(&o.render, "render", "", "measure nothing, and show this results.json `file`")
	flag.StringVar(&o.profile, "profile", "", "write a CPU and a heap profile of each server to this `folder`")
	flag.Parse()
	return o
}

func run() error {
	o := parseOptions()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -help", flag.Arg(0))
	}
	if o.render != "" {
		r, err := report.Read(o.render)
		if err != nil {
			return err
		}
		for _, result := range r.Results {
			fmt.Fprintln(os.Stdout, result.Text())
		}
		return write(r, o)
	}
	works, err := choose(work.All(o.quick), o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, w := range works {
			fmt.Fprintf(os.Stdout, "%-20s %s\n", w.Name, w.Title)
		}
		return nil
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
		if err := os.Setenv(process.ProfileEnv, o.profile); err != nil {
			return err
		}
	}
	r, err := measure(works, o)
	if err != nil {
		return err
	}
	if err := write(r, o); err != nil {
		return err
	}
	return verdict(r)
}

// choose keeps the works whose names match.
func choose(all []work.Work, pattern string) (some []work.Work, err error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	for _, w := range all {
		if match.MatchString(w.Name) {
			some = append(some, w)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("-run %s does not match any work: use -list to see their names", pattern)
	}
	return some, nil
}

// measure runs all works, and prints each result as soon as it is there.
func measure(works []work.Work, o options) (*report.Report, error) {
	begin := time.Now()
	r := &report.Report{Time: begin, Command: command(), Machine: report.ThisMachine()}
	old, err := kept(o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stdout, "%s\n\n", r.Machine)
	p := newProgress(os.Stderr, works, func(w work.Work) int { return roundsOf(w, o) })
	for i, w := range works {
		result, err := w.Run(roundsOf(w, o), p.of(i))
		p.clear()
		if err != nil {
			return nil, err
		}
		result.Command = r.Command
		r.Results = append(r.Results, result)
		fmt.Fprintln(os.Stdout, result.Text())
		r.Keep(old)
		if err := write(r, o); err != nil { // so that the results so far survive an interrupt
			return nil, err
		}
	}
	r.Took = time.Since(begin).Round(time.Second).String()
	fmt.Fprintf(os.Stdout, "done after %s\n", r.Took)
	return r, nil
}

// kept returns the report in the output folder, because its results stay that are not
// measured again. If all works are measured, only those of other programs do.
func kept(o options) (*report.Report, error) {
	if o.out == "" {
		return &report.Report{}, nil
	}
	old, err := report.Read(resultsFile(o.out))
	if errors.Is(err, os.ErrNotExist) {
		return &report.Report{}, nil
	}
	if err == nil && o.only == "" {
		old.Results = slices.DeleteFunc(old.Results, func(r *report.Result) bool {
			return !strings.HasPrefix(r.Command, "go run ./bench/")
		})
	}
	return old, err
}

func resultsFile(folder string) string { return filepath.Join(folder, "results.json") }

func roundsOf(w work.Work, o options) int {
	switch {
	case o.rounds > 0:
		return o.rounds
	case o.quick:
		return w.QuickRounds()
	default:
		return w.Rounds
	}
}

// write writes a report to the folder and the document that the options name.
func write(r *report.Report, o options) error {
	if o.out != "" {
		err := r.Write(resultsFile(o.out))
		if err == nil {
			err = r.Charts(o.out)
		}
		if err != nil {
			return err
		}
	}
	if o.doc != "" {
		return r.Splice(o.doc)
	}
	return nil
}

// verdict prints the ratios that exceed their limits, and returns an error if this
// project has failed or lost something. Only the ratios depend on the machine.
func verdict(r *report.Report) error {
	var failed []string
	for _, result := range r.Results {
		f, slow := result.Missed()
		failed = append(failed, f...)
		for _, s := range slow {
			fmt.Fprintln(os.Stdout, "missed:", s)
		}
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "\n"))
	}
	return nil
}

// command returns the command line that runs this again.
func command() string {
	args := []string{"go run ./bench"}
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "run" || f.Name == "rounds" || f.Name == "quick" {
			args = append(args, "-"+f.Name+strings.TrimSuffix("="+f.Value.String(), "=true"))
		}
	})
	return strings.Join(args, " ")
}
