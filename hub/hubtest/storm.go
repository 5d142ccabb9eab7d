package hubtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// A storm is hubs at work: publishers at each of them, clients that stay, and
// others that go from one hub to another.
type storm struct {
	f        *fixture
	hubs     []*hub.Hub
	begin    string          // the ID after which all clients begin
	faults   bool            // Publish may fail
	calm     context.Context //nolint:containedctx // ends when the publishers do
	end      func()
	clients  []*client
	busy     sync.WaitGroup // publishers
	watching sync.WaitGroup // clients
	last     atomic.Value   // the ID of the last event, a string, when it is known
	gone     chan struct{}  // closed when the test ends, perhaps in the middle of it

	failed, retried atomic.Int64
}

// stormTopics are what is published to, besides "end", which comes last.
var stormTopics = []string{"a", "b", "a.x", "a.y", "b.x", "p.1", "p.2"}

// seed makes a storm's choices the same each time, as far as goroutines allow.
const seed = 5

func random(n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) } //nolint:gosec // to be replayed

// publishTimeout is how long an event may take in a storm with faults.
const publishTimeout = time.Second

// brew begins a storm.
func (f *fixture) brew(hubs []*hub.Hub, faults bool, movers int) *storm {
	f.Helper()
	s := &storm{f: f, hubs: hubs, faults: faults, gone: make(chan struct{})}
	s.calm, s.end = context.WithCancel(context.Background())
	s.begin = hubs[0].LastID()
	for i, h := range hubs {
		for j, names := range [][]string{{">"}, {"a", "b.*", "end"}} {
			c := f.client(names...)
			c.gone = s.gone
			c.decoded = (i+j)%2 == 1
			c.connect(h, hub.After(s.begin))
			s.clients = append(s.clients, c)
			s.watching.Go(func() { s.watch(c) })
		}
	}
	for i := range movers {
		c := f.client([]string{"*", ">", "a.*", "b", "p.>"}[i%5], "a", "end")
		c.gone = s.gone
		c.decoded = i%3 == 0
		s.clients = append(s.clients, c)
		s.watching.Go(func() { s.move(c, random(i)) })
	}
	for i := range 6 {
		s.busy.Go(func() { s.publish(hubs[i%len(hubs)], i, random(100+i)) })
	}
	f.Cleanup(s.abandon) // before the clients leave
	return s
}

// abandon ends a storm whose test has failed: what the test has opened is about to be
// closed.
func (s *storm) abandon() {
	s.end()
	close(s.gone)
	s.busy.Wait()
	s.watching.Wait()
}

func (s *storm) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// publish publishes until the storm is over.
func (s *storm) publish(h *hub.Hub, name int, rng *rand.Rand) {
	for n := 0; s.calm.Err() == nil; {
		for range rng.IntN(8) {
			n++
			topic := stormTopics[rng.IntN(len(stormTopics))]
			m := message{topic: topic, data: fmt.Sprintf("%s %d %d %s", topic, name, n, strings.Repeat("x", rng.IntN(200)))}
			var opts []hub.PublishOption
			switch {
			case name%2 == 0:
				opts = append(opts, hub.WithIdempotencyKey(fmt.Sprint(name, "-", n)))
			case !s.faults && topic[0] == 'p':
				m.key = fmt.Sprint(rng.IntN(3))
				opts = append(opts, hub.WithKey(m.key))
			}
			if !s.send(h, m, name%2 == 0, opts) {
				return
			}
		}
		select {
		case <-s.calm.Done():
		case <-time.After(time.Duration(rng.IntN(10)) * time.Millisecond):
		}
	}
}

// send publishes a message. If it may be sent again, it is, until the log has it.
func (s *storm) send(h *hub.Hub, m message, again bool, opts []hub.PublishOption) bool {
	limit := patience
	if s.faults {
		limit = publishTimeout
	}
	for begin := time.Now(); time.Since(begin) < 2*patience; {
		if s.isGone() {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		sent := time.Now()
		id, err := h.Publish(ctx, m.topic, core.Event{Data: m.data}, opts...)
		took := time.Since(sent)
		cancel()
		switch {
		case err == nil:
			m.id = id
			s.f.note(m)
			return true
		case !s.faults:
			s.f.Errorf("publish: %v", err)
			return false
		case took > limit+patience:
			s.f.Errorf("publish took %v, with a context of %v: %v", took, limit, err)
		}
		s.failed.Add(1)
		pass(10 * time.Millisecond)
		if !again {
			return true
		}
		s.retried.Add(1)
	}
	s.f.Errorf("publish: the log did not recover")
	return false
}

// done reports whether a client has seen the last event, or a later one.
func (s *storm) done(c *client) bool {
	last, _ := s.last.Load().(string)
	return last != "" && c.cursor != "" && s.f.compare(c.cursor, last) >= 0
}

// watch is a client that stays.
func (s *storm) watch(c *client) {
	for !s.done(c) {
		if _, err := c.take(time.After(2 * patience)); errors.Is(err, errGone) {
			return
		} else if err != nil {
			s.f.Errorf("client of %v, after %d events, the last one %s: %v", c.names, len(c.seen), c.cursor, err)
			return
		}
	}
}

// move is a client that goes from hub to hub until the storm is over.
func (s *storm) move(c *client, rng *rand.Rand) {
	late := time.After(4 * patience)
	for !s.done(c) {
		if rng.IntN(3) == 0 {
			c.leave()
			pass(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		c.connect(s.hubs[rng.IntN(len(s.hubs))], hub.After(s.begin))
		limit := time.After(time.Duration(20+rng.IntN(300)) * time.Millisecond)
		if s.last.Load() != nil {
			limit = time.After(patience)
		}
		for range 1 + rng.IntN(300) {
			_, err := c.take(limit)
			if errors.Is(err, errGone) {
				return
			}
			if errors.Is(err, errLate) || s.done(c) {
				break
			}
			if err != nil && !errors.Is(err, io.EOF) {
				s.f.Errorf("client of %v, after %d events, the last one %s: %v", c.names, len(c.seen), c.cursor, err)
				return
			}
		}
		select {
		case <-late:
			s.f.Errorf("client of %v did not reach the end: got %d events, the last one %s", c.names, len(c.seen), c.cursor)
			return
		default:
		}
	}
	c.leave()
}

// settle ends the storm, and waits until all clients have come to its end. It
// returns the last event's ID.
func (s *storm) settle() string {
	s.f.Helper()
	s.end()
	s.busy.Wait()
	s.last.Store(s.f.publish(s.hubs[0], "end", "of the storm"))
	// Clients that had it before last was set look again.
	end := s.f.publish(s.hubs[0], "end", "and another one")
	s.watching.Wait()
	return end
}

// judge judges what the clients were sent, and returns how many gaps there were.
func (s *storm) judge(log []message, after string) (gaps int) {
	s.f.Helper()
	for _, c := range s.clients {
		events := 0
		for _, e := range c.seen {
			if _, ok := gapOf(e); ok {
				gaps++
			} else {
				events++
			}
		}
		if events == 0 {
			s.f.Errorf("client of %v got nothing", c.names)
		}
		if err := s.f.judge(c, log, after); err != nil {
			s.f.Errorf("client of %v: %v", c.names, err)
		}
	}
	s.f.Logf("%d events in the log; %d attempts to publish failed, %d were made again; %d gaps",
		len(log), s.failed.Load(), s.retried.Load(), gaps)
	return gaps
}
