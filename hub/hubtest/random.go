package hubtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

var (
	flagSeed = flag.Uint64("hubtest.seed", 0, "run the random program of this seed, and no other")
	flagRuns = flag.Int("hubtest.runs", 0, "run this many random programs on each kind of log")
	flagFor  = flag.Duration("hubtest.for", 0, "run random programs for this long on each kind of log")
)

// randomPrograms runs random programs on a kind of log. The promises of hubs and logs must
// hold whatever happens: a client gets each event that it wants once and in
// order, or is told where some may be missing, or its stream ends; and when all is
// well again, it has everything. The first program that fails is shortened as long as
// it still fails.
func randomPrograms(t *testing.T, b Backend) {
	t.Helper()
	if *flagSeed != 0 {
		judgeProgram(t, b, generate(*flagSeed))
		return
	}
	runs, deadline := b.Programs, time.Time{}
	if runs == 0 {
		runs = 30
	}
	runs = hosttest.Rounds(runs)
	if *flagRuns > 0 {
		runs = *flagRuns
	}
	if *flagFor > 0 {
		deadline = time.Now().Add(*flagFor)
	}
	first := uint64(1) // the same programs each time, so that only changes make a test fail
	if !deadline.IsZero() {
		first = rand.Uint64() >> 16 //nolint:gosec // not a secret
	}
	var (
		next    atomic.Int64
		count   atomic.Int64
		workers sync.WaitGroup
		failed  atomic.Bool
		once    sync.Once
		culprit program
		problem string
	)
	for range 8 * runtime.GOMAXPROCS(0) { // they wait most of the time
		workers.Go(func() {
			for !failed.Load() {
				n := next.Add(1) - 1
				if deadline.IsZero() && n >= int64(runs) || !deadline.IsZero() && time.Now().After(deadline) {
					return
				}
				count.Add(1)
				p := generate(first + uint64(n)) //nolint:gosec // not negative
				if text := try(t, b, p, patience); text != "" {
					failed.Store(true)
					once.Do(func() { culprit, problem = p, text })
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d programs, from seed %d on", count.Load(), first)
	if failed.Load() {
		report(t, b, culprit, problem)
	}
}

// judgeProgram runs one program.
func judgeProgram(t *testing.T, b Backend, p program) {
	t.Helper()
	for range max(*flagRuns, 1) {
		if problem := try(t, b, p, patience); problem != "" {
			report(t, b, p, problem)
			return
		}
	}
}

// report shortens a program that fails, and reports how it fails.
func report(t *testing.T, b Backend, p program, problem string) {
	t.Helper()
	short, last := shorten(t, b, p)
	t.Errorf("a random program fails: replay it with -run '^%s$' -hubtest.seed=%d\n%s", t.Name(), p.seed, problem)
	if last == "" {
		t.Errorf("it does not fail each time. The program was:\n%v", p)
		return
	}
	t.Errorf("shortened from %d to %d steps:\n%v%s", len(p.steps), len(short.steps), short, last)
}

// shorten drops steps as long as the program fails without them, and returns how
// it fails then, or nothing if it does not fail again.
func shorten(t *testing.T, b Backend, p program) (short program, problem string) {
	t.Helper()
	const (
		budget   = 2 * time.Minute
		patience = 12 * time.Second // most failures show at once
		attempts = 4                // some depend on the moment
	)
	deadline := time.Now().Add(budget)
	fails := func(p program) bool {
		for range attempts {
			if time.Now().After(deadline) {
				return false
			}
			if text := try(t, b, p, patience); text != "" {
				problem = text
				return true
			}
		}
		return false
	}
	if !fails(p) {
		return p, ""
	}
	for size := len(p.steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(p.steps); {
			if shorter := p.without(at, min(at+size, len(p.steps))); fails(shorter) {
				p = shorter
			} else {
				at += size
			}
		}
	}
	return p, problem
}

// try runs a program, and returns what was wrong, or nothing.
func try(t *testing.T, b Backend, p program, limit time.Duration) (problem string) {
	t.Helper()
	tr := &trial{TB: t}
	done := make(chan struct{})
	go func() { // because Fatal ends it
		defer close(done)
		defer tr.cleanUp()
		defer func() {
			if v := recover(); v != nil {
				tr.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		w := &world{t: tr, server: b.Start(tr), program: p, limit: limit}
		w.run()
	}()
	<-done
	if tr.skipped.Load() {
		return ""
	}
	return tr.problem()
}

// A trial is a testing.TB whose failure does not fail the test.
type trial struct {
	testing.TB

	skipped atomic.Bool

	mu       sync.Mutex
	failed   bool
	text     []string
	cleanups []func()
}

func (t *trial) Helper() {}

func (t *trial) log(failed bool, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = t.failed || failed
	if most := 20; len(t.text) < most {
		t.text = append(t.text, strings.TrimSpace(text))
	}
}

func (t *trial) Log(args ...any)                   { t.log(false, fmt.Sprintln(args...)) }
func (t *trial) Logf(format string, args ...any)   { t.log(false, fmt.Sprintf(format, args...)) }
func (t *trial) Fail()                             { t.log(true, "it has failed") }
func (t *trial) Error(args ...any)                 { t.log(true, fmt.Sprintln(args...)) }
func (t *trial) Errorf(format string, args ...any) { t.log(true, fmt.Sprintf(format, args...)) }
func (t *trial) FailNow()                          { t.Fail(); runtime.Goexit() }
func (t *trial) Fatal(args ...any)                 { t.Error(args...); runtime.Goexit() }
func (t *trial) Fatalf(format string, args ...any) { t.Errorf(format, args...); runtime.Goexit() }
func (t *trial) SkipNow()                          { t.skipped.Store(true); runtime.Goexit() }
func (t *trial) Skip(...any)                       { t.SkipNow() }
func (t *trial) Skipf(string, ...any)              { t.SkipNow() }
func (t *trial) Skipped() bool                     { return t.skipped.Load() }

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// problem returns what was logged, if the trial has failed.
func (t *trial) problem() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.failed {
		return ""
	}
	return strings.Join(t.text, "\n")
}

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) TempDir() string {
	dir, err := os.MkdirTemp("", "hubtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *trial) cleanUp() {
	t.mu.Lock()
	all := t.cleanups
	t.mu.Unlock()
	for _, f := range slices.Backward(all) {
		f()
	}
}
