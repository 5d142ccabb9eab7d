package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/presence"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	ssetest.Main(m)
}

const lease = 15 * time.Second

// A link is a log as one process reaches it, or does not.
type link struct {
	hub.Log

	mu      sync.Mutex
	cut     bool
	slow    time.Duration // how long an append takes
	mute    bool          // appends work, and nothing comes
	lossy   bool          // changes do not come, and nobody is told
	changed chan struct{} // closed when cut or mute changes
	entries []hub.Entry   // that this process has added
}

var errCut = errors.New("the process cannot reach the log")

func (l *link) set(cut, mute bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.mute = cut, mute
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) state() (cut, mute bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut, l.mute, l.changed
}

func (l *link) Append(ctx context.Context, e hub.Entry) (string, error) {
	if cut, _, _ := l.state(); cut {
		return "", errCut
	}
	l.mu.Lock()
	l.entries = append(l.entries, e)
	slow := l.slow
	l.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return l.Log.Append(ctx, e)
}

func (l *link) Range(ctx context.Context, after string, n int) ([]hub.Entry, error) {
	if cut, _, _ := l.state(); cut {
		return nil, errCut
	}
	return l.Log.Range(ctx, after, n)
}

func (l *link) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	return func(yield func(hub.Entry, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		for e, err := range l.Log.Follow(inner, after) {
			cut, mute, changed := l.state()
			for mute && !cut && ctx.Err() == nil {
				select {
				case <-changed:
				case <-ctx.Done():
				}
				cut, mute, changed = l.state()
			}
			if cut {
				yield(hub.Entry{}, errCut)
				return
			}
			if err == nil && e.Event.Type == "change" && l.loses() {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (l *link) delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = d
}

func (l *link) lose(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = yes
}

func (l *link) loses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lossy
}

// sent returns how many events of some types this process has added, or of all, and the size of
// the largest.
func (l *link) sent(types ...string) (n, largest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if len(types) == 0 || slices.Contains(types, e.Event.Type) {
			n, largest = n+1, max(largest, len(e.Event.Data))
		}
	}
	return n, largest
}

// A process is a Tracker, and how it reaches the log.
type process struct {
	*presence.Tracker

	link *link
}

func start(t testing.TB, l hub.Log, opts ...presence.Option) process {
	t.Helper()
	p := process{link: &link{Log: l, changed: make(chan struct{})}}
	p.Tracker = presence.New(append([]presence.Option{presence.WithLog(p.link)}, opts...)...)
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) }) // of one that cannot reach the log, or was shut down
	return p
}

// join adds a member until the end of the test, or until leave is called.
func join(t testing.TB, p *presence.Tracker, topic, key string) (leave func()) {
	t.Helper()
	leave, err := p.Join(context.Background(), topic, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

// pause lets time pass in a bubble.
func pause(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// keys returns the keys of a topic's members, sorted.
func keys(p *presence.Tracker, topic string) []string {
	var all []string
	for m := range p.Members(topic) {
		all = append(all, m.Key)
	}
	slices.Sort(all)
	return all
}

// want checks who is there, in each of some processes.
func want(t testing.TB, topic string, keysThere []string, in ...process) {
	t.Helper()
	for i, p := range in {
		if got := keys(p.Tracker, topic); !slices.Equal(got, keysThere) {
			t.Errorf("process %d: got %q, want %q", i, got, keysThere)
		}
		if got := p.Len(topic); got != len(keysThere) {
			t.Errorf("process %d: got Len %d, want %d", i, got, len(keysThere))
		}
	}
}

// healthy checks what processes know.
func healthy(t testing.TB, yes bool, in ...process) {
	t.Helper()
	for i, p := range in {
		if err := p.Healthy(); (err == nil) != yes {
			t.Errorf("process %d: got %v, want healthy: %v", i, err, yes)
		}
	}
}

// A page is a client that follows a stream as docs/presence.md says.
type page struct {
	mu      sync.Mutex
	members map[string]presence.Member
	next    map[string]presence.Member // a list that is not complete yet
	current bool
	events  []string
	err     error
}

func newPage() *page { return &page{members: make(map[string]presence.Member)} }

// open opens a page until ctx ends. Let it end before the bubble does.
func open(ctx context.Context, p *presence.Tracker, topic string) *page {
	g := newPage()
	g.follow(p.Stream(ctx, topic))
	return g
}

func (g *page) follow(s core.Stream) {
	go func() {
		for e, err := range s {
			g.receive(e, err)
		}
	}()
}

func (g *page) receive(e core.Event, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.err = err
		return
	}
	line := e.Type
	switch e.Type {
	case "members":
		var list struct {
			First   bool              `json:"first"`
			Members []presence.Member `json:"members"`
		}
		g.err = errors.Join(g.err, json.Unmarshal([]byte(e.Data), &list))
		if list.First {
			g.next = make(map[string]presence.Member)
		}
		for _, m := range list.Members {
			g.next[m.ID] = m
		}
		line += fmt.Sprint(" ", len(list.Members))
	case "join", "leave":
		var m presence.Member
		g.err = errors.Join(g.err, json.Unmarshal([]byte(e.Data), &m))
		line += " " + m.Key
		_, there := g.members[m.ID]
		if there == (e.Type == "join") {
			g.err = errors.Join(g.err, fmt.Errorf("%s of %s, which is there: %v", e.Type, m.ID, there))
		}
		if e.Type == "join" {
			g.members[m.ID] = m
		} else {
			delete(g.members, m.ID)
		}
	case "current", "stale":
		var status struct {
			Last bool `json:"last"`
		}
		g.err = errors.Join(g.err, json.Unmarshal([]byte(e.Data), &status))
		if status.Last {
			g.members = g.next
		}
		g.current = e.Type == "current"
	}
	g.events = append(g.events, line)
}

// take returns the events that have come since the last call.
func (g *page) take() []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	events := g.events
	g.events = nil
	return events
}

func (g *page) keys() (all []string, current bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		all = append(all, m.Key)
	}
	slices.Sort(all)
	return all, g.current, g.err
}

// bubble runs a test in a bubble, with a log.
func bubble(t *testing.T, f func(t *testing.T, log *hubtest.MemoryLog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, new(hubtest.MemoryLog)) })
}
