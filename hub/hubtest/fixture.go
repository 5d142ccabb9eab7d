package hubtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// patience is how long a check waits for something that should come soon.
const patience = time.Minute

// A fixture is one test's server, the hubs on it, and the events that they have published.
type fixture struct {
	*testing.T

	backend Backend
	server  Server
	plain   *hub.Hub // the only hub, if there is no log
	log     hub.Log  // of the first hub

	mu        sync.Mutex
	published []message
}

// A message is an event that a hub has published.
type message struct {
	id, topic, key, data string
}

func start(t *testing.T, b Backend) *fixture {
	t.Helper()
	return &fixture{T: t, backend: b, server: b.Start(t)}
}

// need skips the test if the backend does not have something.
func (f *fixture) need(has bool, what string) {
	f.Helper()
	if !has {
		f.Skip("this backend has no " + what)
	}
}

func (f *fixture) needLog() { f.Helper(); f.need(f.server.Open != nil, "log") }
func (f *fixture) needProxy() {
	f.Helper()
	f.need(f.server.Addr != "", "address to put a proxy in front of")
}

// open returns a hub, as another process has it. It has heard from the log.
func (f *fixture) open(opts ...hub.Option) *hub.Hub {
	f.Helper()
	h, _ := f.openAt(f.server.Addr, opts...)
	return h
}

func (f *fixture) openAt(addr string, opts ...hub.Option) (h *hub.Hub, die func()) {
	f.Helper()
	if f.plain != nil {
		return f.plain, nil
	}
	if f.server.Open != nil {
		var l hub.Log
		l, die = f.server.Open(f.T, addr)
		f.Cleanup(die)
		opts = append(opts, hub.WithLog(l))
		if f.log == nil {
			f.log = l
		}
	}
	h = hub.New(opts...)
	if f.server.Open == nil {
		f.plain = h
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			f.Error(err)
		}
	})
	f.eventually("the hub has heard from the log", func() bool { return h.LastID() != "" })
	return h, die
}

// three returns the hubs of three processes.
func (f *fixture) three(opts ...hub.Option) []*hub.Hub {
	f.Helper()
	return []*hub.Hub{f.open(opts...), f.open(opts...), f.open(opts...)}
}

// soon returns a context for what a log should do at once.
func (f *fixture) soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.Cleanup(cancel)
	return ctx
}

// publish publishes an event, whose data begins with the topic.
func (f *fixture) publish(h *hub.Hub, topic, data string, opts ...hub.PublishOption) (id string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m := message{topic: topic, data: topic + " " + data}
	var err error
	if m.id, err = h.Publish(ctx, topic, core.Event{Data: m.data}, opts...); err != nil {
		f.Errorf("publish: %v", err)
		return ""
	}
	f.note(m)
	return m.id
}

// publishMany publishes n events of topic a, from several goroutines at once.
func (f *fixture) publishMany(h *hub.Hub, n int) {
	f.Helper()
	var all sync.WaitGroup
	const workers = 16
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < n; i += workers {
				f.publish(h, "a", strconv.Itoa(i)+" "+strings.Repeat("x", 100))
			}
		})
	}
	all.Wait()
}

func (f *fixture) note(m message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.published = append(f.published, m)
}

// inOrder returns what was published, in the order of the IDs.
func (f *fixture) inOrder() []message {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.published)
	slices.SortFunc(all, func(a, b message) int { return f.compare(a.id, b.id) })
	return all
}

func (f *fixture) compare(a, b string) int {
	if f.log == nil {
		return cmp.Compare(number(a), number(b))
	}
	order, err := f.log.Compare(a, b)
	if err != nil {
		f.Errorf("compare %q and %q: %v", a, b, err)
	}
	return order
}

// number returns the number of a plain hub's ID.
func number(id string) uint64 {
	_, digits, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// caughtUp waits until the hubs have the event of that ID, or a later one.
func (f *fixture) caughtUp(id string, hubs ...*hub.Hub) {
	f.Helper()
	for _, h := range hubs {
		f.eventually("the hub has "+id, func() bool { return f.compare(h.LastID(), id) >= 0 })
	}
}

// eventually waits until done returns true.
func (f *fixture) eventually(what string, done func() bool) {
	f.Helper()
	hosttest.EventuallyWithin(f, patience, what, done)
}

// pass lets time pass while others work.
func pass(d time.Duration) { <-time.After(d) }

// judge compares what a client was sent with what is in the log after an ID, or from the
// client's first event on if after is empty. It returns what is wrong.
func (f *fixture) judge(c *client, log []message, after string) error {
	if len(c.seen) == 0 {
		return nil
	}
	next := 0 // the index of the next event, at least: messages of other topics may come before
	if after != "" {
		next = f.behind(log, after)
	} else if gap, ok := gapOf(c.seen[0]); !ok || gap.Reason != hub.GapRestarted {
		next = f.behind(log, c.seen[0].ID) - 1
	}
	for i, e := range c.seen {
		var err error
		switch gap, ok := gapOf(e); {
		case !ok:
			next, err = f.judgeEvent(c, log, next, e)
		case gap.Through != e.ID:
			err = fmt.Errorf("a gap through %s with the ID %s", gap.Through, e.ID)
		case i > 0 || after != "":
			next, err = f.judgeGap(c, log, next, gap)
		default:
			next = f.behind(log, gap.Through)
		}
		if err != nil {
			return fmt.Errorf("event %d of %d: %w: %s", i, len(c.seen), err, f.context(c, i))
		}
	}
	return nil
}

// judgeEvent judges one event, and returns the index of what comes after it.
func (f *fixture) judgeEvent(c *client, log []message, next int, e core.Event) (int, error) {
	at := f.behind(log, e.ID) - 1
	switch {
	case at < 0 || log[at].id != e.ID:
		return 0, fmt.Errorf("the log does not have %+v", e)
	case log[at].data != e.Data:
		return 0, fmt.Errorf("got data %q, want %q", e.Data, log[at].data)
	case at < next:
		return 0, errors.New("it came again, or too late")
	case !wants(c.names, log[at].topic):
		return 0, fmt.Errorf("it is of topic %s", log[at].topic)
	}
	return at + 1, missing(c, log, next, at)
}

// judgeGap judges a gap. The client must have had everything before it.
func (f *fixture) judgeGap(c *client, log []message, next int, gap hub.Gap) (int, error) {
	through := f.behind(log, gap.Through)
	if through < next {
		return 0, errors.New("the gap includes events that the client has had")
	}
	return through, missing(c, log, next, f.behind(log, gap.After))
}

// missing returns an error if the client should have been sent something between two
// indices.
func missing(c *client, log []message, from, to int) error {
	for i := from; i < to; i++ {
		if m := log[i]; wants(c.names, m.topic) && !replaced(log, i) {
			return fmt.Errorf("%s %.60q is missing before it", m.id, m.data)
		}
	}
	return nil
}

// context shows the events around one.
func (f *fixture) context(c *client, i int) string {
	var text strings.Builder
	for j := max(0, i-2); j < min(len(c.seen), i+2); j++ {
		fmt.Fprintf(&text, "%d: %s %.60q on connection %d; ", j, c.seen[j].ID, c.seen[j].Data, c.where[j])
	}
	return text.String()
}

// behind returns how many of the messages are not after an ID.
func (f *fixture) behind(log []message, id string) int {
	n, _ := slices.BinarySearchFunc(log, id, func(m message, id string) int {
		if f.compare(m.id, id) <= 0 {
			return -1
		}
		return 1
	})
	return n
}

// replaced reports whether a later message of its key replaces message i.
func replaced(log []message, i int) bool {
	m := log[i]
	return m.key != "" && slices.ContainsFunc(log[i+1:], func(later message) bool {
		return later.key == m.key && later.topic == m.topic
	})
}

// wants reports whether one of the names matches a topic.
func wants(names []string, topics ...string) bool {
	return slices.ContainsFunc(topics, func(topic string) bool { return matchesAny(names, topic) })
}

func matchesAny(names []string, topic string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		tokens, rest := strings.Split(topic, "."), name
		for i := range tokens {
			var token string
			token, rest, _ = strings.Cut(rest, ".")
			switch {
			case token == ">":
				return true
			case token != "*" && token != tokens[i]:
				return false
			}
		}
		return rest == ""
	})
}
