package hubtest

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// A world is where a program runs.
type world struct {
	t       *trial
	server  Server
	program program
	limit   time.Duration // how long anything that should come soon may take
	truth   *truth
	probe   hub.Log // to read the log with; nil without a log
	slots   []*slot
	clients []*subscriber
	visits  []*visit

	published map[*hub.Hub]string // the last ID that each hub has published; guarded by truth.mu

	listener net.Listener
	dialing  sync.Mutex

	busy     sync.WaitGroup // publishers
	troubles atomic.Int64   // number of accidents
	restarts atomic.Int64   // number of hubs' restarts
	settled  int64          // troubles when all was well
	down     bool           // the server is down
	lossy    bool           // something may have been dropped
}

// A slot holds one hub after another.
type slot struct {
	setting

	hub   *hub.Hub
	log   *unreliable
	proxy *Proxy
	die   func()
	old   []*hub.Hub // hubs that were shut down
}

// The topics and names of a program.
var (
	programTopics  = []string{"a", "b", "a.x", "a.y", "b.x"}
	programRegions = []string{"eu", "us"}
	programNames   = []string{"a", "b", "a.x", ">", "*", "a.*", "*.x", "a.>", "none", "no.*"}
)

// run runs the program.
func (w *world) run() {
	w.begin()
	for _, s := range w.program.steps {
		w.do(s)
		if w.t.Failed() {
			break
		}
	}
	if !w.t.Failed() {
		w.settle()
	}
	w.finish()
}

func (w *world) begin() {
	w.published = make(map[*hub.Hub]string)
	w.truth = &truth{messages: make(map[core.Event]*fact), known: make(map[string]*fact), compare: compareNumbers}
	var err error
	if w.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.listener.Close() })
	if w.server.Open != nil {
		var die func()
		w.probe, die = w.server.Open(w.t, w.server.Addr)
		w.t.Cleanup(die)
		w.truth.compare = w.comparison()
		w.truth.begins(w.last())
	}
	for _, setting := range w.program.hubs {
		s := &slot{setting: setting}
		if w.server.Open == nil {
			w.lossy = w.lossy || s.maxEvents > 0 || s.maxBytes > 0
		}
		w.slots = append(w.slots, s)
		w.open(s)
		if w.server.Open == nil { // a second hub would be another log
			break
		}
	}
	for _, s := range w.slots {
		w.eventually("the hub has heard from the log", func() bool { return s.hub.LastID() != "" })
	}
}

// comparison returns a function that compares IDs of one epoch, even if it is not the
// present one: Compare of a log that has not seen any epoch yet.
func (w *world) comparison() func(a, b string) (int, error) {
	l, die := w.server.Open(w.t, w.server.Addr)
	w.t.Cleanup(die)
	if m, ok := l.(*MemoryLog); ok {
		return m.order
	}
	return l.Compare
}

// compareNumbers compares IDs of hubs without a log.
func compareNumbers(a, b string) (int, error) {
	epoch, _, ok := strings.Cut(a, "-")
	switch {
	case !ok || len(epoch) != 8 || !strings.Contains(b, "-"):
		return 0, errors.New("it is not an ID")
	case !strings.HasPrefix(b, epoch+"-"):
		return 0, hub.ErrOtherEpoch
	}
	return cmp.Compare(number(a), number(b)), nil
}

// last asks the log for its last ID until there is an answer.
func (w *world) last() (id string) {
	w.t.Helper()
	w.eventually("the log answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var err error
		id, err = w.probe.Last(ctx)
		return err == nil
	})
	return id
}

// open opens a hub in its slot.
func (w *world) open(s *slot) {
	w.t.Helper()
	opts := []hub.Option{hub.WithMaxEvents(s.maxEvents), hub.WithMaxBytes(s.maxBytes)}
	if s.end {
		opts = append(opts, hub.WithGapPolicy(hub.GapEnd))
	}
	if w.server.Open != nil {
		addr := w.server.Addr
		if addr != "" {
			if s.proxy == nil {
				s.proxy = NewProxy(w.t, addr)
			}
			addr = s.proxy.Addr
		}
		var l hub.Log
		l, s.die = w.server.Open(w.t, addr)
		w.t.Cleanup(s.die)
		s.log = newUnreliable(w.t, l, s.page)
		opts = append(opts, hub.WithLog(s.log))
	}
	s.hub = hub.New(opts...)
	if s.log == nil {
		w.truth.begins(s.hub.LastID())
	}
}

// do does a step.
func (w *world) do(s step) {
	w.t.Helper()
	at := w.slots[s.a%len(w.slots)]
	if s.act > doPause && w.server.Open == nil {
		return
	}
	switch s.act {
	case doPublish:
		w.publish(at.hub, s.c, 1+s.b%3)
	case doPublishMany:
		h := at.hub
		w.busy.Go(func() { w.publish(h, s.c, 10+s.b%60) })
	case doPublishBad:
		w.publishBad(at.hub, s.b)
	case doSubscribe:
		w.subscribe(at, s.b, s.c)
	case doComeBack, doLeave, doStopReading, doRead:
		if len(w.clients) > 0 {
			w.client(w.clients[s.a%len(w.clients)], s)
		}
	case doKick:
		w.kick(at, programNames[s.b%len(programNames)])
	case doRestart:
		w.restart(at)
	case doSettle:
		w.settle()
	case doPause:
		pass(time.Duration(s.a%50) * time.Millisecond)
	default:
		w.accident(at, s)
	}
}

// accident is do for the acts that need a log.
func (w *world) accident(at *slot, s step) {
	w.t.Helper()
	w.troubles.Add(1)
	switch s.act {
	case doFailAppend, doLoseAnswer, doFailRange, doHangRange, doBreakOff, doHoldUp, doRecover:
		at.log.fail(s.act, s.b)
	case doCut, doStall, doResume:
		switch {
		case at.proxy == nil:
		case s.act == doCut:
			at.proxy.Cut()
		default:
			at.proxy.Stall(s.act == doStall && s.b%3 != 1, s.act == doStall && s.b%3 != 2)
		}
	case doTrim:
		if w.server.Trim != nil && !w.down {
			w.lossy = true
			w.server.Trim(s.a % 20)
		}
	case doDelete:
		if ids := w.truth.history().ids; w.server.Delete != nil && !w.down && len(ids) > 0 {
			w.lossy = true
			w.server.Delete(ids[s.a%len(ids)])
		}
	case doKill:
		if w.server.Kill != nil && w.server.Restart != nil && !w.down {
			w.down = true
			w.server.Kill()
		}
	case doRevive:
		w.revive()
	case doEmpty:
		if w.server.Kill != nil && w.server.RestartEmpty != nil {
			if !w.down {
				w.server.Kill()
			}
			w.down, w.lossy = false, true
			w.server.RestartEmpty()
			w.truth.begins(w.last())
		}
	}
}

func (w *world) revive() {
	if w.down {
		w.server.Restart()
		w.down = false
		w.truth.mu.Lock()
		w.truth.forgets = w.truth.forgets || w.lossy
		w.truth.mu.Unlock()
	}
}

// A subscriber subscribes again and again.
type subscriber struct {
	selection

	names []string
	from  hub.Position
	after string // see visit.after
	visit *visit // the last one
}

// subscribe adds a client.
func (w *world) subscribe(at *slot, names, how int) {
	w.t.Helper()
	const most = 10
	if len(w.clients) == most {
		return
	}
	rng := rand.New(rand.NewPCG(uint64(names), uint64(how))) //nolint:gosec // can be replayed
	c := &subscriber{}
	for range 1 + rng.IntN(3) {
		c.names = append(c.names, programNames[rng.IntN(len(programNames))])
	}
	if rng.IntN(3) == 0 {
		c.region = programRegions[rng.IntN(len(programRegions))]
	}
	c.state = rng.IntN(3) == 0
	c.compressed = rng.IntN(3) == 0
	v := &visit{slot: at, names: c.names, selection: c.selection, way: rng.IntN(ways)}
	switch rng.IntN(6) {
	case 0, 1:
		c.from = hub.Oldest
	case 2, 3:
		if ids := w.truth.history().ids; len(ids) > 0 {
			c.after = ids[rng.IntN(len(ids))]
			c.from = hub.After(c.after)
		}
	}
	if rng.IntN(8) == 0 && c.after == "" {
		v.garbage, v.sent = true, []string{"7", "garbage-", "aaaaaaa-1", "\u00e9"}[rng.IntN(4)]
	}
	v.from, v.after = c.from, c.after
	v.gate.set(rng.IntN(4) > 0)
	w.clients = append(w.clients, c)
	w.enter(c, v)
}

func (w *world) enter(c *subscriber, v *visit) {
	w.t.Helper()
	if err := w.visit(v); err != nil {
		w.t.Errorf("%v: %v", v, err)
		return
	}
	c.visit = v
	w.visits = append(w.visits, v)
}

// client does a client's step.
func (w *world) client(c *subscriber, s step) {
	w.t.Helper()
	if c.visit == nil {
		return
	}
	switch s.act {
	case doStopReading, doRead:
		c.visit.gate.set(s.act == doRead)
	case doLeave:
		w.end(c.visit)
	default:
		w.end(c.visit)
		before := c.visit
		v := &visit{slot: w.slots[s.b%len(w.slots)], names: c.names, selection: c.selection, way: s.c % ways}
		v.from, v.after, v.sent = c.from, c.after, before.cursor()
		v.garbage = before.garbage && v.sent == before.sent
		v.gate.set(s.c/ways%4 > 0)
		w.enter(c, v)
	}
}

// end ends a visit from the client's side.
func (w *world) end(v *visit) {
	w.t.Helper()
	v.leave()
	select {
	case <-v.over:
	case <-time.After(w.limit):
		w.t.Fatalf("%v: it has left, but its session has not ended", v)
	}
}
