package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/run"
)

// A failover is a primary and its replica, and two processes, which find the one that is the primary.
type failover struct {
	*testing.T

	primary, replica *server
	replication      *hubtest.Proxy
	clients          *hubtest.Proxy
	owner, other     *run.Runner
}

func newFailover(t *testing.T) *failover {
	t.Helper()
	f := &failover{T: t, primary: serve(t, "--repl-diskless-sync-delay", "0")}
	f.replication, f.clients = hubtest.NewProxy(t, f.primary.addr), hubtest.NewProxy(t, f.primary.addr)
	host, port, _ := net.SplitHostPort(f.replication.Addr)
	f.replica = serve(t, "--replicaof", host+" "+port)
	online(t, f.primary, 1)
	f.owner, f.other = f.process(run.WithLease(time.Minute)), f.process()
	return f
}

func (f *failover) process(opts ...run.Option) *run.Runner {
	store, die := openRuns(&redis.UniversalOptions{Addrs: []string{f.clients.Addr}}, "runs")
	r := run.New(append(opts, run.WithStore(store))...)
	f.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Shutdown(ctx)
		die()
	})
	return r
}

// takeOver kills the primary and has the replica take over.
func (f *failover) takeOver() {
	f.Helper()
	f.primary.kill()
	if err := f.replica.client().Do(soon(f), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		f.Fatal(err)
	}
	f.clients.Redirect(f.replica.addr)
	f.clients.Cut()
}

// begin begins a run. What comes from words are its events; when that is closed, it ends.
func (f *failover) begin(owner *run.Runner, key string) (words chan<- string, stream core.Stream) {
	ch := make(chan string)
	return ch, owner.Start(soon(f), key, func(ctx context.Context) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for {
				select {
				case word, ok := <-ch:
					if !ok || !yield(core.Event{Data: word}, nil) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}
	})
}

// A listener reads a stream.
type listener struct {
	t *testing.T

	mu    sync.Mutex
	words []string
	err   error
	over  chan struct{}
}

func listen(t *testing.T, stream core.Stream) *listener {
	l := &listener{t: t, over: make(chan struct{})}
	go func() {
		defer close(l.over)
		for e, err := range stream {
			l.mu.Lock()
			if err != nil {
				l.err = err
			} else {
				l.words = append(l.words, e.Data)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

// hears waits until that many events have come.
func (l *listener) hears(n int) {
	l.t.Helper()
	hosttest.Eventually(l.t, fmt.Sprint(n, " events"), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.words) >= n
	})
}

// wantEnd waits for the end.
func (l *listener) wantEnd(err error, words ...string) {
	l.t.Helper()
	select {
	case <-l.over:
	case <-soon(l.t).Done():
		l.t.Fatal("the stream does not end")
	}
	if !errors.Is(l.err, err) || fmt.Sprint(l.words) != fmt.Sprint(words) {
		l.t.Errorf("got %q and the error %v, want %q and %v", l.words, l.err, words, err)
	}
}

// replicates waits until the replica has an event of a run.
func (f *failover) replicates(key string, n int) {
	f.Helper()
	id := f.get(key).ID
	c := f.replica.client()
	hosttest.Eventually(f, "the replica to have it", func() bool {
		return c.LLen(soon(f), "runs:{"+key+"}:"+id+":events").Val() == int64(n)
	})
}

func (f *failover) get(key string) run.State {
	f.Helper()
	s, err := f.other.Get(soon(f), key)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// A replica that has everything takes over, and runs go on.
func TestRunsFailover(t *testing.T) {
	t.Parallel()
	f := newFailover(t)
	words, stream := f.begin(f.owner, "x")
	here := listen(t, stream)
	words <- "one"
	here.hears(1)
	there := listen(t, f.other.Attach(soon(t), "x"))
	there.hears(1)
	f.replicates("x", 1)
	f.takeOver()
	words <- "two"
	there.hears(2)
	close(words)
	here.wantEnd(nil, "one", "two")
	there.wantEnd(nil, "one", "two")
	listen(t, f.process().Attach(soon(t), "x")).wantEnd(nil, "one", "two")
}

// A replica takes over that lacks what the primary has acknowledged last. The runs that have lost something are
// lost, and all readers are told. A run that has lost nothing goes on.
func TestRunsFailoverWithLoss(t *testing.T) {
	t.Parallel()
	f := newFailover(t)
	whole, stream := f.begin(f.owner, "whole")
	wholeHere := listen(t, stream)
	speaks, stream := f.begin(f.owner, "speaks")
	speaksHere := listen(t, stream)
	silent, stream := f.begin(f.owner, "silent")
	silentHere := listen(t, stream)
	ends, stream := f.begin(f.process(), "ends")
	endsHere := listen(t, stream)
	runs := map[string]chan<- string{"whole": whole, "speaks": speaks, "silent": silent, "ends": ends}
	there := make(map[string]*listener)
	for key, words := range runs {
		words <- "one"
		hosttest.Eventually(t, "an event in the store", func() bool {
			s, err := f.other.Get(soon(t), key)
			return err == nil && s.Events == 1
		})
		f.replicates(key, 1)
		there[key] = listen(t, f.other.Attach(soon(t), key))
		there[key].hears(1)
	}

	f.replication.Stall(true, true)
	for _, key := range []string{"speaks", "silent", "ends"} {
		runs[key] <- "two"
		there[key].hears(2)
	}
	close(ends)
	endsHere.wantEnd(nil, "one", "two")
	there["ends"].wantEnd(nil, "one", "two")
	fresh, stream := f.begin(f.owner, "fresh") // of which the replica knows nothing
	freshHere := listen(t, stream)
	fresh <- "one"
	freshThere := listen(t, f.other.Attach(soon(t), "fresh"))
	freshThere.hears(1)
	f.takeOver()

	speaks <- "three"
	speaksHere.wantEnd(run.ErrLost, "one", "two", "three")
	there["speaks"].wantEnd(run.ErrLost, "one", "two")
	silentHere.wantEnd(run.ErrLost, "one", "two") // when its lease is renewed
	there["silent"].wantEnd(run.ErrLost, "one", "two")
	freshHere.wantEnd(run.ErrLost, "one")
	freshThere.wantEnd(run.ErrLost, "one")
	late := f.process()
	for _, key := range []string{"speaks", "silent", "ends"} { // the last one when its lease ends
		listen(t, late.Attach(soon(t), key)).wantEnd(run.ErrLost, "one")
		if s := f.get(key); !errors.Is(s.Err, run.ErrLost) || s.Events != 1 {
			t.Errorf("%s: got %+v, want a lost run", key, s)
		}
	}

	whole <- "two"
	close(whole)
	wholeHere.wantEnd(nil, "one", "two")
	there["whole"].wantEnd(nil, "one", "two")
	again, stream := f.begin(f.owner, "speaks")
	close(again)
	listen(t, stream).wantEnd(nil)
	if s := f.get("whole"); s.Err != nil || s.Events != 2 {
		t.Errorf("got %+v", s)
	}
}
