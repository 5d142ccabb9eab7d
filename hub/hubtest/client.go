package hubtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
)

// A client subscribes to topics, at one hub or at several, one after the other.
type client struct {
	f       *fixture
	names   []string
	opts    []hub.SubscribeOption
	decoded bool            // its events come through a generator that ranges over the hub's stream
	gone    <-chan struct{} // ends take; nil if nothing does

	cursor string       // its last event ID
	seen   []core.Event // what it was sent
	where  []int        // on which of its connections
	conns  int
	conn   *connection
}

func (f *fixture) client(names ...string) *client {
	c := &client{f: f, names: names}
	f.Cleanup(c.leave)
	return c
}

// join returns a connected client.
func (f *fixture) join(h *hub.Hub, names ...string) *client {
	c := f.client(names...)
	c.connect(h, hub.Now)
	return c
}

// A connection is one session.
type connection struct {
	leave  func()
	events chan core.Event // closed at its end
	err    error           // the stream's, known when events is closed
}

// connect leaves the client's present hub and goes to another, with its last event ID if it
// has one.
func (c *client) connect(h *hub.Hub, from hub.Position) {
	c.leave()
	c.conns++
	ctx, cancel := context.WithCancel(context.Background())
	session, err := host.NewSession(ctx, core.Request{LastEventID: c.cursor}, core.WithHeartbeat(0), core.WithWriteTimeout(0))
	if err != nil {
		cancel()
		c.f.Errorf("connect: %v", err)
		return
	}
	stream := h.SubscribeWith(session.Context(), c.names, append(slices.Clip(c.opts), hub.From(from))...)
	if c.decoded {
		inner := stream
		stream = func(yield func(core.Event, error) bool) {
			inner(func(e core.Event, err error) bool { return yield(e, err) })
		}
	}
	r, w := io.Pipe()
	left, served := make(chan struct{}), make(chan struct{})
	conn := &connection{events: make(chan core.Event)}
	go func() {
		defer close(served)
		if conn.err = session.Refused(); conn.err == nil {
			conn.err = session.Serve(pipe{w}, stream)
		} else {
			session.Close(conn.err)
		}
		_ = w.Close()
	}()
	go func() {
		defer close(conn.events)
		defer func() { <-served }()
		for e, err := range blocks(r) {
			if err != nil || e == (core.Event{Comment: e.Comment}) {
				continue
			}
			select {
			case conn.events <- e:
			case <-left:
				return
			}
		}
	}()
	conn.leave = func() {
		cancel()
		_ = r.Close()
		close(left)
		for range conn.events {
		}
	}
	c.conn = conn
}

// A pipe is a session's connection to its client.
type pipe struct{ w *io.PipeWriter }

func (p pipe) Send(f host.Frames) error {
	_, err := p.w.Write(f.Bytes())
	return err
}

func (p pipe) End() error { return p.w.Close() }
func (p pipe) Abort()     { _ = p.w.CloseWithError(errors.New("hubtest: the response is broken")) }

// leave ends the connection, if there is one.
func (c *client) leave() {
	if c.conn != nil {
		c.conn.leave()
		c.conn = nil
	}
}

// take returns the next event. It returns an error if none comes in time, and io.EOF
// at the stream's clean end.
func (c *client) take(limit <-chan time.Time) (core.Event, error) {
	select {
	case e, ok := <-c.conn.events:
		switch {
		case ok:
			c.cursor = e.ID
			c.seen, c.where = append(c.seen, e), append(c.where, c.conns)
			return e, nil
		case c.conn.err != nil:
			return core.Event{}, c.conn.err
		}
		return core.Event{}, io.EOF
	case <-limit:
		return core.Event{}, errLate
	case <-c.gone:
		return core.Event{}, errGone
	}
}

var (
	errLate = errors.New("no event has come in time")
	errGone = errors.New("the test has ended")
)

// event returns the next event, or fails the test.
func (c *client) event() core.Event {
	c.f.Helper()
	e, err := c.take(time.After(patience))
	if err != nil {
		c.f.Fatalf("client of %v, after %d events, the last one %s: %v", c.names, len(c.seen), c.cursor, err)
	}
	return e
}

// want takes as many events as there are words, each the last word of its data, or
// "GAP" with its reason.
func (c *client) want(words ...string) {
	c.f.Helper()
	for i, want := range words {
		if got := summary(c.event()); got != want {
			c.f.Fatalf("client of %v: got %s, want %s of %v", c.names, got, want, words[max(0, i-3):])
		}
	}
}

// until takes events up to the one with that ID.
func (c *client) until(id string) {
	c.f.Helper()
	for e := c.event(); e.ID != id; {
		e = c.event()
	}
}

// end takes the end, without another event.
func (c *client) end() error {
	c.f.Helper()
	e, err := c.take(time.After(patience))
	if err == nil {
		c.f.Fatalf("got the event %+v, want the end", e)
	}
	return err
}

// summary is the last word of an event's data, or "GAP" with its reason.
func summary(e core.Event) string {
	if gap, ok := gapOf(e); ok {
		return "GAP:" + string(gap.Reason)
	}
	return e.Data[strings.LastIndexByte(e.Data, ' ')+1:]
}

func gapOf(e core.Event) (gap hub.Gap, ok bool) {
	return gap, e.Type == "gap" && json.Unmarshal([]byte(e.Data), &gap) == nil
}

// everything returns what is in the log up to the event of that ID, as a new hub reads it.
func (f *fixture) everything(last string) []message {
	f.Helper()
	c := f.client(">")
	c.connect(f.open(), hub.Oldest)
	c.until(last)
	c.leave()
	log, ids := make([]message, 0, len(c.seen)), make(map[string]string)
	data := make(map[string]string)
	for _, e := range c.seen {
		topic, _, _ := strings.Cut(e.Data, " ")
		log = append(log, message{id: e.ID, topic: topic, data: e.Data})
		if other, ok := data[e.Data]; ok {
			f.Errorf("the log has %q twice, as %s and %s", e.Data, other, e.ID)
		}
		ids[e.ID], data[e.Data] = e.Data, e.ID
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.published {
		if ids[m.id] != m.data {
			f.Errorf("the log has %q as %s, but %q was published", ids[m.id], m.id, m.data)
		}
	}
	return log
}

// words returns the numbers from one to the other.
func words(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}
