package hubtest

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/yieldsse/yieldsse/hub"
)

func checkStorm(f *fixture) {
	opts := []hub.Option{hub.WithMaxEvents(100)}
	if f.server.Open == nil {
		opts = []hub.Option{hub.WithMaxEvents(0)}
	}
	s := f.brew([]*hub.Hub{f.open(opts...), f.open(opts...), f.open()}, false, 12)
	pass(2 * time.Second)
	s.settle()
	if gaps := s.judge(f.inOrder(), s.begin); gaps > 0 {
		f.Errorf("got %d gaps, though nothing was dropped", gaps)
	}
}

// The log drops events that some clients have not read yet: they are told.
func checkStormTrimmed(f *fixture) {
	f.needLog()
	f.need(f.server.Trim != nil, "Trim")
	s := f.brew(f.three(hub.WithMaxEvents(20)), false, 12)
	for range 40 {
		pass(50 * time.Millisecond)
		f.server.Trim(10)
	}
	s.settle()
	if gaps := s.judge(f.inOrder(), s.begin); gaps == 0 {
		f.Error("got no gap, though the log dropped events that clients had not read")
	}
}

// The clients of a process that has died go to another one.
func checkDeath(f *fixture) {
	f.needLog()
	dying, die := f.openAt(f.server.Addr)
	h, other := f.open(), f.open()
	s := f.brew([]*hub.Hub{h, other}, false, 4)
	c := f.client(">")
	c.connect(dying, hub.After(s.begin))
	for range 100 {
		c.event()
	}
	die()
	var err error
	for limit := time.After(500 * time.Millisecond); err == nil; { // what was already on its way
		_, err = c.take(limit)
	}
	c.connect(other, hub.Now)
	end := s.settle()
	c.until(end)
	s.clients = append(s.clients, c)
	if gaps := s.judge(f.inOrder(), s.begin); gaps > 0 {
		f.Errorf("got %d gaps, though nothing was dropped", gaps)
	}
}

// The server is killed, and comes back after 2 s.
func checkKill(f *fixture) {
	f.needLog()
	f.need(f.server.Kill != nil && f.server.Restart != nil, "Kill and Restart")
	hubs := f.three(hub.WithMaxEvents(200))
	s := f.brew(hubs, true, 6)
	pass(time.Second)
	f.server.Kill()
	back := time.After(2 * time.Second)
	for i, h := range hubs {
		f.eventually(fmt.Sprintf("hub %d is not healthy after its server was killed", i), func() bool { return h.Healthy() != nil })
	}
	<-back
	f.server.Restart()
	f.healthyAgain(hubs...)
	pass(time.Second)
	s.wantWhole(f.everything(s.settle()))
	if s.failed.Load() == 0 {
		f.Error("no attempt to publish failed while the server was down")
	}
	for i, h := range hubs {
		if got := h.Stats().Log; got.Reconnects == 0 || got.Gaps != 0 {
			f.Errorf("hub %d: got %+v, want a reconnection and no gaps", i, got)
		}
	}
}

func (f *fixture) healthyAgain(hubs ...*hub.Hub) {
	f.Helper()
	for i, h := range hubs {
		f.eventually(fmt.Sprintf("hub %d is healthy again", i), func() bool { return h.Healthy() == nil })
	}
}

// wantWhole fails the test if something is missing.
func (s *storm) wantWhole(log []message) {
	s.f.Helper()
	if gaps := s.judge(log, s.begin); gaps > 0 {
		s.f.Errorf("got %d gaps, though nothing was lost", gaps)
	}
}

// The server has lost everything: all clients are told, and then continue.
func checkEmpty(f *fixture) {
	f.needLog()
	f.need(f.server.Kill != nil && f.server.RestartEmpty != nil, "Kill and RestartEmpty")
	hubs := f.three()
	begin := hubs[0].LastID()
	var live, away []*client
	for _, h := range hubs {
		for decoded := range 2 {
			c := f.client("a", "b.*")
			c.decoded = decoded == 1
			c.connect(h, hub.After(begin))
			live = append(live, c)
		}
	}
	quiet := []*client{f.join(hubs[0], "quiet"), f.join(hubs[1], "*.quiet")} // nothing is published there
	old := ""
	for n := 1; n <= 20; n++ {
		old = f.publish(hubs[n%3], "a", fmt.Sprint(n))
	}
	for i, c := range live {
		c.want(words(1, 20)...)
		if i%2 == 0 {
			c := f.client("a", "b.*")
			c.cursor = old
			away = append(away, c)
		}
	}
	f.server.Kill()
	f.server.RestartEmpty()
	f.log, f.published = nil, nil
	s := &storm{f: f, faults: true}
	publish := func(from, to int) {
		for n := from; n <= to; n++ {
			m := message{topic: "b.1", data: fmt.Sprint("b.1 ", n)}
			s.send(hubs[n%3], m, true, []hub.PublishOption{hub.WithIdempotencyKey(m.data)})
		}
	}
	publish(21, 60)
	for _, c := range live {
		c.want(append([]string{"GAP:dropped"}, words(21, 60)...)...)
		if gap, _ := gapOf(c.seen[20]); gap.After != old || gap.Through != c.seen[20].ID {
			f.Errorf("got gap %+v, want one after %s", gap, old)
		}
	}
	for _, c := range quiet {
		c.want("GAP:dropped")
	}
	f.healthyAgain(hubs...)
	fresh := f.open()
	for i, c := range away {
		c.connect(append(hubs[1:], fresh)[i], hub.Now)
		c.want(append([]string{"GAP:restarted"}, words(21, 60)...)...)
	}
	publish(61, 70)
	for _, c := range append(live, away...) {
		c.want(words(61, 70)...)
	}
	for i, h := range hubs {
		if got := h.Stats().Log.Gaps; got != 1 {
			f.Errorf("hub %d: got %d gaps, want 1", i, got)
		}
	}
}

// The log drops events before a hub has heard of them.
func checkFollowerTrimmed(f *fixture) {
	f.needProxy()
	f.need(f.server.Trim != nil, "Trim")
	p := NewProxy(f, f.server.Addr)
	slow, _ := f.openAt(p.Addr)
	h := f.open()
	begin := slow.LastID()
	c, moves := f.join(slow, "a"), f.client("a")
	first := f.publish(h, "a", "first")
	c.want("first")
	p.Stall(true, true)
	f.publishMany(h, 2000)
	f.server.Trim(100)
	f.publish(h, "a", "more")
	moves.cursor = first
	moves.connect(slow, hub.Now)
	p.Resume()
	end := f.publish(h, "a", "end")
	log := f.inOrder()
	for _, c := range []*client{c, moves} {
		c.until(end)
		if err := f.judge(c, log, begin); err != nil && c != moves {
			f.Error(err)
		}
		if err := f.judge(c, log, first); err != nil && c == moves {
			f.Error(err)
		}
		gaps := 0
		for _, e := range c.seen {
			if _, ok := gapOf(e); ok {
				gaps++
			}
		}
		if gaps > 1 { // none, if everything was on its way when it was dropped
			f.Errorf("got %d gaps, want 1", gaps)
		}
	}
	if got := slow.Stats().Log.Gaps; got > 1 {
		f.Errorf("got %d gaps in the statistics, want 1", got)
	}
}

// A hub can be shut down while its log does not answer.
func checkShutdownStalled(f *fixture) {
	f.needProxy()
	p := NewProxy(f, f.server.Addr)
	h, _ := f.openAt(p.Addr, small...)
	begin := h.LastID()
	f.publishMany(f.open(), 500)
	f.eventually("the hub has some events", func() bool { return h.LastID() != begin })
	p.Stall(true, true)
	paging := f.client("a")
	paging.connect(h, hub.After(begin))
	live := f.join(h, "a")
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		f.Fatal(err)
	}
	if took := time.Since(began); took > patience/2 {
		f.Errorf("the shutdown took %v, while the log did not answer", took)
	}
	for _, c := range []*client{live, paging} {
		var err error
		for err == nil {
			_, err = c.take(time.After(patience))
		}
	}
}

func checkStall(f *fixture)         { stall(f, true, true) }
func checkStallToServer(f *fixture) { stall(f, true, false) }
func checkStallToClient(f *fixture) { stall(f, false, true) }

// stall has the network of two hubs fail for 10 s. A third hub is not affected.
func stall(f *fixture, toTheServer, toItsClients bool) {
	f.needProxy()
	p := NewProxy(f, f.server.Addr)
	opts := hub.WithMaxEvents(500)
	one, _ := f.openAt(p.Addr, opts)
	two, _ := f.openAt(p.Addr, opts)
	direct := f.open(opts)
	before := heap()
	s := f.brew([]*hub.Hub{one, two, direct}, true, 6)
	pass(time.Second)
	f.healthyAgain(one, two)
	p.Stall(toTheServer, toItsClients)
	over := time.After(10 * time.Second)
	for i, h := range []*hub.Hub{one, two} {
		f.eventually(fmt.Sprintf("hub %d is not healthy", i), func() bool { return h.Healthy() != nil })
	}
	for waiting := true; waiting; {
		select {
		case <-over:
			waiting = false
		case <-time.After(100 * time.Millisecond):
			if one.Healthy() == nil || two.Healthy() == nil {
				f.Error("healthy while the log does not answer")
				waiting = false
				<-over
			}
			f.healthyAgain(direct) // if the machine has stalled
		}
	}
	if grown := heap() - before; grown > 300<<20 { // other tests run as well
		f.Errorf("memory grew by %d bytes", grown)
	}
	p.Resume()
	f.healthyAgain(one, two)
	pass(time.Second)
	s.wantWhole(f.everything(s.settle()))
	if s.retried.Load() == 0 {
		f.Error("nothing was published again, though the network stalled")
	}
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far less than that
}

// Connections break again and again.
func checkCut(f *fixture) {
	f.needProxy()
	p := NewProxy(f, f.server.Addr)
	one, _ := f.openAt(p.Addr, hub.WithMaxEvents(100))
	s := f.brew([]*hub.Hub{one, f.open()}, true, 6)
	for range 30 {
		pass(100 * time.Millisecond)
		p.Cut()
	}
	s.wantWhole(f.everything(s.settle()))
	if got := one.Stats().Log.Reconnects; got == 0 {
		f.Error("the hub did not reconnect")
	}
}
