package hub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A trick is a Log in memory whose methods a test can change. What is nil is not changed.
type trick struct {
	*hubtest.MemoryLog

	follow  func(context.Context, iter.Seq2[hub.Entry, error]) iter.Seq2[hub.Entry, error]
	read    func() error                  // before Range returns
	page    func([]hub.Entry) []hub.Entry // changes what Range returns
	last    func() error                  // before Last is asked
	compare func(a, b string) error

	follows, reads atomic.Int64 // how often they were called
}

func (l *trick) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	l.follows.Add(1)
	if l.follow == nil {
		return l.MemoryLog.Follow(ctx, after)
	}
	return l.follow(ctx, l.MemoryLog.Follow(ctx, after))
}

func (l *trick) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	l.reads.Add(1)
	entries, err := l.MemoryLog.Range(ctx, after, n)
	if l.read != nil {
		err = errors.Join(err, l.read())
	}
	if l.page != nil {
		entries = l.page(entries)
	}
	return entries, err
}

func (l *trick) Last(ctx context.Context) (string, error) {
	if l.last != nil {
		if err := l.last(); err != nil {
			return "", err
		}
	}
	return l.MemoryLog.Last(ctx)
}

func (l *trick) Compare(a, b string) (int, error) {
	if l.compare != nil {
		if err := l.compare(a, b); err != nil {
			return 0, err
		}
	}
	return l.MemoryLog.Compare(a, b)
}

// A gate is open at first.
type gate chan struct{}

func newGate() gate {
	g := make(gate, 1)
	g.open()
	return g
}

func (g gate) open()  { g <- struct{}{} }
func (g gate) close() { <-g }

func (g gate) pass(ctx context.Context) {
	select {
	case <-g:
		g.open()
	case <-ctx.Done():
	}
}

// late returns a Log whose followers hear nothing while the gate is closed.
func late(l *hubtest.MemoryLog) (*trick, gate) {
	g := newGate()
	return &trick{
		MemoryLog: l,
		follow: func(ctx context.Context, entries iter.Seq2[hub.Entry, error]) iter.Seq2[hub.Entry, error] {
			return func(yield func(hub.Entry, error) bool) {
				for e, err := range entries {
					if g.pass(ctx); ctx.Err() != nil || !yield(e, err) {
						return
					}
				}
			}
		},
	}, g
}

// over returns a hub that has heard from its log. It ends with the bubble.
func over(t *testing.T, l hub.Log, opts ...hub.Option) *hub.Hub {
	t.Helper()
	h := hub.New(append(opts, hub.WithLog(l))...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return h
}

// A listener collects a stream's events as they come, in a bubble.
type listener struct {
	t     *testing.T
	name  string
	mu    sync.Mutex
	words []string
	first hub.Gap // if it began with one
}

// listen subscribes until the end of the bubble.
func listen(t *testing.T, h *hub.Hub, from hub.Position, names ...string) *listener {
	t.Helper()
	return listenTo(t, "", h.SubscribeFrom(t.Context(), from, names...))
}

// listenTo runs a stream.
func listenTo(t *testing.T, name string, s core.Stream) *listener {
	t.Helper()
	l := &listener{t: t, name: name}
	go func() {
		for e, err := range s {
			if err != nil {
				l.note(core.Event{Data: err.Error()})
				break
			}
			l.note(e)
		}
		l.note(core.Event{Data: "END"})
	}()
	synctest.Wait()
	return l
}

func (l *listener) note(e core.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gap, err := parseGap(e); err == nil && len(l.words) == 0 {
		l.first = gap
	}
	l.words = append(l.words, summary(e))
}

// want checks what has come since it was called last.
func (l *listener) want(words string) {
	l.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := strings.Join(l.words, " "); got != words {
		l.t.Errorf("%s: got %.300q, want %.300q", l.name, got, words)
	}
	l.words = nil
}

// wantError checks that the stream has failed with an error that begins so, and nothing else.
func (l *listener) wantError(prefix string) {
	l.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.words) != 2 || !strings.HasPrefix(l.words[0], prefix) || l.words[1] != "END" {
		l.t.Errorf("%s: got %.300q, want the error %q", l.name, l.words, prefix)
	}
}

// numbered returns the words of events from one number to another.
func numbered(from, to int) string {
	words := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, " ")
}

// An event that is too large for the memory is read from the log.
func TestLargerThanMemory(t *testing.T) {
	for name, size := range map[string]int{"by its ID": 985, "by far": 5000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := new(hubtest.MemoryLog)
				small, large := over(t, l, hub.WithMaxBytes(1000)), over(t, l)
				live := listen(t, small, hub.Now, "a")
				big := strings.Repeat("x", size)
				publish(t, large, "a", big)
				publish(t, large, "a", "after")
				live.want(big + " after")
				listen(t, small, hub.Oldest, "a").want(big + " after")
			})
		})
	}
}

// The follower begins when the hub is complete: the race detector would notice.
func TestFollowerBeginsAtOnce(t *testing.T) {
	l := new(hubtest.MemoryLog)
	began := make(chan struct{})
	h := hub.New(hub.WithMaxEvents(1), hub.WithLog(&trick{
		MemoryLog: l,
		follow: func(context.Context, iter.Seq2[hub.Entry, error]) iter.Seq2[hub.Entry, error] {
			return func(yield func(hub.Entry, error) bool) {
				for range 3 {
					id, err := l.Append(context.Background(), hub.Entry{Topic: "a"})
					yield(hub.Entry{ID: id, Topic: "a"}, err)
				}
				close(began)
			}
		},
	}))
	<-began
	if err := h.Shutdown(soon(t)); err != nil {
		t.Error(err)
	}
}

// The memory moves on while an empty page is read.
func TestMemoryMovesOnDuringPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := &trick{MemoryLog: new(hubtest.MemoryLog), read: func() error { g.pass(t.Context()); return nil }}
		h := over(t, l, hub.WithMaxEvents(3))
		g.close()
		c := listen(t, h, hub.Oldest, "a")
		publishAll(t, h, "a", numbered(1, 10))
		synctest.Wait()
		g.open()
		c.want(numbered(1, 10))
	})
}

// The log has begun again, this hub has not heard of it, and a client comes from a hub
// that has. It gets nothing twice, and the log is not asked all the time.
func TestBeforeTheFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		slow, g := late(l)
		slow.read = func() error {
			if slow.reads.Load() > 100 { // without waiting, a bubble's time stands still
				return errors.New("enough")
			}
			return nil
		}
		one, two := over(t, l), over(t, slow)
		publish(t, one, "a", "old")
		synctest.Wait()
		g.close()
		l.Restart()
		publishAll(t, one, "a", "1 2")
		synctest.Wait()
		c := listen(t, two, hub.After(one.LastID()), "a")
		before := slow.reads.Load()
		sleep(10 * time.Second)
		if n := slow.reads.Load() - before; n > 15 {
			t.Errorf("the log was read %d times in 10 s, with nothing in it", n)
		}
		c.want("")
		publish(t, one, "a", "3")
		sleep(2 * time.Second)
		c.want("3")
		g.open()
		publish(t, one, "a", "4")
		sleep(2 * time.Second)
		c.want("4") // and no gap, because the client has had what came before
		publish(t, one, "a", "5")
		c.want("5")
	})
}

// The log loses its end while a client reads it: the client is told once, and then gets
// everything that is held, once.
func TestLostEndWhilePaging(t *testing.T) {
	const n = 600
	l := new(hubtest.MemoryLog)
	publisher := overReal(t, l)
	slow, g := late(l)
	h := overReal(t, slow, hub.WithMaxEvents(50))
	begin := h.LastID()
	publishAll(t, publisher, "a", numbered(1, n))
	hosttest.Eventually(t, "all is there", func() bool { return number(t, h.LastID()) == n })
	c := read(t, h.SubscribeFrom(soon(t), hub.After(begin), "a"))
	c.want(numbered(1, 100))
	g.close()
	l.Restart()
	publishAll(t, publisher, "a", numbered(1, n)) // to other processes the log looks restored
	c.want(numbered(101, 256))                    // from the page that it had already
	c.want("GAP:restarted " + numbered(1, 100))
	g.open()
	gaps := func() int64 { return h.Stats().Log.Gaps }
	hosttest.Eventually(t, "the follower has heard", func() bool { return gaps() == 1 && number(t, h.LastID()) == n })
	publish(t, publisher, "a", "last")
	c.want(numbered(101, n) + " last")
}

// overReal is over, outside of a bubble.
func overReal(t *testing.T, l hub.Log, opts ...hub.Option) *hub.Hub {
	t.Helper()
	h := hub.New(append(opts, hub.WithLog(l))...)
	t.Cleanup(func() {
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	})
	hosttest.Eventually(t, "the hub is ready", func() bool { return h.Healthy() == nil })
	return h
}

// The log begins again between a client's call of Subscribe and its first read.
func TestGapAtTheBeginning(t *testing.T) {
	for _, test := range []struct {
		name  string
		from  hub.Position
		want  string
		after string // of the gap, if it is known
	}{
		{"an ID that is not one", hub.After("rubbish"), "GAP:unknown 1 2", "rubbish"},
		{"an ID of another epoch", hub.After("maaaaaaaa-5"), "GAP:restarted 1 2", "maaaaaaaa-5"},
		{"the oldest", hub.Oldest, "1 2", ""},
		{"now", hub.Now, "GAP:restarted 1 2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := new(hubtest.MemoryLog)
				publisher := over(t, l)
				var h *hub.Hub
				h = over(t, l, hub.WithJoin(func(context.Context, string) {
					l.Restart()
					publishAll(t, publisher, "a", "1 2")
					for range 1000 {
						if h.LastID() == publisher.LastID() && h.Stats().Log.Events == 2 {
							break
						}
						sleep(time.Millisecond)
					}
				}))
				c := listen(t, h, test.from, "a")
				sleep(time.Minute)
				c.want(test.want)
				if test.after != "" && c.first.After != test.after {
					t.Errorf("got gap %+v, want one after %q", c.first, test.after)
				}
			})
		})
	}
}

// A client is told of a gap wherever a page has it, though a Log should have it first.
func TestGapInsideAPage(t *testing.T) {
	for at, want := range map[int]string{1: "GAP:dropped 4 5", 2: "1 GAP:dropped 4 5", 3: "1 2 GAP:dropped 4 5"} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &trick{MemoryLog: new(hubtest.MemoryLog)}
				l.page = func(entries []hub.Entry) []hub.Entry {
					if len(entries) != 6 { // a position and all events
						return entries
					}
					gap := hub.Entry{ID: entries[3].ID, Gap: true}
					return slices.Concat(entries[:at], []hub.Entry{gap}, entries[4:])
				}
				h := over(t, l, hub.WithMaxEvents(1))
				publishAll(t, h, "a", "1 2 3 4 5")
				synctest.Wait()
				c := listen(t, h, hub.Oldest, "a")
				sleep(time.Minute)
				c.want(want)
			})
		})
	}
}

// A gap wakes waiting subscriptions, even if nothing follows, and what was held before
// is freed.
func TestGapInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l)
		publish(t, h, "a", "old")
		topic, pattern := listen(t, h, hub.Now, "quiet"), listen(t, h, hub.Oldest, "*")
		pattern.want("old")
		l.Restart()
		topic.want("GAP:dropped")
		pattern.want("GAP:dropped")
	})
}

// A client that is kicked while it reads pages gets what was published before.
func TestKickWhilePaging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := over(t, new(hubtest.MemoryLog), hub.WithMaxEvents(10))
		begin := h.LastID()
		publishAll(t, h, "a", numbered(1, 1000))
		synctest.Wait()
		c := read(t, h.SubscribeFrom(t.Context(), hub.After(begin), "a"))
		c.want("1")
		h.Kick("a")
		publishAll(t, h, "a", "late "+numbered(1, 1000))
		synctest.Wait()
		if got, want := c.rest(), numbered(2, 1000); got != want {
			t.Errorf("got %.100q, want what was published before the kick, and no more", got)
		}
	})
}

// The log fails while an ending subscription reads pages. What is missing is not
// skipped: the stream fails, unless the client has everything.
func TestEndWhileTheLogFails(t *testing.T) {
	for _, shutdown := range []bool{false, true} {
		t.Run(fmt.Sprint("shutdown ", shutdown), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var away atomic.Bool
				l := new(hubtest.MemoryLog)
				slow, g := late(l)
				slow.read = func() error {
					if away.Load() {
						return errors.New("away")
					}
					return nil
				}
				publisher, h := over(t, l), over(t, slow, hub.WithMaxEvents(1))
				begin := h.LastID()
				publishAll(t, h, "a", "0 1")
				synctest.Wait()
				away.Store(true)
				lacks := listen(t, h, hub.After(begin), "a")
				away.Store(false)
				g.close()
				l.Restart()
				publish(t, publisher, "a", "2")
				has := listen(t, h, hub.Oldest, "a")
				has.want("2")
				away.Store(true)
				sleep(time.Second / 2)
				lacks.want("")
				before := time.Now()
				if !shutdown {
					h.Kick("a")
				} else if err := h.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				lacks.want("hub: the subscription was ended, and its last events cannot be read from the log: away END")
				has.want("END")
				if took := time.Since(before); took > 0 {
					t.Errorf("it took %v", took)
				}
				g.open()
			})
		})
	}
}

// The log does not answer an ending subscription: its stream fails in time.
func TestEndWhileTheLogHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		h := over(t, &hanging{l, g}, hub.WithMaxEvents(1))
		begin := h.LastID()
		publishAll(t, h, "a", "0 1")
		synctest.Wait()
		g.close()
		c := listen(t, h, hub.After(begin), "a")
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		c.want("hub: the subscription was ended, and its last events cannot be read from the log: " + context.DeadlineExceeded.Error() + " END")
	})
}

// A hanging log does not answer reads while the gate is closed.
type hanging struct {
	*trick

	gate gate
}

func (l *hanging) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	if l.gate.pass(ctx); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return l.trick.Range(ctx, after, n)
}

// A subscription has read everything in the log, and waits for the follower, when it is
// kicked: it gets what has come from the log until then, and is told what is missing.
func TestKickBeforeTheFollower(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(l *hubtest.MemoryLog, publish func(string), follow, forget func())
		want string
	}{
		{"the follower has come", func(_ *hubtest.MemoryLog, publish func(string), follow, _ func()) {
			publish("3")
			follow()
		}, "3 END"},
		{"and others publish more", func(_ *hubtest.MemoryLog, publish func(string), follow, forget func()) {
			publish("3")
			follow()
			forget()
			publish("4")
		}, "3 END"},
		{"the follower has not come", func(_ *hubtest.MemoryLog, publish func(string), _, _ func()) {
			publish("3")
		}, "END"},
		{"nothing was published", func(_ *hubtest.MemoryLog, _ func(string), follow, _ func()) {
			follow()
		}, "END"},
		{"the log has dropped some", func(l *hubtest.MemoryLog, publish func(string), follow, _ func()) {
			publish("3 4 5")
			follow()
			l.Trim(1)
		}, "GAP:dropped 5 END"},
		{"the log has dropped all", func(l *hubtest.MemoryLog, publish func(string), follow, forget func()) {
			publish("3 4")
			follow()
			forget()
			publish("5")
			l.Trim(0)
		}, "GAP:dropped END"},
		{"the log has begun again", func(l *hubtest.MemoryLog, publish func(string), follow, forget func()) {
			publish("3")
			follow()
			forget()
			l.Restart()
			publish("4")
		}, "GAP:restarted END"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := new(hubtest.MemoryLog)
				slow, g := late(l)
				one, two := over(t, l), over(t, slow, hub.WithMaxEvents(1))
				publish(t, one, "a", "old")
				synctest.Wait()
				g.close()
				l.Restart()
				publishAll(t, one, "a", "1 2")
				synctest.Wait()
				all := map[string]*listener{"after an ID": listen(t, two, hub.After(one.LastID()), "a"), "oldest": listen(t, two, hub.Oldest, "a")}
				all["after an ID"].want("")
				all["oldest"].want("1 2")
				open := false
				test.then(l, func(words string) { publishAll(t, one, "a", words) },
					func() { g.open(); open = true; synctest.Wait() },
					func() { g.close(); open = false })
				two.Kick("a")
				for name, c := range all {
					t.Log(name)
					c.want(test.want)
				}
				if !open {
					g.open()
				}
			})
		})
	}
}

// An event that was published here before a kick or a shutdown has reached the log, but
// has not come back from it.
func TestEndAfterPublish(t *testing.T) {
	many := numbered(1, 300) // two pages
	for _, test := range []struct {
		name string
		then func(l *hubtest.MemoryLog, follow, fail func())
		want string
	}{
		{"it comes", func(_ *hubtest.MemoryLog, follow, _ func()) { follow() }, many + " END"},
		{"it comes with more", func(l *hubtest.MemoryLog, follow, _ func()) {
			_, _ = l.Append(context.Background(), hub.Entry{Topic: "a", Event: core.Event{Data: "more"}})
			follow()
		}, many + " END"},
		{"it does not come", func(*hubtest.MemoryLog, func(), func()) { sleep(time.Second) }, many + " END"},
		{"it was dropped", func(l *hubtest.MemoryLog, follow, _ func()) {
			l.Trim(0)
			follow()
		}, "GAP:dropped END"},
		{"the log begins again", func(l *hubtest.MemoryLog, follow, _ func()) {
			l.Restart()
			follow()
		}, "GAP:dropped END"},
		{"the log begins again unheard", func(l *hubtest.MemoryLog, _, _ func()) {
			l.Restart()
			sleep(time.Second)
		}, "GAP:restarted END"},
		{"the log cannot be read", func(_ *hubtest.MemoryLog, _, fail func()) {
			fail()
			sleep(time.Second)
		}, "hub: the subscription was ended, and its last events cannot be read from the log: away END"},
	} {
		for _, how := range []string{"kick", "shutdown"} {
			t.Run(test.name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := new(hubtest.MemoryLog)
					slow, g := late(l)
					var away atomic.Bool
					slow.read = func() error {
						if away.Load() {
							return errors.New("away")
						}
						return nil
					}
					h := over(t, slow)
					c, other := listen(t, h, hub.Now, "a"), listen(t, h, hub.Now, "b")
					g.close()
					publishAll(t, h, "a", many)
					synctest.Wait()
					ended := make(chan error, 1)
					if how == "kick" {
						h.Kick("a")
						h.Kick("b")
						ended <- nil
					} else {
						go func() { ended <- h.Shutdown(context.Background()) }()
					}
					c.want("")
					other.want("")
					open := false
					test.then(l, func() { open = true; g.open() }, func() { away.Store(true) })
					before := time.Now()
					c.want(test.want)
					if !strings.HasPrefix(test.want, many) {
						other.want(test.want)
					} else {
						other.want("END")
					}
					if err := <-ended; err != nil || time.Since(before) > 0 {
						t.Errorf("got %v, %v later", err, time.Since(before))
					}
					if !open {
						g.open()
					}
				})
			})
		}
	}
}

// A client that comes while the log does not answer, and has received nothing when the hub is
// shut down, is not told that this was everything.
func TestShutdownBeforeTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		publisher := over(t, l.MemoryLog)
		publish(t, publisher, "a", "1")
		l.follow = func(ctx context.Context, _ iter.Seq2[hub.Entry, error]) iter.Seq2[hub.Entry, error] {
			return func(func(hub.Entry, error) bool) { <-ctx.Done() }
		}
		h := over(t, l)
		c := listen(t, h, hub.Oldest, "a")
		l.last = func() error { return errors.New("away") }
		l.follow = nil
		other := over(t, l)
		unknown := listen(t, other, hub.After(other.LastID()+"9"), "a")
		for _, h := range []*hub.Hub{h, other} {
			if err := h.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		c.want("hub: the hub was shut down END")
		unknown.want("hub: the hub was shut down END")
	})
}

// A log that cannot be read is not healthy as long as a subscription wants to read it.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		l := &trick{MemoryLog: new(hubtest.MemoryLog), read: func() error {
			if away.Load() {
				return errors.New("no access")
			}
			return nil
		}}
		h := over(t, l)
		healthy := func(want string) {
			t.Helper()
			synctest.Wait()
			if err := h.Healthy(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		publish(t, h, "a", "1")
		away.Store(true)
		c := listen(t, h, hub.Oldest, "a")
		for range 20 {
			healthy("no access")
			sleep(time.Second / 2)
		}
		away.Store(false)
		sleep(2 * time.Second)
		healthy("")
		c.want("1")
		away.Store(true)
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			for e, err := range h.SubscribeFrom(ctx, hub.Oldest, "a") {
				t.Errorf("got %+v, %v", e, err)
			}
		}()
		healthy("no access")
		leave()
		sleep(time.Minute)
		healthy("") // because no subscription tries any more
	})
}

// The log fails when it is asked for an ID that this hub does not know.
func TestUnknownWhileTheLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		l := &trick{MemoryLog: new(hubtest.MemoryLog), last: func() error {
			if away.Load() {
				return errors.New("away")
			}
			return nil
		}}
		h := over(t, l)
		id := publish(t, h, "a", "1")
		synctest.Wait()
		away.Store(true)
		c := listen(t, h, hub.After(id+"999"), "a")
		if err := h.Healthy(); err == nil {
			t.Error("it is healthy")
		}
		away.Store(false)
		sleep(2 * time.Second)
		publish(t, h, "a", "2")
		c.want("GAP:unknown 2")
	})
}

// The log begins again while a subscription looks for its place in the memory.
func TestNoPlaceInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		ids := make([]string, 0, 10)
		l.compare = func(a, b string) error {
			if len(ids) == 10 && b == ids[4] && a != b {
				return hub.ErrOtherEpoch
			}
			return nil
		}
		h := over(t, l)
		for n := range 10 {
			ids = append(ids, publish(t, h, "a", fmt.Sprint(n)))
		}
		synctest.Wait()
		listen(t, h, hub.After(ids[4]), "a").want("5 6 7 8 9")
	})
}

// What is read from the log is what is read from the memory, also of entries that no hub would
// publish: one that cannot be encoded replaces none of its key, and a topic may be named twice.
func TestPagesAreLikeMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		first := over(t, l) // it has all of them in its memory
		before := publish(t, first, "a", "before")
		for _, e := range []hub.Entry{
			{Topic: "a", Event: core.Event{Data: "kept"}, Keyed: true, Key: "k"},
			{Topic: "a", Event: core.Event{Type: "a\nb"}, Keyed: true, Key: "k"},
			{Topic: "a", Event: core.Event{Data: "replaced"}, Keyed: true, Key: "l"},
			{Topic: "a", Event: core.Event{Data: "many"}, Topics: slices.Repeat([]string{"b", "a"}, 100), Keyed: true, Key: "l"},
			{Topic: "a", Event: core.Event{Data: "new"}, Keyed: true, Key: "l"},
		} {
			if _, err := l.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range []*hub.Hub{first, over(t, l)} {
			synctest.Wait()
			listen(t, h, hub.After(before), ">").want("kept many new")
			listen(t, h, hub.After(before), "b").want("many")
			if reads := l.reads.Load() > 0; reads != (h != first) {
				t.Errorf("the log was read %t, want only the second hub to read it", reads)
			}
		}
	})
}

// Entries of other programs that no hub would publish are left out, live and later, and
// are counted.
func TestSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l)
		live := listen(t, h, hub.Now, ">")
		for _, topic := range []string{"a..b", "good", "*", strings.Repeat("x", 300)} {
			if _, err := l.Append(t.Context(), hub.Entry{Topic: topic, Event: core.Event{Data: "x"}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Append(t.Context(), hub.Entry{Topic: "good", Event: core.Event{Type: "a\nb", Data: "y"}}); err != nil {
			t.Fatal(err)
		}
		publish(t, h, "a", "end")
		live.want("x end")
		listen(t, over(t, l), hub.Oldest, ">").want("x end")
		if got := h.Stats().Log.Skipped; got != 4 {
			t.Errorf("got %d entries skipped, want 4", got)
		}
	})
}

// One follower serves all subscriptions.
func TestFollowsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		h := over(t, l)
		all := make([]*listener, 0, 100)
		for n := range 100 {
			all = append(all, listen(t, h, hub.Now, "a", fmt.Sprint("b.", n), "c.*"))
		}
		publish(t, h, "a", "1")
		publish(t, h, "c.x", "2")
		for _, c := range all {
			c.want("1 2")
		}
		if n := l.follows.Load(); n != 1 {
			t.Errorf("the log is followed %d times, want once", n)
		}
		if n := l.reads.Load(); n != 0 {
			t.Errorf("the log was read %d times, want none by subscribers that follow it", n)
		}
	})
}

// The log drops entries before the follower hears of them: subscribers are told, and none
// of them asks the log.
func TestFollowerOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, g := late(new(hubtest.MemoryLog))
		h := over(t, slow)
		c, quiet := listen(t, h, hub.Now, "a"), listen(t, h, hub.Now, "b")
		publish(t, h, "a", "0")
		synctest.Wait()
		reads := slow.reads.Load()
		g.close()
		sleep(2 * time.Second) // so that it is held up at a zero Entry, and not at an event
		publishAll(t, h, "a", numbered(1, 20))
		slow.Trim(5)
		g.open()
		c.want("0 GAP:dropped " + numbered(16, 20))
		quiet.want("GAP:dropped")
		if n := slow.reads.Load() - reads; n != 0 {
			t.Errorf("the log was read %d times, want none", n)
		}
	})
}

func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, g := late(new(hubtest.MemoryLog))
		g.close()
		h := over(t, slow)
		check := func(want string) {
			t.Helper()
			synctest.Wait()
			if err := h.Healthy(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		check("not answered yet")
		if id := h.LastID(); id != "" {
			t.Errorf("got last ID %q before there was any", id)
		}
		g.open()
		check("")
		if h.LastID() == "" {
			t.Error("got no last ID of a healthy hub")
		}
		g.close()
		sleep(4 * time.Second)
		check("")
		sleep(2 * time.Second)
		check("since")
		g.open()
		sleep(time.Second)
		check("")
		slow.Fail(errors.New("the log is away"))
		check("the log is away")
		slow.Fail(nil)
		sleep(6 * time.Second)
		check("")
	})
}

func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, g := late(new(hubtest.MemoryLog))
		h := over(t, slow)
		g.close()
		publish(t, h, "a", "1")
		sleep(3 * time.Second)
		g.open()
		synctest.Wait()
		if got, want := h.Stats().Log.Lag, 3*time.Second; got != want {
			t.Errorf("got lag %v, want %v", got, want)
		}
	})
}

// Shutdown waits until Follow has returned.
func TestShutdownWaitsForFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := &trick{MemoryLog: new(hubtest.MemoryLog)}
		l.follow = func(_ context.Context, entries iter.Seq2[hub.Entry, error]) iter.Seq2[hub.Entry, error] {
			return func(yield func(hub.Entry, error) bool) {
				entries(yield)
				g.pass(context.Background())
			}
		}
		h := over(t, l)
		g.close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v while it is followed, want that it did not end in time", err)
		}
		g.open()
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A kicked client has come to its last event, and more has come since: it is told of a gap
// in the log that it meets there from that event on.
func TestBreakAfterAKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(hubtest.MemoryLog)
		h := over(t, l)
		s, err := host.NewSession(t.Context(), core.Request{}, core.WithFlushWindow(0))
		if err != nil {
			t.Fatal(err)
		}
		conn := &stopping{at: []string{"data: 0\n", "data: 2\n"}, goOn: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(conn, h.SubscribeFrom(s.Context(), hub.Now, "a")) }()
		synctest.Wait()
		publish(t, h, "a", "0")
		synctest.Wait()
		publish(t, h, "a", "1")
		last := publish(t, h, "a", "2")
		h.Kick("a")
		publishAll(t, h, "a", "3 4")
		conn.goOn <- struct{}{}
		synctest.Wait()
		l.Restart()
		sleep(3 * time.Second)
		conn.goOn <- struct{}{}
		if err := <-ended; err != nil {
			t.Errorf("the session ended with %v", err)
		}
		_, rest, _ := strings.Cut(conn.text, "data: 2\n\n")
		if want := fmt.Sprintf(`"after":%q`, last); !strings.Contains(rest, want) {
			t.Errorf("got %q after the last event, want a gap with %s", rest, want)
		}
	})
}

// A stopping is a Conn that stops after some lines, until goOn is closed.
type stopping struct {
	at   []string
	goOn chan struct{}
	text string
}

func (s *stopping) Send(f host.Frames) error {
	s.text += string(f.Bytes())
	if len(s.at) > 0 && strings.Contains(s.text, s.at[0]) {
		s.at = s.at[1:]
		<-s.goOn
	}
	return nil
}

func (*stopping) End() error { return nil }
func (*stopping) Abort()     {}
