package hubtest

import (
	"time"

	"github.com/yieldsse/yieldsse/hub"
)

// No client gets an event that is older than WithMaxReplay allows, whatever ID it sends,
// and a client that misses something is told. It gets what comes later.
func checkMaxReplay(f *fixture) {
	const (
		age  = 50 * time.Millisecond // far more than the resolution of a log's clock
		many = 600                   // some pages
	)
	h := f.open(hub.WithMaxReplay(age))
	begin := h.LastID()
	f.publish(h, "b", "old")
	f.publishMany(h, many)
	last := f.publish(h, "a", "old")
	published := time.Now()
	f.caughtUp(last, h)
	hubs := []*hub.Hub{h}
	if f.plain == nil {
		hubs = append(hubs, f.open(hub.WithMaxReplay(age))) // a later hub, which reads pages
	}
	f.eventually("everything is too old", func() bool { return time.Since(published) > 2*age })

	type expectation struct {
		*client
		gap string
	}
	var clients []expectation
	connect := func(h *hub.Hub, from hub.Position, gap string, decoded bool, names ...string) {
		c := f.client(names...)
		c.decoded = decoded
		c.connect(h, from)
		clients = append(clients, expectation{c, gap})
	}
	for _, h := range hubs {
		for _, decoded := range []bool{false, true} {
			connect(h, hub.After(begin), "GAP:expired", decoded, "a", "end")
			connect(h, hub.After(begin), "GAP:expired", decoded, "*")
			connect(h, hub.After(begin), "", decoded, "quiet", "quiet.*", "end")
			connect(h, hub.After(last), "", decoded, "a", "end")
			connect(h, hub.After("no ID"), "GAP:unknown", decoded, "a", "end")
			connect(h, hub.Oldest, "", decoded, "a", "end")
		}
	}
	for _, c := range clients {
		if c.gap != "" {
			c.want(c.gap)
		}
	}
	f.publish(h, "end", "end") // nothing old may come before it
	for _, c := range clients {
		c.want("end")
		c.leave()
	}
	if f.plain != nil {
		return
	}
	c := f.client("a", "end") // a hub without a bound replays everything
	c.connect(f.open(), hub.After(begin))
	for range many {
		c.event()
	}
	c.want("old", "end")
}
