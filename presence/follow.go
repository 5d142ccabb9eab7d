package presence

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/pause"
)

// listen receives what processes tell, until the shutdown.
func (c *cluster) listen(messages iter.Seq2[message, error]) {
	defer func() {
		if c.ctx.Err() == nil { // the logger's handler has ended the goroutine
			go func() {
				pause.For(c.ctx, c.tick())
				c.listen(c.messages())
			}()
		} else {
			close(c.follows)
		}
	}()
	for c.ctx.Err() == nil {
		c.follow(messages)
		pause.For(c.ctx, c.tick())
		messages = c.messages()
	}
}

// messages returns what processes tell from now on, or after what has come.
func (c *cluster) messages() iter.Seq2[message, error] {
	topic := hub.Topic[message]{Hub: c.hub, Name: control, Decode: func(e core.Event) (message, error) {
		c.at = e.ID
		return decode(e)
	}}
	return topic.Subscribe(c.ctx, hub.From(hub.After(c.at)))
}

// follow receives what processes tell, until the subscription ends.
func (c *cluster) follow(messages iter.Seq2[message, error]) {
	for m, err := range messages {
		var gap *hub.GapError
		switch {
		case err == nil && m.Kind == kindKick:
			c.tracker.end(m.Key, m.Reason)
		case err == nil:
			c.receive(&m)
		case errors.As(err, &gap):
			c.missed(gap)
		case c.ctx.Err() == nil:
			c.logger.LogAttrs(context.Background(), slog.LevelWarn,
				"presence: an event was skipped, or the log cannot be read", slog.Any("error", err))
		}
	}
}

// missed is called when messages are missing.
func (c *cluster) missed(gap *hub.GapError) {
	c.at = gap.Through // it is not told again
	c.tracker.lock()
	defer c.unlock()
	c.log(slog.LevelWarn, "events are missing from the log, perhaps with kicks", slog.Any("error", gap))
	for _, p := range c.peers {
		p.known, p.part, p.asked = false, 0, time.Now() // all are asked
	}
	c.knows, c.asked = false, time.Time{}
	c.asks++
	c.ask, c.state = true, true
	c.signal()
	c.judge()
}

func (c *cluster) receive(m *message) {
	c.tracker.lock()
	defer c.unlock()
	if m.From == c.id {
		c.receiveOwn(m)
	} else {
		c.receiveFrom(m)
	}
	if !c.current {
		c.judge()
	}
}

// receiveOwn receives what this process has told.
func (c *cluster) receiveOwn(m *message) {
	c.heard, c.proof = time.Now(), max(c.proof, m.Ills)
	if c.proof != c.ills {
		c.signal()
	}
	if m.Kind == kindAsk && len(m.Of) == 0 && c.asked.IsZero() {
		c.asked = c.heard
	}
}

// receiveFrom receives what another process has told.
func (c *cluster) receiveFrom(m *message) {
	p := c.peers[m.From]
	if p == nil {
		p = c.meet(m.From)
	}
	if p.gone {
		return
	}
	p.heard, p.lease, p.hearsay = time.Now(), m.Lease, false
	switch m.Kind {
	case kindRenewal:
		if m.N > p.number || !p.known && p.part == 0 {
			c.lost(m, p)
		}
	case kindChange:
		c.receiveChange(m, p)
	case kindState:
		c.receiveState(m, p)
	case kindAsk:
		p.asks = max(p.asks, m.Ask)
		c.answer(m)
	case kindKick: // see follow
	case kindBye:
		c.replace(p, nil)
		p.gone = true // what it has told before may come later
	}
}

// meet adds a process.
func (c *cluster) meet(id string) *peer {
	p := &peer{lease: c.lease, heard: time.Now()}
	c.peers[id] = p
	return p
}

// lost is called when something that a process has told before is not known.
func (c *cluster) lost(m *message, p *peer) {
	p.known, p.part = false, 0
	p.number = max(p.number, m.N)
	c.want(m.From, p)
	c.judge()
}

// want asks a process for its state, if nobody has asked lately.
func (c *cluster) want(id string, p *peer) {
	if time.Since(p.asked) >= c.renewal() {
		p.asked = time.Now()
		c.wanted = append(c.wanted, id)
		c.signal()
	}
}

// answer has the state be told that another process asks for.
func (c *cluster) answer(m *message) {
	all := len(m.Of) == 0
	if all || slices.Contains(m.Of, c.id) {
		c.state = true
		c.signal()
	}
	for id, p := range c.peers { // the answer is for this process, too
		if all || slices.Contains(m.Of, id) {
			p.asked = time.Now()
			c.wanted = slices.DeleteFunc(c.wanted, func(other string) bool { return other == id })
		}
	}
}

func (c *cluster) receiveChange(m *message, p *peer) {
	switch {
	case m.N <= p.number:
		return
	case m.N > p.number+1 || !p.known || p.part > 0:
		c.lost(m, p)
		return
	}
	joined, err := members(m.Joins)
	if err != nil {
		c.lost(m, p)
		return
	}
	p.number = m.N
	for _, id := range m.Leaves {
		if old := p.members[id]; old != nil {
			delete(p.members, id)
			c.tracker.remove(old)
		}
	}
	for _, one := range joined {
		p.members[one.ID] = one
		c.tracker.add(one)
	}
}

func (c *cluster) receiveState(m *message, p *peer) {
	switch {
	case m.N <= p.number:
		return
	case m.Part == 1:
		p.pending = nil
	case m.N > p.number+1 || m.Part != p.part+1:
		c.lost(m, p)
		return
	}
	joined, err := members(m.Joins)
	if err != nil {
		c.lost(m, p)
		return
	}
	p.number, p.part, p.asked = m.N, m.Part, time.Now()
	if p.pending = append(p.pending, joined...); m.Part < m.Parts {
		return
	}
	c.replace(p, p.pending)
	p.known, p.part, p.pending = true, 0, nil
	if !m.Knows || m.Peers[c.id] != c.asks {
		return // it may have been taken before this process asked, and not know who has started meanwhile
	}
	c.knows = true
	for id := range m.Peers {
		if c.peers[id] == nil && id != c.id {
			p := c.meet(id)
			p.hearsay = true
			c.want(id, p)
		}
	}
}

// replace replaces the members of a process.
func (c *cluster) replace(p *peer, joined []*member) {
	now := make(map[string]*member, len(joined))
	for _, one := range joined {
		now[one.ID] = one
	}
	for id, old := range p.members {
		if now[id] == nil {
			c.tracker.remove(old)
		}
	}
	for id, one := range now {
		if p.members[id] == nil {
			c.tracker.add(one)
		}
	}
	p.members = now
}
