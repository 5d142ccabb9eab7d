//go:build linux

// Package work has what the sides are asked to do: this project, what one would
// write by hand, and other libraries. They do it in turn, so that what else the
// machine does meets all of them.
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
	Base    string // the side that ratios are to
	Sides   []Side
	Rounds  int           // if nothing else is asked for
	Cost    time.Duration // of all rounds, about

	// open makes ready what a side needs for all its rounds.
	open func(Side) (runner, error)

	chart bool
	cold  bool // the first round is like the others, for each starts a server
	place place
}

// QuickRounds is how many are enough to see that all is well.
func (w Work) QuickRounds() int {
	if w.cold {
		return 1
	}
	return 2
}

// A place says on which CPUs reader and servers run.
type place int

const (
	anywhere place = iota
	together       // on one CPU, so that they take turns
	apart          // the reader has one to itself
)

// A Side is one of those that are compared.
type Side struct {
	Name string
	Ours bool
	Most float64 // the ratio to the base that it should not exceed, or 0

	server string
	target string           // if the work has several
	ask    func(int) string // likewise
}

// A runner has one side do its work. A round may give several samples.
type runner interface {
	round() ([]report.Sample, error)
	close() error
}

// All is every work, in the order of their reports. If quick is true they are
// small: they show that all is well, and hardly more.
func All(quick bool) []Work {
	s := size(quick)
	audiences, rates := []int{100, 1_000, 5_000}, []int{20_000, 100_000}
	if quick {
		audiences, rates = audiences[1:2], rates[:1]
	}
	all := []Work{encode(s), stream(s)}
	for _, n := range audiences {
		all = append(all, fanOut(s, n))
	}
	for _, rate := range rates {
		for _, n := range audiences {
			all = append(all, paced(s, rate, n), latency(s, rate, n))
		}
	}
	all = append(all, idle(s), idleTLS(s), multitude(s), heartbeat(s), replay(s), parse(s), churn(s), stalled(s))
	return all
}

// A size chooses between what is measured in full and what is quick.
type size bool

func (quick size) of(full, small int) int {
	if quick {
		return small
	}
	return full
}

// Run has the sides take turns for some rounds. Each begins another one, for what
// one leaves behind meets the next. A side that fails is out; the others go on.
// Before each step it calls progress.
func (w Work) Run(rounds int, progress func(step, steps int, what string)) (*report.Result, error) {
	result := &report.Result{
		Name: w.Name, Title: w.Title, About: w.About,
		Time: time.Now(), Metrics: w.Metrics, Base: w.Base, Rounds: rounds, Chart: w.chart,
	}
	for _, s := range w.Sides {
		result.Sides = append(result.Sides, &report.Side{Name: s.Name, Ours: s.Ours, Most: s.Most})
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

// run opens the servers in their place.
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
