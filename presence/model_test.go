package presence_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/hub/hubtest"
)

var (
	seed     = flag.Uint64("seed", 0, "run only the random program of this seed")
	programs = flag.Uint64("programs", 12, "how many random programs to run")
)

// Random programs of several processes, whose members come and go, and which start, stop, die and
// lose the log, while the log fails, is trimmed and begins again. At the end, and at any time in
// processes that say that they know, and of those that have reached the log for long enough,
// all agree on who is there, and so do their clients.
func TestModel(t *testing.T) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { runProgram(t, *seed) })
		return
	}
	for i := range *programs {
		synctest.Test(t, func(t *testing.T) { runProgram(t, i+1) })
	}
}

// A host is a process in a program.
type host struct {
	process

	own     map[string]func() // by key, what has them leave
	page    *page
	reaches time.Time // since when it reaches the log; zero if it does not
	dead    bool
	died    time.Time
}

type program struct {
	t       *testing.T
	rand    *rand.Rand
	log     *hubtest.MemoryLog
	hosts   []*host
	next    int
	fails   bool
	well    time.Time // since when the log is well
	history []string
}

const topic = "x"

func runProgram(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // so that it can be repeated
	p := &program{t: t, rand: random, log: new(hubtest.MemoryLog), well: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer cancel()
	for range 3 {
		p.start(ctx)
	}
	for range 40 {
		p.step(ctx)
		if p.rand.IntN(3) == 0 {
			p.check(false)
		}
	}
	p.log.Fail(nil)
	p.fails, p.well = false, time.Now()
	for _, h := range p.hosts {
		if !h.dead {
			p.reach(h, false, false)
		}
	}
	pause(3 * lease)
	p.check(true)
	if t.Failed() {
		t.Logf("%q\nto repeat it: -run %s -seed %d", p.history, t.Name(), seed)
	}
}

func (p *program) start(ctx context.Context) {
	h := &host{process: start(p.t, p.log), own: make(map[string]func()), reaches: time.Now()}
	h.page = open(ctx, h.Tracker, topic)
	p.hosts = append(p.hosts, h)
}

func (p *program) reach(h *host, cut, mute bool) {
	h.link.set(cut, mute)
	switch {
	case cut || mute:
		h.reaches = time.Time{}
	case h.reaches.IsZero():
		h.reaches = time.Now()
	}
}

// end ends a process. If it is cut off, the others do not hear of it.
func (p *program) end(h *host) error {
	h.dead, h.died = true, time.Now()
	clear(h.own)
	return h.Shutdown(p.t.Context())
}

// living returns a process that is not dead, or nil.
func (p *program) living() (int, *host) {
	for range 20 {
		if i := p.rand.IntN(len(p.hosts)); !p.hosts[i].dead {
			return i, p.hosts[i]
		}
	}
	return 0, nil
}

func (p *program) step(ctx context.Context) {
	i, h := p.living()
	if h == nil {
		p.start(ctx)
		return
	}
	note := func(format string, args ...any) { p.history = append(p.history, fmt.Sprintf(format, args...)) }
	switch p.rand.IntN(16) {
	case 0, 1, 2, 3:
		n := 1 + p.rand.IntN(3)
		note("%d: %d join", i, n)
		for range n {
			p.next++
			key := fmt.Sprintf("%d-%03d", i, p.next)
			h.own[key] = join(p.t, h.Tracker, topic, key)
		}
	case 4, 5, 6:
		for key, leave := range h.own {
			note("%d: %s leaves", i, key)
			leave()
			delete(h.own, key)
			break
		}
	case 7:
		note("%d: cut off", i)
		p.reach(h, true, false)
	case 8:
		note("%d: deaf", i)
		p.reach(h, false, true)
	case 9:
		note("%d: reaches the log", i)
		p.reach(h, false, false)
	case 10:
		note("%d: dies", i)
		p.reach(h, true, false)
		_ = p.end(h)
		p.start(ctx)
	case 11:
		note("%d: shuts down", i)
		reaches := !h.reaches.IsZero() && !p.fails
		if err := p.end(h); err != nil && reaches {
			p.t.Errorf("shutdown: %v", err)
		}
		p.start(ctx)
	case 12:
		note("trim")
		p.log.Trim(p.rand.IntN(5))
	case 13:
		note("restart")
		p.log.Restart()
	case 14:
		note("fail")
		p.log.Fail(errors.New("out of order"))
		p.fails = true
	default:
		note("well")
		p.log.Fail(nil)
		p.fails, p.well = false, time.Now()
	}
	pauses := []time.Duration{0, time.Millisecond, time.Second, lease / 3, lease, 2 * lease}
	d := pauses[p.rand.IntN(len(pauses))]
	note("%v", d)
	pause(d)
}

// check compares what processes and their clients know. At the end all must know everything.
func (p *program) check(end bool) {
	pause(time.Second)
	for i, at := range p.hosts {
		if at.dead {
			continue
		}
		for j := range p.hosts {
			p.compare(i, j, end)
		}
		if end && at.Healthy() != nil {
			p.t.Errorf("process %d: %v", i, at.Healthy())
		}
	}
	for i, at := range p.hosts {
		told := at.dead
		var got, want []string
		var current bool
		var err, failure error
		for range 3 { // it takes half a second to tell a client
			if told {
				break
			}
			got, current, failure = at.page.keys()
			want, err = keys(at.Tracker, topic), at.Healthy()
			if told = slices.Equal(got, want) && current == (err == nil) && failure == nil; !told {
				pause(time.Second)
			}
		}
		if !told {
			p.t.Errorf("process %d: its client has %q, current: %v, %v; want %q, %v", i, got, current, failure, want, err)
		}
	}
}

// compare checks what process i knows of process j, if it says that it knows, and both have
// reached the log, which was well, for long enough.
func (p *program) compare(i, j int, end bool) {
	at, of := p.hosts[i], p.hosts[j]
	long := func(since time.Time) bool { return !since.IsZero() && time.Since(since) > 3*lease }
	if !end && i != j && (at.Healthy() != nil || p.fails || !long(p.well) || !long(at.reaches) || !of.dead && !long(of.reaches)) {
		return
	}
	prefix := fmt.Sprintf("%d-", j)
	there := slices.DeleteFunc(keys(at.Tracker, topic), func(key string) bool { return !strings.HasPrefix(key, prefix) })
	if want := slices.Sorted(maps.Keys(of.own)); !slices.Equal(there, want) && !(of.dead && !long(of.died)) {
		p.t.Errorf("process %d: of process %d, got %q, want %q", i, j, there, want)
	}
}
