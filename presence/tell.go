package presence

import (
	"context"
	"encoding/json"
	"time"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// attempt is how long a call of the log may take, so that there is time for another one.
func (c *cluster) attempt() time.Duration { return min(c.lease/2, 5*time.Second) }

// change has others be told that a member has joined or left. The Tracker is locked, as for all
// methods below that do not lock it.
func (c *cluster) change(m *member) {
	if !c.state { // which has the change
		c.changed = append(c.changed, m)
	}
	c.signal()
}

func (c *cluster) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell tells others what there is to tell, until the shutdown.
func (c *cluster) tell() {
	defer func() {
		if c.teller.Err() == nil { // the logger's handler has ended the goroutine
			go c.tell()
		} else {
			close(c.tells)
		}
	}()
	ticks := time.NewTicker(c.tick())
	defer ticks.Stop()
	for c.teller.Err() == nil {
		c.look()
		m := c.next()
		if m != nil && c.tellOne(m) {
			continue
		}
		if m != nil { // the log has failed
			pause.For(c.teller, c.tick())
			continue
		}
		select {
		case <-c.wake:
		case <-ticks.C:
		case <-c.teller.Done():
		}
	}
}

// tellOne publishes a message. It reports whether the log has it.
func (c *cluster) tellOne(m *message) bool {
	ctx, cancel := context.WithTimeout(c.teller, c.attempt())
	defer cancel()
	err := c.publish(ctx, m)
	c.tracker.lock()
	defer c.tracker.mu.Unlock()
	if err == nil {
		c.sent, c.asOf = time.Now(), m.Ills
		return true
	}
	switch m.Kind {
	case kindChange, kindState: // the log may have it, or get it later
		c.parts, c.changed, c.state = nil, nil, true
	case kindAsk:
		c.ask = c.ask || len(m.Of) == 0 // a peer is asked again anyway
	default:
	}
	return false
}

func (c *cluster) publish(ctx context.Context, m *message) error {
	e, err := m.event()
	if err != nil {
		return err
	}
	var key hub.PublishOption
	if m.Kind == kindRenewal {
		key = hub.WithKey(m.From)
	}
	_, err = c.hub.Publish(ctx, control, e, key)
	return err
}

// next returns what is told next, or nil.
func (c *cluster) next() *message {
	c.tracker.lock()
	defer c.tracker.mu.Unlock()
	if c.state && time.Since(c.told) >= c.tick() { // so that a crowd that asks gets one answer
		c.takeState()
	}
	m := &message{From: c.id, Lease: c.lease, N: c.number, Ills: c.ills}
	switch {
	case len(c.parts) > 0:
		m = c.parts[0]
		c.parts = c.parts[1:]
	case !c.state && c.takeChange(m):
		m.Kind = kindChange
		c.number++
		m.N = c.number
	case c.ask:
		m.Kind, m.Ask = kindAsk, c.asks
		c.ask, c.wanted = false, nil
	case len(c.wanted) > 0:
		m.Kind, m.Of = kindAsk, c.wanted
		c.wanted = nil
	case time.Since(c.sent) >= c.renewal():
		m.Kind = kindRenewal
	default:
		return nil
	}
	return m
}

// takeState has all members be told, in parts.
func (c *cluster) takeState() {
	c.state, c.told = false, time.Now()
	c.changed, c.parts = nil, nil
	var texts []json.RawMessage
	for _, m := range c.tracker.own {
		m.told = true
		texts = append(texts, m.text)
	}
	all := parts(texts)
	for i, part := range all {
		c.number++
		c.parts = append(c.parts, &message{
			Kind: kindState, From: c.id, Lease: c.lease, N: c.number, Ills: c.ills, Part: i + 1, Parts: len(all), Joins: part,
		})
	}
	last := c.parts[len(c.parts)-1]
	last.Knows, last.Peers = c.knows, make(map[string]uint64)
	for id, p := range c.peers {
		switch {
		case p.gone:
		case p.hearsay: // it may be dead: then it would pass from process to process forever
			last.Knows = false
		default:
			last.Peers[id] = p.asks
		}
	}
}

// takeChange puts into m what has changed, about chunk bytes. Who has joined and left meanwhile is
// left out.
func (c *cluster) takeChange(m *message) bool {
	n, size := 0, 0
	for ; n < len(c.changed) && size < chunk; n++ {
		switch one := c.changed[n]; {
		case !one.gone && !one.told:
			one.told = true
			m.Joins = append(m.Joins, one.text)
			size += len(one.text)
		case one.gone && one.told:
			m.Leaves = append(m.Leaves, one.ID)
			size += len(one.ID)
			one.told = false
		}
	}
	if c.changed = c.changed[n:]; len(c.changed) == 0 {
		c.changed = nil
	}
	return size > 0
}
