package redislog_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/redislog"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A pair is a primary and its replica, behind one address.
type pair struct {
	t       *testing.T
	a, b    *server
	address *hubtest.Proxy
}

func servePair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, a: serve(t, "--repl-diskless-sync-delay", "0")}
	host, port, _ := net.SplitHostPort(p.a.addr)
	p.b = serve(t, "--replicaof", host+" "+port)
	p.address = hubtest.NewProxy(t, p.a.addr)
	hosttest.Eventually(t, "the replica to be there", func() bool {
		return strings.Contains(p.a.client().Info(soon(t), "replication").Val(), "state=online")
	})
	return p
}

// promote makes the replica a primary, to which new connections go. The old primary
// does not know, and connections to it stay open.
func (p *pair) promote() {
	p.t.Helper()
	if n := p.a.client().Wait(soon(p.t), 1, patience).Val(); n != 1 {
		p.t.Fatal("the replica lags")
	}
	if err := p.b.client().ReplicaOf(soon(p.t), "NO", "ONE").Err(); err != nil {
		p.t.Fatal(err)
	}
	p.address.Redirect(p.b.addr)
}

// blocked waits until a follower waits.
func (s *server) blocked() {
	s.t.Helper()
	c := s.client()
	hosttest.Eventually(s.t, "a follower to wait", func() bool {
		return !strings.Contains(c.Info(soon(s.t), "clients").Val(), "blocked_clients:0\r")
	})
}

// cutIdle breaks the connections to the old primary, except those on which a
// follower waits.
func (p *pair) cutIdle() {
	p.t.Helper()
	c := p.a.client()
	var idle []string
	hosttest.Eventually(p.t, "a follower to wait", func() (waits bool) {
		idle = nil
		for line := range strings.Lines(c.ClientList(soon(p.t)).Val()) {
			fields := make(map[string]string)
			for word := range strings.FieldsSeq(line) {
				name, value, _ := strings.Cut(word, "=")
				fields[name] = value
			}
			switch flags := fields["flags"]; {
			case strings.Contains(flags, "b"):
				waits = true
			case !strings.Contains(flags, "S"): // the replica
				idle = append(idle, fields["id"])
			}
		}
		return waits
	})
	for _, id := range idle {
		_ = c.ClientKillByFilter(soon(p.t), "ID", id) // including this client's own
	}
}

func openHub(t *testing.T, l *redislog.Log) (*hub.Hub, hearing) {
	t.Helper()
	h := hub.New(hub.WithLog(l), hub.WithGapEvent(func(hub.Gap) core.Event { return core.Event{Data: "GAP"} }))
	return h, hear(t, h)
}

// A process keeps some or all of its connections to a primary that was replaced. Its
// subscriber and those of others are told what it publishes, or that something is missing.
func TestDemotedPrimary(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		then   func(t *testing.T, p *pair)
		goOn   bool     // others publish at the same time
		want   []string // one of these comes for event 2
		others []string // and of these to others
	}{
		{
			name: "it follows the old one, and adds to the new one",
			then: func(_ *testing.T, p *pair) { p.cutIdle() },
			want: []string{"2"}, others: []string{"2"},
		},
		{
			name: "and hears of others at the same time",
			then: func(t *testing.T, p *pair) { busy(t, p.a); p.cutIdle() },
			want: []string{"2", "GAP"}, others: []string{"2", "GAP"},
		},
		{
			name: "it does all with the old one",
			then: func(*testing.T, *pair) {},
			want: []string{"2"}, others: []string{"GAP"},
		},
		{
			name: "and others continue with the new one",
			then: func(*testing.T, *pair) {}, goOn: true,
			want: []string{"2"}, others: []string{"GAP"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := servePair(t)
			h, events := openHub(t, open(t, p.address.Addr))
			publish(t, h, "1")
			events.want(t, "1")
			p.a.blocked()
			publish(t, h, "1") // through another connection than the follower's
			p.promote()
			other, others := openHub(t, p.b.open())
			test.then(t, p)
			publish(t, h, "2")
			events.want(t, test.want...)
			if test.goOn {
				publish(t, other, "4")
				others.want(t, "4")
			}
			p.address.Cut() // what is left of the old one's
			p.a.kill()
			publish(t, h, "3")
			others.want(t, test.others...)
			publish(t, h, "5")
			events.want(t, "5")
			others.want(t, "5")
		})
	}
}

// What a process adds goes to another server than its other commands. Its follower notices,
// both while it waits and while others keep it busy, who are given the same IDs.
func TestAddedElsewhere(t *testing.T) {
	t.Parallel()
	const data = "elsewhere!"
	for _, occupied := range []bool{false, true} {
		t.Run("busy "+strconv.FormatBool(occupied), func(t *testing.T) {
			t.Parallel()
			p := servePair(t)
			l := p.fork(p.a.addr, p.b, data, nil)
			front := add(t, l, "1")
			p.promote()
			if occupied {
				busy(t, p.a)
				busy(t, p.b)
			}
			heard := 0
			for e, err := range following(t, l, front) {
				if err != nil {
					wantMissing(t, err)
					break
				}
				if e.Gap {
					t.Fatalf("got %+v", e)
				}
				switch heard++; {
				case heard == 1:
					last(t, l) // a second connection makes the follower look
				case heard == 1_000, !occupied:
					add(t, l, data)
				}
			}
		})
	}
}

// wantMissing wants the error of a follower that does not find what was added.
func wantMissing(t *testing.T, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), "does not have") {
		t.Errorf("got %v, want an error that says that the server does not have what was added", err)
	}
}

// fork opens a log at an address, except that commands with a word go to another server. The
// answers to these come after held is closed, if it is not nil.
func (p *pair) fork(addr string, other *server, word string, held <-chan struct{}) *redislog.Log {
	return openWith(p.t, &redis.UniversalOptions{
		Addrs:    []string{addr},
		Protocol: 2,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			a, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			b, err := new(net.Dialer).DialContext(ctx, network, other.addr)
			return &forked{Conn: a, other: b, word: []byte(word), held: held, closed: make(chan struct{})}, err
		},
	})
}

// A forked connection sends commands that contain a word to another server.
type forked struct {
	net.Conn

	other net.Conn
	word  []byte
	held  <-chan struct{}
	turn  atomic.Bool

	close  sync.Once
	closed chan struct{}
}

func (f *forked) Write(p []byte) (int, error) {
	f.turn.Store(bytes.Contains(p, f.word))
	if f.turn.Load() {
		return f.other.Write(p)
	}
	return f.Conn.Write(p)
}

func (f *forked) Read(p []byte) (int, error) {
	if !f.turn.Load() {
		return f.Conn.Read(p)
	}
	if f.held != nil {
		select {
		case <-f.held:
		case <-f.closed:
		}
	}
	return f.other.Read(p)
}

func (f *forked) Close() error {
	f.close.Do(func() { close(f.closed) })
	_ = f.other.Close()
	return f.Conn.Close()
}

// addAgain adds an entry, and tries again while the connection is broken.
func addAgain(t *testing.T, l *redislog.Log, data string) {
	t.Helper()
	hosttest.Eventually(t, "the connection to be known as broken", func() bool {
		_, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}})
		return err == nil
	})
}

// addLater adds an entry, and waits until the server has it, but not for the answer.
func addLater(t *testing.T, l *redislog.Log, s *server, data string) (answered <-chan struct{}) {
	t.Helper()
	c := s.client()
	n := c.XLen(soon(t), "events").Val()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}}); err != nil {
			t.Errorf("append: %v", err)
		}
	}()
	hosttest.Eventually(t, "the server to have the entry", func() bool { return c.XLen(soon(t), "events").Val() > n })
	return done
}

// The answer to an append that went to another server comes when the follower has passed more
// entries than it usually remembers.
func TestAddedElsewhereAnsweredLate(t *testing.T) {
	t.Parallel()
	const data, others = "elsewhere!", 3000
	p := servePair(t)
	held := make(chan struct{})
	l := p.fork(p.a.addr, p.b, data, held)
	front := add(t, l, "1")
	p.promote()
	add(t, p.b.open(), "2") // so that the server knows the script
	answered := addLater(t, l, p.b, data)
	a := p.a.open()
	for range others {
		add(t, a, "other")
	}
	heard := 0
	for e, err := range following(t, l, front) {
		if err != nil {
			wantMissing(t, err)
			break
		}
		if e.Event.Data != "other" && heard != others {
			continue // nothing new
		}
		if heard++; heard == others {
			close(held)
			<-answered
			add(t, a, "other")
		} else if heard > others+1 {
			t.Fatalf("got %+v after the answer", e)
		}
	}
}

// Two appends at the same time go to different servers. The follower finds the one that was
// answered last, and still notices that the other is missing.
func TestAddedToBothServers(t *testing.T) {
	t.Parallel()
	const data = "answered last!"
	p := servePair(t)
	held := make(chan struct{})
	l := p.fork(p.address.Addr, p.a, data, held)
	front := add(t, l, "1")
	p.promote()
	answered := addLater(t, l, p.a, data)
	p.address.Cut()
	addAgain(t, l, "elsewhere")
	close(held)
	<-answered
	p.address.Redirect(p.a.addr)
	p.address.Cut()
	hosttest.Eventually(t, "new connections", func() bool {
		_, err := l.Last(soon(t))
		return err == nil
	})
	for e, err := range following(t, l, front) {
		if err != nil {
			wantMissing(t, err)
			break
		}
		if e.Event.Data != data {
			t.Fatalf("got %+v", e)
		}
	}
}

// Two servers give the same ID to different entries, and the follower is given the one that is
// lost, before it is known that the other one has that ID. They may even agree afterwards.
func TestSameIDElsewhere(t *testing.T) {
	t.Parallel()
	const data, ahead = "elsewhere!", 60_000
	for _, agree := range []bool{false, true} {
		t.Run("agree "+strconv.FormatBool(agree), func(t *testing.T) {
			t.Parallel()
			p := servePair(t)
			held := make(chan struct{})
			l := p.fork(p.address.Addr, p.b, data, held)
			_, events := openHub(t, l)
			epoch, before, _ := strings.Cut(add(t, l, "1"), "-")
			events.want(t, "1")
			p.promote()
			p.address.Redirect(p.a.addr)
			add(t, p.b.open(), "2") // so that the server knows the script
			ms := strconv.FormatInt(time.Now().UnixMilli()+ahead, 10)
			if err := p.b.client().Do(soon(t), "XSETID", "events", ms+"-0").Err(); err != nil {
				t.Fatal(err)
			}
			answered := addLater(t, l, p.b, data) // as 1 of this ms
			insert := func(s *server, id, data string) {
				err := s.client().XAdd(soon(t), &redis.XAddArgs{
					Stream: "events", ID: id, Values: []string{"topic", "a", "data", data, "after", epoch + "-" + before},
				}).Err()
				if err != nil {
					t.Error(err)
				}
			}
			insert(p.a, ms+"-1", "another")
			events.want(t, "another")
			before = ms + "-1"
			if agree {
				insert(p.a, ms+"-2", "the same")
				events.want(t, "the same")
				insert(p.b, ms+"-2", "the same")
				before = ms + "-2"
			}
			close(held)
			<-answered
			p.address.Redirect(p.b.addr)
			insert(p.a, ms+"-3", "and one more")
			events.want(t, "GAP")
		})
	}
}

// A process has seen a new epoch of a server, and then adds to one that is in the epoch before,
// and that lacks an event of it.
func TestLacksAnEventOfAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	p := servePair(t)
	l := open(t, p.address.Addr)
	front := add(t, l, "1")
	p.promote()
	add(t, l, "lost") // through the connection to the old primary
	if err := p.a.client().Set(soon(t), "{events}:epoch", "zzzzzzzz 0-0", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if id := add(t, l, "lost, too"); !strings.HasPrefix(id, "zzzzzzzz-") {
		t.Fatalf("the event ID is %s, want one of the new epoch", id)
	}
	p.address.Cut()
	addAgain(t, l, "2")
	if got := brief(t, p.b.open(), front); got != "GAP" {
		t.Errorf("after the first event: got %q, want GAP", got)
	}
}

// A process comes back to a server that is in an epoch from before the one that the process has
// seen last, and that has lost its end in the meantime.
func TestLostEndOfAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	const early = "aaaaaaaa 0-0 99999999999999-0" // begun after all IDs here
	s := serve(t)
	l, c := s.open(), s.client()
	in := func(epoch string) {
		t.Helper()
		if err := c.Set(soon(t), "{events}:epoch", epoch, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, "1")
	in(early)
	lost := add(t, l, "lost")
	in("bbbbbbbb 0-0 99999999999999-0")
	add(t, l, "2")
	if err := c.XTrimMaxLen(soon(t), "events", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(soon(t), "XSETID", "events", "1-0").Err(); err != nil {
		t.Fatal(err)
	}
	in(early)
	if id := add(t, l, "3"); epochOf(id) == epochOf(lost) {
		t.Errorf("got %s, want an ID of a new epoch", id)
	}
}

// An append is answered when the follower is already in the next epoch. The entry is in the
// stream, so nothing is missing.
func TestAnsweredInTheNextEpoch(t *testing.T) {
	t.Parallel()
	const data = "answered late!"
	p := &pair{t: t, a: serve(t)}
	held := make(chan struct{})
	l := p.fork(p.a.addr, p.a, data, held)
	front := add(t, l, "1")
	add(t, l, "2")
	answered := addLater(t, l, p.a, data)
	if err := p.a.client().Del(soon(t), "{events}:epoch").Err(); err != nil {
		t.Fatal(err)
	}
	gaps, looks := 0, 0
	for e, err := range following(t, l, front) {
		switch {
		case err != nil:
			t.Fatal(err)
		case e.Gap:
			if gaps++; gaps > 1 {
				t.Fatal("got a second gap")
			}
			close(held)
			<-answered
		case e.ID == "" && gaps > 0:
			looks++
		}
		if looks > 1 {
			break
		}
	}
}

// A process stays with the old primary when another one has already begun a new epoch of the new
// one. What is added meanwhile is lost, and the processes at the new primary are told when the
// first one comes, whether it adds or only follows.
func TestLostSinceTheEpochBegan(t *testing.T) {
	t.Parallel()
	for _, follows := range []bool{false, true} {
		t.Run("follows "+strconv.FormatBool(follows), func(t *testing.T) {
			t.Parallel()
			p := servePair(t)
			l := open(t, p.address.Addr)
			add(t, l, "1")
			p.promote()
			if err := p.b.client().Del(soon(t), "{events}:epoch").Err(); err != nil {
				t.Fatal(err)
			}
			b := p.b.open()
			at := add(t, b, "2")
			_, others := openHub(t, b)
			lost := add(t, l, "lost") // through the connection to the old primary
			p.address.Cut()
			if follows {
				hosttest.Eventually(t, "the gap", func() (gap bool) {
					for e, err := range l.Follow(soon(t), lost) {
						return err == nil && e.Gap
					}
					return false
				})
			} else {
				addAgain(t, l, "3")
			}
			others.want(t, "GAP")
			if got := brief(t, p.b.open(), at); got != "GAP" {
				t.Errorf("after the event before: got %q, want GAP", got)
			}
		})
	}
}

// An entry of this process is trimmed before its follower gets there. The follower does not take
// it for lost, although the next entry comes from another program, which names none before it.
func TestTrimmedBeforeForeignEntry(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	front := add(t, l, "1")
	add(t, l, "2")
	c := s.client()
	if err := c.XTrimMaxLen(soon(t), "events", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []string{"topic", "a", "data", "3"}}).Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range following(t, l, front) {
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if e.Gap {
			e.Event.Data = "GAP"
		}
		if got = append(got, e.Event.Data); e.Event.Data == "3" {
			break
		}
	}
	if want := []string{"GAP", "3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The oldest entry says that an entry that this process has added was never before it.
func TestNeverThere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	front := add(t, l, "1")
	_, lost, _ := strings.Cut(add(t, l, "lost"), "-")
	c := s.client()
	if err := c.XTrimMaxLen(soon(t), "events", 0).Err(); err != nil {
		t.Fatal(err)
	}
	ms, _, _ := strings.Cut(lost, "-")
	err := c.XAdd(soon(t), &redis.XAddArgs{Stream: "events", ID: ms + "-1000", Values: []string{"topic", "a", "data", "3", "after", front}}).Err()
	if err != nil {
		t.Fatal(err)
	}
	wantGap(t, l, front)
}

// wantGap follows again if the follower has noticed that an entry is missing, and wants a gap.
func wantGap(t *testing.T, l *redislog.Log, after string) {
	t.Helper()
	for range 2 {
		for e, err := range following(t, l, after) {
			if err != nil {
				break // the follower has noticed
			}
			if !e.Gap {
				t.Fatalf("got %+v, want a gap", e)
			}
			return
		}
	}
	t.Error("got no gap")
}

// An entry that this process has added is not there, and the next one comes from another program,
// which does not say what was before it.
func TestLostBeforeForeignEntry(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	front := add(t, l, "1")
	_, lost, _ := strings.Cut(add(t, l, "lost"), "-")
	c := s.client()
	if err := c.XDel(soon(t), "events", lost).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.XAdd(soon(t), &redis.XAddArgs{Stream: "events", Values: []string{"topic", "a", "data", "3"}}).Err(); err != nil {
		t.Fatal(err)
	}
	wantGap(t, l, front)
}

// A stream has lost its end, and the clock is behind the IDs that were seen. One new epoch begins,
// and not another one when the process adds something.
func TestOneEpochThoughTheClockIsBehind(t *testing.T) {
	t.Parallel()
	s := serve(t)
	l := s.open()
	add(t, l, "1")
	c := s.client()
	if err := c.Do(soon(t), "XSETID", "events", strconv.FormatInt(time.Now().UnixMilli()+600_000, 10)+"-0").Err(); err != nil {
		t.Fatal(err)
	}
	front := add(t, l, "2")
	if err := c.XTrimMaxLen(soon(t), "events", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(soon(t), "XSETID", "events", "1-0").Err(); err != nil {
		t.Fatal(err)
	}
	var epochs []string
	for e, err := range following(t, l, front) {
		if err != nil {
			t.Fatal(err)
		}
		if epoch := epochOf(e.ID); e.ID != "" && !slices.Contains(epochs, epoch) {
			epochs = append(epochs, epoch)
		}
		if len(epochs) == 1 && e.Gap {
			add(t, l, "3")
		}
		if e.Event.Data == "3" {
			break
		}
	}
	if len(epochs) != 1 {
		t.Errorf("got the epochs %q, want one", epochs)
	}
}

// What a process adds goes to another server than the one that it follows. When only the
// latter is left, the process and others are told that something is missing.
func TestAddsElsewhere(t *testing.T) {
	t.Parallel()
	p := servePair(t)
	a, l := p.a.open(), open(t, p.address.Addr)
	front := add(t, a, "1")
	p.promote()
	_, events := openHub(t, l)
	_, others := openHub(t, p.b.open())
	var lost string
	hosttest.Eventually(t, "an append through a new connection, not through the follower's", func() bool {
		p.address.Redirect(p.a.addr)
		lost = add(t, l, "lost")
		p.address.Redirect(p.b.addr)
		topic, err := a.TopicOf(soon(t), lost)
		return err == nil && topic != ""
	})
	events.want(t, "GAP")
	others.want(t, "GAP")
	add(t, l, "2")
	events.want(t, "2")
	others.want(t, "2")
	for _, id := range []string{front, lost} {
		if got := brief(t, p.b.open(), id); got != "GAP" {
			t.Errorf("after %s: got %q, want GAP", id, got)
		}
	}
}

// following is Follow, which it calls again if a busy machine has held Redis up for seconds:
// whoever follows again misses nothing.
func following(t *testing.T, l *redislog.Log, after string) iter.Seq2[hub.Entry, error] {
	t.Helper()
	ctx := soon(t)
	return func(yield func(hub.Entry, error) bool) {
		for {
			var failure error
			for e, err := range l.Follow(ctx, after) {
				if err != nil {
					failure = err
					break
				}
				if e.ID != "" {
					after = e.ID
				}
				if !yield(e, nil) {
					return
				}
			}
			var timeout net.Error
			if ctx.Err() != nil || !errors.As(failure, &timeout) || !timeout.Timeout() {
				yield(hub.Entry{}, failure)
				return
			}
			t.Log(failure)
		}
	}
}

// publish publishes to the topic a, and tries again while the connection is broken.
func publish(t *testing.T, h *hub.Hub, data string) {
	t.Helper()
	hosttest.Eventually(t, "the connection to be known as broken", func() bool {
		_, err := h.Publish(soon(t), "a", core.Event{Data: data})
		return err == nil
	})
}

// busy adds entries to a server until the end of the test.
func busy(t *testing.T, s *server) {
	l := s.open()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = l.Append(ctx, hub.Entry{Topic: "other"})
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// A hearing is what a subscriber of topic a is sent.
type hearing chan string

// hear subscribes, and shuts the hub down at the end.
func hear(t *testing.T, h *hub.Hub) hearing {
	t.Helper()
	hosttest.Eventually(t, "the hub to be well", func() bool { return h.Healthy() == nil })
	events := make(hearing, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	stream := h.Subscribe(ctx, "a")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range stream {
			if err != nil {
				t.Errorf("subscription: %v", err)
				return
			}
			events <- e.Data
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := h.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
	})
	return events
}

// want waits for one of these words.
func (h hearing) want(t *testing.T, words ...string) {
	t.Helper()
	var got []string
	for limit := time.After(patience); ; {
		select {
		case word := <-h:
			if slices.Contains(words, word) {
				return
			}
			got = append(got, word)
		case <-limit:
			t.Fatalf("got %q, want one of %q", got, words)
		}
	}
}

// wantAll waits for all of these words. If one is missing, a gap must come before the next
// one. Other words may come as well.
func (h hearing) wantAll(t *testing.T, words []string) {
	t.Helper()
	gap := false
	for limit := time.After(patience); len(words) > 0; {
		select {
		case word := <-h:
			switch i := slices.Index(words, word); {
			case word == "GAP":
				gap = true
			case i > 0 && !gap:
				t.Fatalf("got no %q and %d others before %q", words[0], i-1, word)
			case i >= 0:
				words, gap = words[i+1:], false
			}
		case <-limit:
			t.Fatalf("%q did not come", words)
		}
	}
}
