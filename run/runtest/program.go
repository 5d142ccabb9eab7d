package runtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/run"
)

// A world is some processes that share a store, and what has happened there.
type world struct {
	t      testing.TB
	ends   map[string]string // how a run has ended, as somebody was told
	clean  int               // how many readers were told of a clean end
	end    chan struct{}     // closed at the end of the program
	server Server
	random *rand.Rand // of the test's goroutine alone
	tick   time.Duration
	procs  []*process
	old    []*process // that were killed

	mu      sync.Mutex
	truth   map[string]*truth // by the run's name, which begins each of its events
	count   int
	heard   []heard
	downs   []down // of the server
	stalled bool   // the machine or the store was slow

	generators sync.WaitGroup
}

// heard is what a reader was told.
type heard struct {
	reader

	end string
	at  time.Time
}

// down is a time when the server did not answer.
type down struct{ from, to time.Time }

type process struct {
	*run.Runner

	die    func()
	killed time.Time // zero while it lives
}

// truth is what a generator has done.
type truth struct {
	yielded int    // events
	end     string // how it has ended by itself, "clean" or "failed"; empty if its run was ended before
	begun   time.Time
	process *process
}

var errModel = errors.New("the model has failed")

const stopWord = "stopped"

// Program runs a random program on a server: runs are started, read, resumed and stopped in several
// processes, processes are killed, and the server is. Each reader must get one run from its beginning, or
// from where it has left it, without a hole; and if it is told of a clean end, all of it. No two
// readers are told different ends, and the end that they are told is the generator's own, unless the run
// was stopped or lost. No run is lost or forgotten unless its process was killed, or the server while
// it ran. A tick is how long things take. Program returns how many readers were told of a clean end: over some programs,
// there must be some for each.
func Program(t testing.TB, seed uint64, s Server, tick time.Duration) (clean int) {
	t.Helper()
	w := &world{
		t: t, server: s, tick: tick, random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a seed repeats it
		truth: make(map[string]*truth), ends: make(map[string]string), end: make(chan struct{}),
	}
	defer close(w.end)
	go w.notice()
	for range 3 {
		w.procs = append(w.procs, w.open())
	}
	var readers sync.WaitGroup
	for range 40 {
		w.step(&readers)
	}
	done := make(chan bool)
	go func() {
		readers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * patience):
		t.Fatal("readers have not ended")
	}
	for _, p := range append(w.procs, w.old...) {
		w.kill(p)
	}
	w.generators.Wait() // they obey their contexts
	for _, h := range w.heard {
		w.check(h)
	}
	return w.clean
}

// notice notices when the machine stalls.
func (w *world) notice() {
	for {
		began := time.Now()
		select {
		case <-time.After(w.tick):
			w.took(time.Since(began) - w.tick)
		case <-w.end:
			return
		}
	}
}

// took records how long something has taken that should take no time.
func (w *world) took(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled = w.stalled || d > w.lease()/8
}

// A timed store notices when the store is slow.
type timed struct {
	run.Store

	world *world
}

func (s timed) Append(ctx context.Context, c run.Claim, b run.Batch) (*run.StopRequest, error) {
	began := time.Now()
	defer func() { s.world.took(time.Since(began)) }()
	return s.Store.Append(ctx, c, b)
}

func (s timed) Read(ctx context.Context, key, id, cursor string) (run.Page, error) {
	began := time.Now()
	defer func() { s.world.took(time.Since(began)) }()
	return s.Store.Read(ctx, key, id, cursor)
}

// lease is long enough for a slow machine, and short enough to wait for.
func (w *world) lease() time.Duration { return 100 * w.tick }

func (w *world) open() *process {
	s, die := w.server.Open(w.t, w.server.Addr)
	return &process{Runner: run.New(run.WithStore(timed{s, w}), run.WithLease(w.lease())), die: die}
}

func (w *world) kill(p *process) {
	w.mu.Lock()
	if p.killed.IsZero() {
		p.killed = time.Now()
	}
	w.mu.Unlock()
	p.die()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Shutdown(ctx) // its readers are told, and the test does not leave anything behind
}

func (w *world) step(readers *sync.WaitGroup) {
	key := string("abc"[w.random.IntN(3)])
	i := w.random.IntN(len(w.procs))
	p := w.procs[i]
	leave, pause := 1+w.random.IntN(8), time.Duration(w.random.IntN(8))*w.tick
	switch w.random.IntN(12) {
	case 0, 1, 2:
		generate := w.generator(key, p)
		readers.Go(func() {
			w.read(key, func(ctx context.Context) core.Stream { return p.Start(ctx, key, generate) }, leave, pause, i)
		})
	case 3, 4, 5, 6:
		readers.Go(func() {
			w.read(key, func(ctx context.Context) core.Stream { return p.Attach(ctx, key) }, leave, pause, i)
		})
	case 7:
		var last []core.Event
		if w.random.IntN(2) == 0 {
			last = append(last, core.Event{Data: stopWord})
		}
		readers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_ = p.Stop(ctx, key, last...)
		})
	case 8: //nolint:mnd // one of the cases
		w.old = append(w.old, p)
		w.mu.Lock()
		w.procs[i] = w.open()
		w.mu.Unlock()
		readers.Go(func() { w.kill(p) })
	case 9: //nolint:mnd // one of the cases
		if w.server.Kill != nil && w.random.IntN(3) == 0 {
			from := time.Now()
			w.server.Kill()
			w.wait(time.Duration(w.random.IntN(3)) * w.tick)
			w.server.Restart()
			w.mu.Lock()
			w.downs = append(w.downs, down{from, time.Now()})
			w.mu.Unlock()
		}
	default:
		w.wait(time.Duration(w.random.IntN(6)) * w.tick)
	}
}

func (*world) wait(d time.Duration) { hosttest.Pause(context.Background(), d) }

// generator returns a generator that yields some events and then ends somehow.
func (w *world) generator(key string, p *process) func(context.Context) core.Stream {
	w.count++
	name, n, fails := fmt.Sprintf("%s/%d", key, w.count), w.random.IntN(12), w.random.IntN(4) == 0
	waits := make([]time.Duration, n+1)
	for i := range waits {
		waits[i] = time.Duration(w.random.IntN(3)) * w.tick
	}
	return func(ctx context.Context) core.Stream {
		one := &truth{begun: time.Now(), process: p}
		w.generators.Add(1)
		w.mu.Lock()
		w.truth[name] = one
		w.mu.Unlock()
		return func(yield func(core.Event, error) bool) {
			defer w.generators.Done()
			for i := range n {
				if !hosttest.Pause(ctx, waits[i]) {
					return
				}
				w.mu.Lock()
				one.yielded++
				w.mu.Unlock()
				if !yield(core.Event{Data: fmt.Sprintf("%s#%d", name, i)}, nil) {
					w.mu.Lock()
					one.yielded--
					w.mu.Unlock()
					return
				}
			}
			if !hosttest.Pause(ctx, waits[n]) {
				return
			}
			w.mu.Lock()
			one.end = map[bool]string{false: "clean", true: "failed"}[fails]
			w.mu.Unlock()
			if fails {
				yield(core.Event{}, errModel)
			}
		}
	}
}

// A reader reads a run, perhaps from several processes in turn.
type reader struct {
	name    string // of the run; empty before the first event
	next    int    // the number of the event that must come
	stopped bool   // it has received the event of a call of Stop
	lastID  string
	last    error // why it had to come back
}

// read begins as a view does, leaves after some events, and comes back to any process until it is told an end.
func (w *world) read(key string, begin func(ctx context.Context) core.Stream, leave int, pause time.Duration, i int) {
	var r reader
	for round := range 100 {
		ctx, refused := request(w.t, r.lastID)
		stream := begin(ctx)
		again := w.connect(&r, stream, refused(), leave)
		if !again || w.t.Failed() {
			return
		}
		leave = 100
		w.wait(pause + time.Duration(round)*w.tick)
		w.mu.Lock()
		p := w.procs[(i+round)%len(w.procs)]
		w.mu.Unlock()
		begin = func(ctx context.Context) core.Stream { return p.Attach(ctx, key) }
	}
	w.t.Errorf("a reader of %s is not told an end: %v", key, r.last)
}

// connect reads one stream, and reports whether the client comes back.
func (w *world) connect(r *reader, s core.Stream, status, leave int) (again bool) {
	n := 0
	for e, err := range s {
		switch {
		case err != nil:
			return w.ended(r, err, status)
		case e.Type == "gap":
			if r.lastID == "" || n > 0 {
				w.t.Errorf("%+v is told of a gap: %s", r, e.Data)
			}
			*r = reader{}
		case e.Data == stopWord:
			r.stopped = true
		default:
			name, number, _ := strings.Cut(e.Data, "#")
			if r.name == "" {
				r.name = name
			}
			if k, _ := strconv.Atoi(number); name != r.name || k != r.next || r.stopped {
				w.t.Errorf("%+v got %q", r, e.Data)
			}
			r.next++
		}
		r.lastID = e.ID
		if n++; n == leave {
			return true
		}
	}
	w.told(r, "clean")
	return false
}

// ended judges an error, and reports whether the client comes back.
func (w *world) ended(r *reader, err error, status int) (again bool) {
	r.last = err
	switch {
	case status == 204 && errors.Is(err, run.ErrFinished):
		w.told(r, "clean")
		return false
	case status == 410 && errors.Is(err, run.ErrLost):
		w.told(r, "lost")
		return false
	case errors.Is(err, run.ErrNotHeld):
		if r.name != "" {
			w.t.Errorf("%+v: it was forgotten", r)
		}
		return false
	case status != 0:
		return true
	case errors.Is(err, run.ErrStopped):
		w.told(r, "stopped")
	case err.Error() == errModel.Error():
		w.told(r, "failed")
	case err.Error() == run.ErrLost.Error(): // as the store says
		w.told(r, "lost")
	case strings.HasPrefix(err.Error(), "run: start "): // it was ended, because its claim was not answered
		return false
	default: // this process does not know, or is gone
		return true
	}
	return false
}

// told records how a run has ended, as a reader was told.
func (w *world) told(r *reader, end string) {
	if r.name == "" {
		return // a run without events has no name
	}
	if r.stopped && end != "lost" { // a lost one may lack the event that a reader has
		end += ", with an event"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, heard{*r, end, time.Now()})
}

// check compares what a reader was told with what others were told, and with the truth.
func (w *world) check(h heard) {
	if before, ok := w.ends[h.name]; ok && before != h.end {
		w.t.Errorf("%s: a reader was told %q, and another one %q", h.name, h.end, before)
	}
	w.ends[h.name] = h.end
	one := w.truth[h.name]
	lost := strings.HasPrefix(h.end, "lost")
	if n := one.yielded; h.next > n || !lost && h.next != n {
		w.t.Errorf("%s: a reader was told %q after %d of %d events", h.name, h.end, h.next, n)
	}
	if (h.end == "clean" || h.end == "failed") && h.end != one.end {
		w.t.Errorf("%s: a reader was told %q, but the generator's own end is %q", h.name, h.end, one.end)
	}
	w.mu.Lock()
	stalled := w.stalled
	w.mu.Unlock()
	if lost && !stalled && !w.hit(one, h.at) {
		w.t.Errorf("%s: a reader was told that it was lost, but neither its process nor the server was killed", h.name)
	}
	if strings.HasPrefix(h.end, "clean") {
		w.clean++
	}
}

// hit reports whether a run's process was killed before some time, or the server while it ran.
func (w *world) hit(one *truth, at time.Time) bool {
	for _, d := range w.downs {
		if d.from.Before(at) && one.begun.Before(d.to.Add(w.lease())) {
			return true
		}
	}
	return !one.process.killed.IsZero() && one.process.killed.Before(at)
}
