package hubtest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/hub"
)

// small are the options of a hub that holds few events.
var small = []hub.Option{hub.WithMaxEvents(50)}

// Events that the hubs no longer have in memory are read from the log.
func checkPages(f *fixture) {
	f.needLog()
	const n = 3000
	hubs := []*hub.Hub{f.open(small...), f.open(small...), f.open()}
	begin := hubs[0].LastID()
	rare := f.publish(hubs[1], "rare", "")
	f.publishMany(hubs[0], n)
	end := f.publish(hubs[1], "rare", "")
	f.caughtUp(end, hubs...)
	log := f.inOrder()
	for _, h := range append(hubs, f.open(small...)) {
		for _, names := range [][]string{{"a", "rare"}, {">"}, {"rare"}} {
			for from, after := range map[hub.Position]string{hub.After(begin): begin, hub.After(rare): rare, hub.Oldest: begin} {
				c := f.client(names...)
				c.connect(h, from)
				c.until(end)
				if err := f.judge(c, log, after); err != nil {
					f.Errorf("client of %v: %v", names, err)
				}
				c.leave()
			}
		}
	}
}

// The log drops what a client is about to read, page by page.
func checkPagesTrimmed(f *fixture) {
	f.needLog()
	f.need(f.server.Trim != nil, "Trim")
	h := f.open(small...)
	begin := h.LastID()
	f.publishMany(h, 3000)
	c := f.client("a")
	c.connect(h, hub.After(begin))
	for range 10 {
		c.event()
	}
	f.server.Trim(100)
	f.publish(h, "a", "on")
	f.server.Trim(90)
	end := f.publish(h, "a", "end")
	c.until(end)
	if err := f.judge(c, f.inOrder(), begin); err != nil {
		f.Error(err)
	}
	gaps := 0
	for _, e := range c.seen {
		if gap, ok := gapOf(e); ok {
			gaps++
			if gap.Reason != hub.GapDropped || len(gap.After) == 0 {
				f.Errorf("got gap %+v, want what was dropped", gap)
			}
		}
	}
	if gaps == 0 {
		f.Errorf("got %d events and no gap, though the log has dropped most of them", len(c.seen))
	}
}

// A subscriber that is overtaken by the memory continues from the log.
func checkSlow(f *fixture) {
	f.needLog()
	hubs := f.three(small...)
	begin := hubs[0].LastID()
	var clients []*client
	for i, h := range hubs {
		c := f.client("a", "b.*", "end")
		c.decoded = i == 0
		c.connect(h, hub.After(begin))
		clients = append(clients, c)
	}
	f.publish(hubs[0], "a", "first")
	for _, c := range clients {
		c.want("first")
	}
	for n := range 3 {
		f.publishMany(hubs[n], 1000)
		f.publish(hubs[n], "b.1", fmt.Sprint(n))
		for range 100 {
			clients[n].event()
		}
	}
	end := f.publish(hubs[0], "end", "")
	log := f.inOrder()
	for i, c := range clients {
		c.until(end)
		if err := f.judge(c, log, begin); err != nil {
			f.Error(err)
		}
		for _, e := range c.seen {
			if _, ok := gapOf(e); ok {
				f.Errorf("client %d got %+v, though the log has everything", i, e)
			}
		}
	}
}

// An event that does not fit into a process's memory still reaches its subscribers.
func checkLarge(f *fixture) {
	f.needLog()
	h, other := f.open(hub.WithMaxBytes(1000)), f.open()
	live := f.join(h, "a")
	f.publish(h, "a", strings.Repeat("x", 900)) // with its ID it may be too large
	f.publish(h, "a", strings.Repeat("x", 985))
	f.publish(other, "a", strings.Repeat("x", 10_000))
	f.publish(h, "a", "end")
	live.want(strings.Repeat("x", 900), strings.Repeat("x", 985), strings.Repeat("x", 10_000), "end")
}

// A subscriber that is overtaken by the log itself is ended, if the hub's policy says so.
func checkSlowEnd(f *fixture) {
	f.needLog()
	f.need(f.server.Trim != nil, "Trim")
	h := f.open(append([]hub.Option{hub.WithGapPolicy(hub.GapEnd)}, small...)...)
	begin := h.LastID()
	c := f.client("a")
	c.connect(h, hub.After(begin))
	f.publish(h, "a", "first")
	c.want("first")
	f.publishMany(h, 3000)
	f.caughtUp(f.publish(h, "a", "last"), h) // so that only the subscriber is slow
	f.server.Trim(10)
	var err error
	for err == nil && len(c.seen) < 3002 {
		_, err = c.take(time.After(patience))
	}
	if !errors.Is(err, hub.ErrLagged) {
		f.Fatalf("after %d events: got %v, want ErrLagged", len(c.seen), err)
	}
	c.connect(h, hub.Now)
	c.want("GAP:dropped")
	end := f.publish(h, "a", "end")
	c.until(end)
	if err := f.judge(c, f.inOrder(), begin); err != nil {
		f.Error(err)
	}
}
