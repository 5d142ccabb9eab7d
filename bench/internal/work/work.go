//go:build linux

// Package work defines what is measured, and measures it on each side: this project,
// handlers written by hand, and other libraries. The sides take turns, so that whatever
// else the machine does affects all of them.
package work

import (
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
)

// A Work is something that sides do, round by round.
type Work struct {
	Name    string
	Title   string
	About   string
	Metrics []report.Metric
	Base    string // the side that the others are compared with
	Sides   []Side
	Rounds  int           // the default number
	Cost    time.Duration // of all rounds, about

	// open prepares what a side needs for all its rounds.
	open func(Side) (runner, error)

	column string // this work's column in the table of the frameworks
	chart  bool
	cold   bool // each round starts a new server, so the first one needs no warm-up
	place  place
}

// QuickRounds is how many rounds are enough to see that everything works.
func (w Work) QuickRounds() int {
	if w.cold {
		return 1
	}
	return 2
}

// A place says on which CPUs the reader and the servers run.
type place int

const (
	anywhere place = iota
	together       // on one CPU, so that they take turns
	apart          // the reader has its own
)

// A Side is one of the servers that are compared.
type Side struct {
	Name string
	Ours bool
	Most float64 // the highest ratio to the base that is accepted, or 0

	elder  string // the side that Most compares it with, instead of the base
	server string
	target string           // if the sides' targets differ
	ask    func(int) string // likewise
}

// A runner makes one side do its work. A round may give several samples.
type runner interface {
	round() ([]report.Sample, error)
	close() error
}

// All returns all works, in the order of their reports. If quick, they are small: they
// show that everything works, but their numbers say little.
func All(quick bool) []Work {
	s := size(quick)
	all := []Work{encode(s), stream(s), fanOut(s, 100), paced(s, 100_000, 100), latency(s, 20_000, s.of(1_000, 100))}
	if !quick {
		all = append(all,
			fanOut(s, 1_000), fanOut(s, 5_000),
			paced(s, 20_000, 1_000), paced(s, 20_000, 5_000), paced(s, 100_000, 1_000),
			latency(s, 100_000, 1_000), latency(s, 50_000, 10_000))
	}
	all = append(all, secure(s)...)
	all = append(all, idle(s), idleTLS(s), idleHTTP2(s), heartbeat(s), replay(s), herd(s), parse(s), churn(s), stalled(s))
	return append(all, frameworks(s)...)
}

// A size chooses between a full and a quick measurement. It is true for quick.
type size bool

func (quick size) of(full, small int) int {
	if quick {
		return small
	}
	return full
}

// Run makes the sides take turns for some rounds. Each round begins with another side,
// because a side may affect the one after it. A side that fails is out; the others
// continue. Before each step Run calls progress.
func (w Work) Run(rounds int, progress func(step, steps int, what string)) (*report.Result, error) {
	result := &report.Result{
		Name: w.Name, Title: w.Title, About: w.About,
		Time: time.Now(), Metrics: w.Metrics, Base: w.Base, Rounds: rounds, Chart: w.chart,
	}
	if w.column != "" {
		result.Group, result.Column = "frameworks", w.column
	}
	for _, s := range w.Sides {
		result.Sides = append(result.Sides, &report.Side{Name: s.Name, Ours: s.Ours, Most: s.Most, Elder: s.elder})
	}
	runners := make([]runner, len(w.Sides))
	defer func() {
		for _, r := range runners {
			if r != nil {
				_ = r.close()
			}
		}
	}()
	step, steps := 0, len(w.Sides)*(rounds+1)
	out := func(i int, err error) {
		result.Sides[i].Err = err.Error()
		if runners[i] != nil {
			_ = runners[i].close()
			runners[i] = nil
		}
	}

	openAll := func() error {
		for i, s := range w.Sides {
			progress(step, steps, "opening "+s.Name)
			step++
			var err error
			if runners[i], err = w.open(s); err == nil && !w.cold {
				_, err = runners[i].round() // warms up
			}
			if err != nil {
				out(i, err)
			}
		}
		return nil
	}
	unpin, err := w.place.run(openAll)
	if err != nil {
		return nil, fmt.Errorf("work: %s: %w", w.Name, err)
	}
	defer unpin()

	for round := range rounds {
		for k := range w.Sides {
			i := (round + k) % len(w.Sides)
			progress(step, steps, fmt.Sprintf("round %d/%d, %s", round+1, rounds, w.Sides[i].Name))
			step++
			if runners[i] == nil {
				continue
			}
			samples, err := runners[i].round()
			if err != nil {
				out(i, err)
				continue
			}
			result.Sides[i].Samples = append(result.Sides[i].Samples, samples...)
		}
	}
	return result, nil
}

// run opens the servers on the CPUs of the place.
func (p place) run(open func() error) (unpin func(), err error) {
	switch p {
	case together:
		if unpin, err = process.Pin(); err != nil {
			return nil, err
		}
		if err = open(); err != nil {
			unpin()
		}
		return unpin, err
	case apart:
		return process.Apart(open)
	case anywhere:
	}
	return func() {}, open()
}
