package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/work"
)

// A progress shows in one line what runs, and how long the rest may take.
type progress struct {
	w        io.Writer
	terminal bool
	works    []work.Work
	costs    []time.Duration // estimates
	begin    time.Time
}

func newProgress(f *os.File, works []work.Work, rounds func(work.Work) int) *progress {
	p := &progress{w: f, works: works, begin: time.Now()}
	if info, err := f.Stat(); err == nil {
		p.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	for _, w := range works {
		p.costs = append(p.costs, w.Cost*time.Duration(rounds(w)+1)/time.Duration(w.Rounds+1))
	}
	return p
}

// of returns the function that work i calls before each step.
func (p *progress) of(i int) func(step, steps int, what string) {
	return func(step, steps int, what string) {
		if !p.terminal && step > 0 {
			return // one line for each work is enough in a log
		}
		line := fmt.Sprintf("[%d/%d] %s: %s", i+1, len(p.works), p.works[i].Name, what)
		if left, ok := p.left(i, step, steps); ok {
			line += fmt.Sprintf(", about %s left", left)
		}
		if p.terminal {
			fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		} else {
			fmt.Fprintln(p.w, line)
		}
	}
}

// left estimates the time that remains from the time that has passed.
func (p *progress) left(i, step, steps int) (time.Duration, bool) {
	var done, all time.Duration
	for k, cost := range p.costs {
		all += cost
		if k < i {
			done += cost
		}
	}
	done += p.costs[i] * time.Duration(step) / time.Duration(steps)
	elapsed := time.Since(p.begin)
	if done < all/50 { // too early to know how fast this machine is
		return (all - done).Round(time.Second), true
	}
	left := time.Duration(float64(elapsed) * float64(all-done) / float64(done))
	return left.Round(time.Second), left > 0
}

// clear clears the line, before a table is printed.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
