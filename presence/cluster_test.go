package presence_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/presence"
)

// What happens in one process is known in the others at once.
func TestProcesses(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		pause(time.Second)
		leave, err := a.Join(t.Context(), "x", "ann", map[string]int{"age": 7})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := b.Join(ctx, "x", "bob", nil); err != nil {
			t.Fatal(err)
		}
		join(t, b.Tracker, "y", "bob")
		pause(time.Second)
		want(t, "x", []string{"ann", "bob"}, a, b)
		want(t, "y", []string{"bob"}, a, b)
		for m := range b.Members("x") {
			if m.Key == "ann" && (string(m.Info) != `{"age":7}` || m.Topic != "x" || m.ID == "") {
				t.Errorf("got %+v", m)
			}
		}
		leave()
		leave()
		pause(time.Second)
		want(t, "x", []string{"bob"}, a, b)
		cancel()
		pause(time.Second)
		want(t, "x", nil, a, b)
		want(t, "y", []string{"bob"}, a, b)
	})
}

// A user with two windows is there until both are closed.
func TestWindows(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		pause(time.Second)
		leave := join(t, a.Tracker, "x", "ann")
		join(t, b.Tracker, "x", "ann")
		join(t, a.Tracker, "x", "ann")()
		pause(time.Second)
		want(t, "x", []string{"ann", "ann"}, a, b)
		leave()
		pause(time.Second)
		want(t, "x", []string{"ann"}, a, b)
	})
}

// A process that starts is told by one that knows, and otherwise waits for half a lease.
func TestBegin(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a := start(t, log)
		join(t, a.Tracker, "x", "ann")
		pause(lease/2 - time.Second)
		healthy(t, false, a)
		pause(2 * time.Second)
		healthy(t, true, a)
		b := start(t, log)
		pause(100 * time.Millisecond)
		healthy(t, true, a, b)
		want(t, "x", []string{"ann"}, a, b)
	})
}

// The members of a process that dies leave after the lease, at most a second later.
func TestDeath(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		join(t, a.Tracker, "x", "ann")
		join(t, b.Tracker, "x", "bob")
		pause(time.Minute + 1234*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := open(ctx, b.Tracker, "x")
		a.link.set(true, false)
		pause(lease*2/3 - time.Second)
		want(t, "x", []string{"ann", "bob"}, b)
		pause(lease/3 + 2*time.Second)
		want(t, "x", []string{"bob"}, b)
		healthy(t, true, b)
		healthy(t, false, a)
		if got, want := g.take(), []string{"members 2", "current", "leave ann"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A process that others have not heard of for a while comes back with its members.
func TestPartition(t *testing.T) {
	for name, mute := range map[string]bool{"cut off": false, "deaf": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
				a, b := start(t, log), start(t, log)
				join(t, a.Tracker, "x", "ann")
				join(t, b.Tracker, "x", "bob")
				pause(time.Minute)
				a.link.set(!mute, mute)
				pause(5 * time.Minute)
				join(t, b.Tracker, "x", "ben")
				leave := join(t, a.Tracker, "x", "amy")
				join(t, a.Tracker, "x", "ada")
				leave()
				pause(5 * time.Minute)
				healthy(t, false, a)
				want(t, "x", []string{"ada", "ann", "bob"}, a)
				if !mute {
					want(t, "x", []string{"ben", "bob"}, b)
				}
				a.link.set(false, false)
				pause(10 * time.Second)
				healthy(t, true, a, b)
				want(t, "x", []string{"ada", "ann", "ben", "bob"}, a, b)
			})
		})
	}
}

// While the log is in trouble nobody leaves for it, and clients are told.
func TestTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		join(t, a.Tracker, "x", "ann")
		join(t, b.Tracker, "x", "bob")
		pause(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := open(ctx, b.Tracker, "x")
		log.Fail(errors.New("out of order"))
		pause(5 * time.Minute)
		want(t, "x", []string{"ann", "bob"}, a, b)
		healthy(t, false, a, b)
		join(t, a.Tracker, "x", "amy")
		join(t, b.Tracker, "x", "ben")
		pause(time.Minute)
		late := open(ctx, b.Tracker, "x")
		log.Fail(nil)
		pause(10 * time.Second)
		healthy(t, true, a, b)
		want(t, "x", []string{"amy", "ann", "ben", "bob"}, a, b)
		if got, want := g.take(), []string{"members 2", "current", "stale", "join ben", "join amy", "current"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := late.take(), []string{"members 3", "stale", "join amy", "current"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What the log has dropped is asked for again.
func TestGap(t *testing.T) {
	for name, lose := range map[string]func(*hubtest.MemoryLog){
		"trimmed":   func(log *hubtest.MemoryLog) { log.Trim(0) },
		"restarted": (*hubtest.MemoryLog).Restart,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
				lines := new(hosttest.Logbook)
				a := start(t, log)
				b := start(t, log, presence.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
				leave := join(t, a.Tracker, "x", "ann")
				pause(time.Minute)
				want(t, "x", []string{"ann"}, a, b)
				b.link.set(true, false)
				pause(2 * time.Second)
				join(t, a.Tracker, "x", "amy")
				leave()
				pause(time.Second)
				lose(log)
				b.link.set(false, false)
				pause(lease)
				healthy(t, true, a, b)
				want(t, "x", []string{"amy"}, a, b)
				if !strings.Contains(lines.String(), `level=WARN msg="presence: events are missing from the log, perhaps with kicks"`) {
					t.Errorf("got no line of the gap, but\n%s", lines)
				}
			})
		})
	}
}

// What has not come, and nobody says so, is noticed by its number.
func TestLoss(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		leave := join(t, a.Tracker, "x", "ann")
		pause(time.Minute)
		b.link.lose(true)
		leave()
		join(t, a.Tracker, "x", "amy")
		pause(100 * time.Millisecond)
		want(t, "x", []string{"ann"}, b)
		pause(lease / 3)
		want(t, "x", []string{"amy"}, b)
		join(t, a.Tracker, "x", "ada")
		pause(100 * time.Millisecond)
		b.link.lose(false)
		join(t, a.Tracker, "x", "abe")
		pause(lease / 2) // nobody is asked more often than every lease/3
		want(t, "x", []string{"abe", "ada", "amy"}, b)
		healthy(t, true, a, b)
	})
}

// A process that was deaf says that it knows when it has heard everything.
func TestBacklog(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		pause(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := open(ctx, b.Tracker, "x")
		b.link.set(false, true)
		for _, key := range []string{"1", "2", "3", "4"} {
			pause(lease / 3)
			join(t, a.Tracker, "x", key)
		}
		pause(time.Second)
		join(t, a.Tracker, "x", "5") // after the last renewal of b
		pause(time.Second)
		b.link.set(false, false)
		pause(time.Second)
		healthy(t, true, b)
		if got, want := g.take(), []string{"members 0", "current", "stale", "join 1", "join 2", "join 3", "join 4", "join 5", "current"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// After a trouble, a process does not know for certain before it hears of the others again.
func TestOthersAreLate(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log), start(t, log)
		join(t, a.Tracker, "x", "ann")
		pause(time.Minute)
		log.Fail(errors.New("out of order"))
		a.link.set(true, false)
		join(t, a.Tracker, "x", "amy")
		pause(time.Minute)
		log.Fail(nil)
		pause(lease * 2 / 3)
		want(t, "x", []string{"ann"}, b)
		healthy(t, false, b)
		a.link.set(false, false)
		pause(lease)
		want(t, "x", []string{"amy", "ann"}, a, b)
		healthy(t, true, a, b)
	})
}

// A process that shuts down takes its members along at once.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		lines := new(hosttest.Logbook)
		a, b := start(t, log), start(t, log, presence.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
		join(t, a.Tracker, "x", "ann")
		pause(time.Minute)
		want(t, "x", []string{"ann"}, a, b)
		g := open(t.Context(), a.Tracker, "x")
		if got, want := g.take(), []string{"members 1", "current"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if err := a.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		pause(time.Millisecond)
		want(t, "x", nil, a, b)
		healthy(t, true, b)
		if got, want := g.take(), []string{"leave ann"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := a.Join(t.Context(), "x", "ann", nil); !errors.Is(err, core.ErrShutdown) {
			t.Errorf("join: got %v, want core.ErrShutdown", err)
		}
		if err := a.Kick(t.Context(), "ann", ""); !errors.Is(err, core.ErrShutdown) {
			t.Errorf("kick: got %v, want core.ErrShutdown", err)
		}
		if err := a.Healthy(); !errors.Is(err, core.ErrShutdown) {
			t.Errorf("healthy: got %v, want core.ErrShutdown", err)
		}
		for _, err := range a.Stream(t.Context(), "x") {
			if !errors.Is(err, core.ErrShutdown) {
				t.Errorf("stream: got %v, want core.ErrShutdown", err)
			}
		}
		if err := a.Shutdown(t.Context()); err != nil {
			t.Errorf("again: got %v", err)
		}
		pause(time.Minute)
		if strings.Contains(lines.String(), "silent") {
			t.Errorf("got the lines\n%s, want none of a process that was silent", lines)
		}
		b.link.set(true, false)
		pause(time.Second)
		if err := b.Shutdown(t.Context()); !errors.Is(err, errCut) {
			t.Errorf("without the log: got %v, want %v", err, errCut)
		}
		c := presence.New(presence.WithLog(&link{Log: log, cut: true, changed: make(chan struct{})}))
		if err := c.Shutdown(t.Context()); !errors.Is(err, errCut) {
			t.Errorf("before the log has answered: got %v, want %v", err, errCut)
		}
	})
}

// A large room is told in events that the logs accept, and changes nothing while nothing changes.
func TestLarge(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		const n = 10_000
		a, b := start(t, log), start(t, log)
		pause(time.Minute)
		for i := range n {
			join(t, a.Tracker, "x", strconv.Itoa(i))
		}
		pause(time.Minute)
		c := start(t, log)
		pause(time.Second)
		healthy(t, true, a, b, c)
		for i, p := range []process{a, b, c} {
			if got := p.Len("x"); got != n {
				t.Errorf("process %d: got %d members, want %d", i, got, n)
			}
		}
		sent, largest := a.link.sent()
		if sent > 120 || largest > 40<<10 {
			t.Errorf("got %d events, the largest of %d bytes, want at most 120 and 40 KiB", sent, largest)
		}
		pause(5 * time.Minute)
		again, _ := a.link.sent()
		if got, want := again-sent, int(5*time.Minute/(lease/3)); got < want-1 || got > want+1 {
			t.Errorf("got %d events in 5 minutes, want %d", got, want)
		}
	})
}

// Many processes that start together do not ask each of the others one by one.
func TestManyBegin(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		const n, most = 10, 8
		var all []process
		var names []string
		for i := range n {
			p := start(t, log)
			all = append(all, p)
			names = append(names, fmt.Sprintf("%02d", i))
			join(t, p.Tracker, "x", names[i])
		}
		pause(time.Minute)
		healthy(t, true, all...)
		want(t, "x", names, all...)
		log.Restart() // all ask
		pause(time.Minute)
		healthy(t, true, all...)
		want(t, "x", names, all...)
		for i, p := range all {
			if sent, _ := p.link.sent("state"); sent > most {
				t.Errorf("process %d: got %d states, want at most %d", i, sent, most)
			}
		}
	})
}

// A process that has died is forgotten, although others start, one after the other, while it still
// has its lease in some.
func TestGhost(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, dead := start(t, log), start(t, log)
		join(t, dead.Tracker, "x", "dan")
		pause(time.Minute)
		dead.link.set(true, false)
		all := []process{a}
		for range 8 {
			all = append(all, start(t, log))
			pause(13 * time.Second)
		}
		pause(time.Second)
		healthy(t, true, all...)
		want(t, "x", nil, all...)
	})
}

// Members who come and go while the log does not answer leave nothing behind.
func TestNoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		log.Fail(errors.New("out of order"))
		never := start(t, log)
		never.link.set(true, false) // before the log answers again
		log.Fail(nil)
		later := start(t, log)
		pause(time.Minute)
		later.link.set(true, false)
		join(t, later.Tracker, "x", "ann")
		pause(lease)
		for range 3000 {
			join(t, never.Tracker, "x", "bob")()
			join(t, later.Tracker, "x", "bob")()
		}
		for name, p := range map[string]process{"never": never, "not any more": later} {
			if n := p.Changes(); n > 0 {
				t.Errorf("%s: got %d changes, want none", name, n)
			}
		}
		for _, p := range []process{never, later} {
			p.link.set(false, false)
		}
		pause(lease)
		healthy(t, true, never, later)
		want(t, "x", []string{"ann"}, never, later)
	})
}

// An asker is a handler that asks the Tracker whose lines it writes.
type asker struct {
	slog.Handler

	who *atomic.Pointer[presence.Tracker]
}

func (h asker) Handle(ctx context.Context, r slog.Record) error {
	if who := h.who.Load(); who != nil {
		r.AddAttrs(slog.Int("len", who.Len("x")))
	}
	return h.Handler.Handle(ctx, r)
}

// A handler may call the Tracker.
func TestLogger(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		lines, who := new(hosttest.Logbook), new(atomic.Pointer[presence.Tracker])
		a := start(t, log)
		b := start(t, log, presence.WithLogger(slog.New(asker{slog.NewTextHandler(lines, nil), who})))
		who.Store(b.Tracker)
		join(t, a.Tracker, "x", "ann")
		pause(time.Minute)
		other := hub.New(hub.WithLog(log))
		if _, err := other.Publish(t.Context(), "presence", core.Event{Type: "change", Data: "{}"}); err != nil {
			t.Error(err)
		}
		pause(time.Second)
		b.link.set(true, false)
		pause(time.Minute)
		b.link.set(false, false)
		pause(lease)
		a.link.set(true, false)
		pause(2 * lease)
		if err := other.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		const known, unknown = "presence: the members of other processes are known for certain", "presence: the members of other processes are not known for certain"
		wanted := []string{
			`level=INFO msg="` + known + `" after=\d\S* len=1`,
			`level=WARN msg="presence: an event was skipped, or the log cannot be read" error=".*the message does not say which process has sent it" len=1`,
			`level=WARN msg="` + unknown + `" error="presence: .*" len=1`,
			`level=INFO msg="` + known + `" after=\d\S* len=1`,
			`level=WARN msg="presence: a process was silent for its lease" process=\w+ members=1 len=0`,
		}
		var got []string
		for text := range strings.Lines(lines.String()) {
			if strings.Contains(text, "presence: ") && !strings.Contains(text, `msg="hub: `) {
				_, text, _ = strings.Cut(strings.TrimSpace(text), " ")
				got = append(got, text)
			}
		}
		if !slices.EqualFunc(got, wanted, func(got, want string) bool { return regexp.MustCompile("^" + want + "$").MatchString(got) }) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
		}
	})
}

// A blocker is a handler that blocks at a line, until goOn is closed.
type blocker struct {
	slog.Handler

	line    string
	once    *sync.Once
	blocked chan struct{}
	goOn    chan struct{}
}

func (blocker) Enabled(context.Context, slog.Level) bool { return true }

func (b blocker) Handle(_ context.Context, r slog.Record) error {
	if r.Message == b.line {
		b.once.Do(func() { close(b.blocked) })
		<-b.goOn
	}
	return nil
}

// Shutdown does not wait longer than it may for a handler that blocks.
func TestShutdownLoggerBlocks(t *testing.T) {
	for _, test := range []struct {
		name, line string
		tells      bool // it is the goroutine that tells others
		happen     func(log *hubtest.MemoryLog, other process)
	}{
		{"tells", "presence: a process was silent for its lease", true, func(_ *hubtest.MemoryLog, other process) { other.link.set(true, false) }},
		{"follows", "presence: events are missing from the log, perhaps with kicks", false, func(log *hubtest.MemoryLog, _ process) { log.Restart() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
				handler := blocker{slog.DiscardHandler, test.line, new(sync.Once), make(chan struct{}), make(chan struct{})}
				a, b := start(t, log), start(t, log, presence.WithLogger(slog.New(handler)))
				goOn := sync.OnceFunc(func() { close(handler.goOn) })
				t.Cleanup(goOn)
				join(t, a.Tracker, "x", "ann")
				pause(time.Minute)
				test.happen(log, a)
				hosttest.ReceiveWithin(t, time.Hour, handler.blocked, "the line")
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- b.Shutdown(ctx) }()
				if err := hosttest.ReceiveWithin(t, time.Minute, ended, "the first end"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
				}
				goOn()
				go func() { ended <- b.Shutdown(t.Context()) }()
				if err := hosttest.ReceiveWithin(t, time.Minute, ended, "the second end"); test.tells != errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the result of the first one: %v", err, test.tells)
				}
			})
		})
	}
}

// All calls of Shutdown wait until others were told, and have the same result.
func TestShutdownTwice(t *testing.T) {
	for _, fails := range []bool{false, true} {
		bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
			a, b := start(t, log), start(t, log)
			join(t, a.Tracker, "x", "ann")
			pause(time.Minute)
			a.link.set(fails, false)
			a.link.delay(time.Second)
			first := make(chan error, 1)
			go func() { first <- a.Shutdown(t.Context()) }()
			synctest.Wait()
			for _, err := range a.Stream(t.Context(), "x") { // which may not begin, because nobody would end it
				if !errors.Is(err, core.ErrShutdown) {
					t.Fatalf("a stream during the shutdown: got %v, want %v", err, core.ErrShutdown)
				}
			}
			soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			err := a.Shutdown(soon)
			if !fails && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("too soon: got %v, want %v", err, context.DeadlineExceeded)
			}
			if err := a.Shutdown(t.Context()); fails != errors.Is(err, errCut) || !fails && err != nil {
				t.Errorf("second: got %v, want a failure: %v", err, fails)
			}
			synctest.Wait()
			if !fails {
				want(t, "x", nil, b)
			}
			if err := <-first; fails != errors.Is(err, errCut) || !fails && err != nil {
				t.Errorf("first: got %v, want a failure: %v", err, fails)
			}
		})
	}
}

// A lease without a unit is too short, and works as the shortest.
func TestShortLease(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, b := start(t, log, presence.WithLease(15)), start(t, log, presence.WithLease(15))
		for _, p := range []process{a, b} {
			p.link.delay(10 * time.Millisecond)
		}
		join(t, a.Tracker, "x", "ann")
		pause(200 * time.Millisecond)
		healthy(t, true, a, b)
		want(t, "x", []string{"ann"}, a, b)
		a.link.set(true, false)
		pause(200 * time.Millisecond)
		want(t, "x", nil, b)
	})
}

// A process that starts does not know for certain before each of the others has answered.
func TestAnswerIsLate(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a, c := start(t, log), start(t, log)
		join(t, a.Tracker, "x", "ann")
		join(t, c.Tracker, "x", "cat")
		pause(time.Minute + time.Second) // not at a renewal
		c.link.delay(3 * time.Second)
		b := start(t, log)
		pause(time.Second)
		want(t, "x", []string{"ann"}, b)
		healthy(t, false, b)
		pause(lease)
		want(t, "x", []string{"ann", "cat"}, b)
		healthy(t, true, b)
	})
}

// What another process told before it was asked does not count as an answer, because it may not
// know of a third one yet.
func TestAnswerIsOld(t *testing.T) {
	for _, gap := range []bool{false, true} {
		bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
			var b process
			a := start(t, log)
			if gap {
				b = start(t, log)
			}
			join(t, a.Tracker, "x", "ann")
			pause(time.Minute + time.Second) // not at a renewal
			a.link.delay(time.Second)
			start(t, log) // asks, so that a answers
			pause(100 * time.Millisecond)
			if gap {
				b.link.set(true, false)
			}
			c := start(t, log)
			join(t, c.Tracker, "x", "cat")
			pause(100 * time.Millisecond)
			for _, p := range []process{a, c} { // what they tell next
				p.link.delay(4 * time.Second)
			}
			if gap {
				log.Trim(0)
				b.link.set(false, false)
			} else {
				b = start(t, log)
			}
			for range 60 {
				pause(lease / 30)
				if keys := keys(b.Tracker, "x"); b.Healthy() == nil && len(keys) < 2 {
					t.Fatalf("gap: %v: got %q, and healthy", gap, keys)
				}
			}
			want(t, "x", []string{"ann", "cat"}, b)
			healthy(t, true, b)
		})
	}
}

// A process whose question does not reach the log asks again.
func TestAskFails(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a := start(t, log)
		join(t, a.Tracker, "x", "ann")
		pause(time.Minute + time.Second) // not at a renewal
		b := start(t, &refusing{Log: log})
		pause(lease / 5)
		healthy(t, true, b)
		want(t, "x", []string{"ann"}, b)
	})
}

// A refusing log refuses the first ask.
type refusing struct {
	hub.Log

	refused atomic.Bool
}

func (r *refusing) Append(ctx context.Context, e hub.Entry) (string, error) {
	if e.Event.Type == "ask" && r.refused.CompareAndSwap(false, true) {
		return "", errCut
	}
	return r.Log.Append(ctx, e)
}

// An exiter is a handler that ends the goroutine.
type exiter struct{ slog.Handler }

func (exiter) Enabled(context.Context, slog.Level) bool { return true }

func (exiter) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

// A handler that ends the goroutine does not keep the Tracker from hearing and telling.
func TestLoggerGoexit(t *testing.T) {
	bubble(t, func(t *testing.T, log *hubtest.MemoryLog) {
		a := start(t, log)
		b := start(t, log, presence.WithLogger(slog.New(exiter{slog.DiscardHandler})))
		pause(time.Minute)
		b.link.set(true, false)
		pause(time.Minute)
		b.link.set(false, false)
		pause(lease)
		join(t, a.Tracker, "x", "ann")
		join(t, b.Tracker, "x", "bob")
		pause(lease)
		want(t, "x", []string{"ann", "bob"}, a, b)
		log.Restart() // a gap, which is told once
		pause(2 * lease)
		join(t, a.Tracker, "x", "eve")
		pause(lease)
		want(t, "x", []string{"ann", "bob", "eve"}, a, b)
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
