package hubtest

import (
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// Attributes and further topics reach every process as they were, from memory and from
// the log. A state comes first, in the place of what was published before, and in the place of a gap.
func checkSelections(f *fixture) {
	hubs := f.three()
	begin := hubs[0].LastID()
	region := "eu \u00e9%\n\x00"
	eu := hub.WithFilter(func(topic string, a hub.Attributes) bool { return a["a region"] == region && topic == "b" })
	var clients []*client
	join := func(h *hub.Hub, from hub.Position, names ...string) {
		c := f.client(names...)
		c.opts = []hub.SubscribeOption{eu}
		c.connect(h, from)
		clients = append(clients, c)
	}
	for _, h := range hubs {
		join(h, hub.Now, "a", "a.*")
		join(h, hub.Now, "a b.c")
	}
	for i, h := range hubs {
		f.publish(h, "b", "no", hub.WithTopics("a"))
		f.publish(h, "b", "other", hub.WithTopics("a"), hub.WithAttributes(hub.Attributes{"a region": "us"}))
		a := hub.WithAttributes(hub.Attributes{"a region": region, "": ""})
		f.publish(h, "b", words(i, i)[0], hub.WithTopics("a.b", "a", "a b.c"), a)
	}
	last := f.publish(hubs[0], "b", "end", hub.WithTopics("a", "a b.c"), hub.WithAttributes(hub.Attributes{"a region": region}))
	f.caughtUp(last, hubs...)
	for _, h := range append(hubs, f.open()) {
		join(h, hub.After(begin), ">")
		join(h, hub.After(begin), "a b.c", "a")
	}
	for _, c := range clients {
		c.want("0", "1", "2", "end")
	}

	for i, h := range hubs { // a key is one of all the topics together, whichever comes first
		topics := []string{"k.1", "k.2", "k.3"}
		topics[0], topics[i] = topics[i], topics[0]
		last = f.publish(h, topics[0], words(i, i)[0], hub.WithTopics(topics[1:]...), hub.WithKey("k"))
	}
	f.caughtUp(last, hubs...)
	for _, h := range append(hubs, f.open()) {
		c := f.client("k.2")
		c.connect(h, hub.After(begin))
		c.want("2")
		c.leave()
	}

	state := hub.WithState(func(yield func(core.Event, error) bool) { yield(core.Event{Data: "state"}, nil) })
	for i, h := range hubs {
		c := f.client("a")
		c.opts = []hub.SubscribeOption{state}
		c.connect(h, hub.Now)
		c.want("state")
		cursor := c.cursor
		f.publish(hubs[(i+1)%len(hubs)], "a", "next")
		c.want("next")
		c.cursor = cursor
		c.connect(h, hub.Now)
		c.want("next")
		c.cursor = "no ID"
		c.connect(h, hub.Now)
		c.want("state")
		if f.server.Trim == nil {
			continue
		}
		f.publish(h, "a", "more")
		last := f.publish(h, "b", "more")
		c.want("more")
		f.caughtUp(last, hubs...)
		f.server.Trim(0)
		c.cursor = cursor
		c.connect(f.open(), hub.Now) // which has nothing in its memory
		c.want("state")
		again, err := hubs[0].Publish(f.soon(), "a", core.Event{Data: "again"})
		if err != nil {
			f.Fatal(err)
		}
		c.until(again)
		c.leave()
		f.caughtUp(again, hubs...)
	}
}
