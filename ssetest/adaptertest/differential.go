package adaptertest

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

var (
	differentialRuns   = flag.Int("adaptertest.runs", 0, "random programs to try; 0 means 800 if CI=true, 80 elsewhere")
	differentialFor    = flag.Duration("adaptertest.for", 0, "how long Differential tries random programs, instead of -adaptertest.runs")
	differentialSeed   = flag.Uint64("adaptertest.seed", 0, "the first seed of Differential; 0 means 1, or any with adaptertest.for")
	differentialWait   = flag.Duration("adaptertest.wait", time.Minute, "how long Differential waits for what should happen at once")
	differentialReplay = flag.Uint64("adaptertest.replay", 0, "the only seed that Differential tries, again and again")
)

// Differential tests an adapter against a model of this project's promises. It makes
// random programs of good and bad events, waits, failures and shutdowns, and runs them
// with clients that read, stall or leave, and with options of all sizes. It compares each
// result with the model: the bytes, the end of the response, what the observer gets, how
// long the end takes, and that nothing is left behind.
//
// It always tries the same programs. Flags of go test change that:
//
//	-adaptertest.for=1h         other programs, for an hour
//	-adaptertest.runs=100000    this number of programs
//	-adaptertest.seed=7         beginning with this seed
//	-adaptertest.replay=7       this seed only, many times
//
// If a program fails, the report has its seed, the command that runs it again, and the
// smallest program that still fails.
func Differential(t *testing.T, mount Mount) {
	if mount.timeout == 0 {
		mount.timeout = *differentialWait
	}
	if mount.Protocols == nil {
		mount.Protocols = []Protocol{HTTP1}
	}
	hosttest.ServerTLS() // makes the certificate now, not in a goroutine that has a program's label
	d := &differential{t: t, mount: mount}
	d.run()
}

// workers is how many programs run at a time. They mostly wait.
const workers = 16

// mostReports is how many programs are made smaller if several fail, and mostFailures is
// the number of failures after which the test ends.
const (
	mostReports  = 3
	mostFailures = 20
)

type differential struct {
	t     testing.TB
	mount Mount
	tried atomic.Uint64
	left  atomic.Int64

	mu     sync.Mutex
	failed map[uint64]outcome
}

func (d *differential) run() {
	if slices.Contains(d.mount.Protocols, HTTP3) {
		mounted{d.mount, HTTP3}.serve(d.t, nil) // fails without a transport
	}
	next, more := d.seeds()
	d.failed = map[uint64]outcome{}
	begin := time.Now()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for more() {
				d.one(next())
			}
		})
	}
	all.Wait()
	d.t.Logf("%d programs in %v", d.tried.Load(), time.Since(begin).Round(time.Millisecond))
	d.leaks()
	seeds := make([]uint64, 0, len(d.failed))
	for seed := range d.failed {
		seeds = append(seeds, seed)
	}
	slices.Sort(seeds)
	for i, seed := range seeds {
		if i < mostReports {
			d.report(seed)
		} else {
			d.t.Errorf("seed %d, too: %.300s", seed, d.failed[seed].all()[0])
		}
	}
}

// seeds returns a function for the next seed, and one that reports whether to continue.
func (d *differential) seeds() (next func() uint64, more func() bool) {
	first, runs := *differentialSeed, *differentialRuns
	if first == 0 {
		if first = 1; *differentialFor > 0 {
			first = rand.Uint64() >> 16 //nolint:gosec // not a secret
		}
	}
	if runs == 0 {
		runs = hosttest.Rounds(800)
	}
	last := first - 1
	seed := func() uint64 { return atomic.AddUint64(&last, 1) }
	if *differentialReplay > 0 {
		seed = func() uint64 { return *differentialReplay }
		if *differentialRuns == 0 {
			runs = 100
		}
	}
	failing := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.failed) >= mostFailures
	}
	if *differentialFor > 0 {
		until := time.Now().Add(*differentialFor)
		return seed, func() bool { return time.Now().Before(until) && !failing() }
	}
	d.left.Store(int64(runs))
	return seed, func() bool { return d.left.Add(-1) >= 0 && !failing() }
}

// one tries the plan of a seed. If all that is wrong is that something takes too long, it
// tries again with more patience, because the machine may be busy.
func (d *differential) one(seed uint64) {
	d.tried.Add(1)
	p := newPlan(seed, d.mount.Protocols)
	var o outcome
	for _, slack := range slacks {
		o = d.try(p, slack)
		if len(o.problems) > 0 || len(o.late) == 0 {
			break
		}
		d.t.Logf("seed %d, with a slack of %v: %s", seed, slack, strings.Join(o.late, "\n"))
	}
	if len(o.all()) > 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failed[seed] = o
	}
}

// all returns everything that is wrong.
func (o outcome) all() []string { return slices.Concat(o.problems, o.late) }

// try tries a plan, with its seed as a label on each of its goroutines.
func (d *differential) try(p *plan, slack time.Duration) (o outcome) {
	labels := pprof.Labels(leakLabel, strconv.FormatUint(p.Seed, 10))
	pprof.Do(context.Background(), labels, func(context.Context) {
		o = p.try(d.t, d.mount, slack)
	})
	return o
}

const leakLabel = "adaptertest.seed"

// report makes the plan smaller as long as it still fails, within a time, and reports it.
func (d *differential) report(seed uint64) {
	p := newPlan(seed, d.mount.Protocols)
	problems, late := d.failed[seed].all(), len(d.failed[seed].problems) == 0
	whole := p.String()
	tries, until := 0, time.Now().Add(20*time.Second)
	if late { // each trial takes long, too
		until = time.Now().Add(time.Minute)
	}
	for smaller := true; smaller; {
		smaller = false
		for _, q := range p.smaller() {
			if tries++; tries > 400 || time.Now().After(until) {
				break
			}
			if again := d.often(q, late); len(again) > 0 {
				p, problems, smaller = q, again, true
				break
			}
		}
	}
	d.t.Errorf("seed %d: %s\n\nThe smallest program that fails:\n%s\n\nThe program of the seed:\n%s\n\nTry it again with:\n"+
		"go test -race -run '^%s$' . -adaptertest.replay=%d",
		seed, strings.Join(problems, "\n"), p, whole, d.t.Name(), seed)
}

// often tries a plan several times in parallel, and returns the problems of a trial that
// fails, or takes too long if late is set.
func (d *differential) often(p *plan, late bool) []string {
	results := make(chan outcome, 4)
	for range cap(results) {
		go func() { results <- d.try(p, slacks[0]) }()
	}
	var failed []string
	for range cap(results) {
		o := <-results
		if late && len(o.late) > 0 {
			failed = o.late
		}
		if len(o.problems) > 0 {
			failed = o.problems
		}
	}
	return failed
}

// leaks reports goroutines of trials that do not end.
func (d *differential) leaks() {
	var left string
	for pause := time.Millisecond; pause < 4*time.Second; pause = pause * 3 / 2 {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		left = ""
		for stack := range strings.SplitSeq(b.String(), "\n\n") {
			ignored := slices.ContainsFunc(d.mount.Ignore, func(name string) bool { return strings.Contains(stack, name) })
			if strings.Contains(stack, leakLabel) && !ignored {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return
		}
		<-time.After(pause)
	}
	d.t.Errorf("goroutines have not ended; their labels are the seeds of their programs:\n%s", left)
}
