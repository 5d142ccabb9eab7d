package runtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/run"
)

// A Backend is a kind of store, which [Run] tests together with the runners that use it.
type Backend struct {
	// Start starts an empty server for one test. It is stopped in a Cleanup of t's,
	// which runs after the Cleanups of what is opened there.
	Start func(t testing.TB) Server

	// Programs is how many random programs are run, each on a server of its own, if the
	// environment variable CI is "true". Elsewhere it is a tenth.
	// Zero stands for 10.
	Programs int
}

// A Server is where a store is. All fields but Open may be missing: tests that need them are
// skipped.
type Server struct {
	// Open returns the server's store as a new process sees it, with connections of its own to
	// addr, which is Addr or the address of a proxy in front of it. It need not have connected yet.
	//
	// The suite calls die to see what happens when the process has died: it breaks off the
	// store's connections and frees everything that Open has started. It may be called twice.
	Open func(t testing.TB, addr string) (s run.Store, die func())

	// Addr is the server's address, for a proxy in front of it.
	Addr string

	// TooLarge is a size of an event that the store does not accept. Zero means that it accepts all.
	TooLarge int

	// Kill ends the server at once, as SIGKILL does, and Restart starts it again with everything
	// that it had. RestartEmpty starts it without. They return when the server has ended, or answers.
	Kill, Restart, RestartEmpty func()

	// HubLog opens the log of a hub on the same server until the end of a test. [Benchmark] compares with it.
	HubLog func(t testing.TB) hub.Log
}

const (
	// patience is how long a test waits for something that should come soon.
	patience = time.Minute

	// Leases: long is one that does not end during a test, short is one that a test waits for, and
	// middle is one that also lasts while a slow machine does a few things.
	long   = 2 * patience
	short  = time.Second
	middle = 5 * time.Second
)

var checks = []struct {
	name     string
	check    func(*fixture)
	parallel bool // it waits most of the time
}{
	{"claims", checkClaims, false},
	{"a race of claims", checkClaimRace, false},
	{"keys", checkKeys, false},
	{"appends", checkAppend, false},
	{"pages", checkPages, false},
	{"ends", checkEnd, false},
	{"a lease ends", checkLease, true},
	{"retention", checkRetention, true},
	{"requests to stop", checkStopRequest, false},
	{"list", checkList, false},
	{"hints", checkHints, false},
	{"contexts", checkContext, false},

	{"attach in another process", checkAttach, false},
	{"attach after the end", checkAttachLate, false},
	{"attach after an event that never was", checkBeyond, true},
	{"one run for a key", checkOneRun, false},
	{"how runs end", checkEnds, false},
	{"large events and errors", checkLarge, false},
	{"an event is too large", checkTooLarge, false},
	{"stop in another process", checkStop, false},
	{"a process dies", checkDeath, true},
	{"the network stalls", checkStall, true},
	{"connections break", checkCut, true},
	{"the server is killed", checkKill, true},
	{"the server comes back empty", checkEmpty, true},
}

// Run tests a kind of store, and what several processes see that share one.
//
// Each test starts a server of its own. The package's tests should end with ssetest.Main,
// which looks for leaked goroutines.
func Run(t *testing.T, b Backend) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.parallel {
				t.Parallel()
			}
			c.check(&fixture{T: t, Server: b.Start(t)})
		})
	}
	t.Run("random programs", func(t *testing.T) {
		t.Parallel()
		n := b.Programs
		if n == 0 {
			n = 10
		}
		n = hosttest.Rounds(n)
		clean := 0
		for seed := range n {
			clean += Program(t, uint64(seed), b.Start(t), 20*time.Millisecond)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		if n > 5 && clean < n {
			t.Errorf("in %d programs, only %d readers were told of a clean end", n, clean)
		}
	})
}

// A fixture is a test with its server.
type fixture struct {
	*testing.T
	Server
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// store opens the store.
func (f *fixture) store() run.Store {
	f.Helper()
	s, die := f.Open(f, f.Addr)
	f.Cleanup(die)
	return s
}

// process returns a runner of its own, and a function that kills it.
func (f *fixture) process(opts ...run.Option) (r *run.Runner, die func()) {
	f.Helper()
	return f.processAt(f.Addr, opts...)
}

// processAt is process with another address, such as that of a proxy.
func (f *fixture) processAt(addr string, opts ...run.Option) (r *run.Runner, die func()) {
	f.Helper()
	s, die := f.Open(f, addr)
	r = run.New(append([]run.Option{run.WithStore(s), run.WithLease(long)}, opts...)...)
	f.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Shutdown(ctx)
		die()
	})
	return r, die
}

// pair returns the runners of two processes.
func (f *fixture) pair() (a, b *run.Runner) {
	f.Helper()
	a, _ = f.process()
	b, _ = f.process()
	return a, b
}

// claim returns a claim with a new ID.
func claim(key string, lease time.Duration) run.Claim {
	return run.Claim{Key: key, ID: newID(), Starter: "ann", Lease: lease, Retention: patience}
}

// newID returns an ID as a runner draws it.
func newID() string {
	id, _, _ := strings.Cut(hub.New().LastID(), "-")
	return id
}

// begin begins a run, which must be a new one.
func (f *fixture) begin(s run.Store, c run.Claim) {
	f.Helper()
	if r := f.beginBriefly(s, c); r.Outcome != "" {
		f.Fatalf("claim: got %+v, want a run that goes on", r)
	}
}

// beginBriefly is begin for a short lease, which may be over when a slow server answers.
func (f *fixture) beginBriefly(s run.Store, c run.Claim) run.Record {
	f.Helper()
	r, err := s.Claim(soon(f), c)
	if err != nil || r.ID != c.ID {
		f.Fatalf("claim: got %+v, %v, want a new run %s", r, err, c.ID)
	}
	return r
}

func (f *fixture) isError(what string, got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Errorf("%s: got the error %v, want %v", what, got, want)
	}
}

func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// until waits until something is so.
func (f *fixture) until(what string, so func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !so(); {
		if time.Now().After(deadline) {
			f.Fatalf("%s: not within %v", what, patience)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// request returns the context of a request with a last event ID, and its status if it is refused.
func request(t testing.TB, lastEventID string) (ctx context.Context, refused func() int) {
	t.Helper()
	s, err := host.NewSession(soon(t), core.Request{LastEventID: lastEventID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(nil) })
	return s.Context(), func() int {
		if e, ok := errors.AsType[*core.RefusedError](s.Refused()); ok {
			return e.Status
		}
		return 0
	}
}

// collect returns the events of a stream, and its error.
func collect(s core.Stream) (events []core.Event, err error) {
	for e, err := range s {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

// words returns the data of events.
func words(events []core.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Data)
	}
	return all
}

// A script is a generator that a test leads.
type script struct {
	f      *fixture
	events chan string // closed, the generator returns
	fail   chan error  // the generator yields what comes
	ended  chan error  // why the generator's context had ended when it returned
}

func (f *fixture) script() *script {
	return &script{f, make(chan string), make(chan error), make(chan error, 1)}
}

func (s *script) generate(ctx context.Context) core.Stream {
	return func(yield func(core.Event, error) bool) {
		defer func() { s.ended <- context.Cause(ctx) }()
		for {
			select {
			case word, ok := <-s.events:
				if !ok || !yield(core.Event{Data: word}, nil) {
					return
				}
			case err := <-s.fail:
				yield(core.Event{}, err)
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// say has the generator yield events.
func (s *script) say(words ...string) {
	s.f.Helper()
	for _, word := range words {
		give(s, s.events, word)
	}
}

// failWith has the generator yield an error.
func (s *script) failWith(err error) {
	s.f.Helper()
	give(s, s.fail, err)
}

// give sends the generator something, unless it has returned or does not run.
func give[T any](s *script, to chan<- T, what T) {
	s.f.Helper()
	select {
	case to <- what:
	case cause := <-s.ended:
		s.f.Fatalf("the generator has returned early: %v", cause)
	case <-soon(s.f).Done():
		s.f.Fatal("the generator does not run")
	}
}

// cause waits until the generator has returned.
func (s *script) cause() error {
	s.f.Helper()
	select {
	case cause := <-s.ended:
		return cause
	case <-soon(s.f).Done():
		s.f.Fatal("the generator goes on")
		return nil
	}
}
