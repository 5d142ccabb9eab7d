// Package presencetest has the suite that a presence.Tracker passes on any log that several
// processes share.
package presencetest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/presence"
)

const (
	topic    = "room"
	lease    = 3 * time.Second
	patience = time.Minute
)

// Run tests Trackers on the log of a server that start starts, until the end of its test.
func Run(t *testing.T, start func(t testing.TB) hubtest.Server) {
	t.Helper()
	for name, check := range map[string]func(t *testing.T, s hubtest.Server){
		"join and leave": joinAndLeave,
		"death":          death,
		"kick":           kick,
		"large":          large,
		"restart":        restart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, start(t))
		})
	}
}

// A process has a Tracker.
type process struct {
	*presence.Tracker

	t   *testing.T
	die func()
}

func begin(t *testing.T, s hubtest.Server, opts ...presence.Option) process {
	t.Helper()
	l, die := s.Open(t, s.Addr)
	p := process{presence.New(append([]presence.Option{presence.WithLog(l), presence.WithLease(lease)}, opts...)...), t, die}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.Shutdown(ctx) // the log may be gone
		die()
	})
	return p
}

func (p process) join(key string, info any) (leave func()) {
	p.t.Helper()
	leave, err := p.Join(context.Background(), topic, key, info)
	if err != nil {
		p.t.Fatal(err)
	}
	return leave
}

// until waits until a client of the process is told that these keys are there, and nobody else, and
// if current, that this is certain.
func (p process) until(current bool, want ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var c client
	for e, err := range p.Stream(ctx, topic) {
		if err == nil {
			err = c.receive(e)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if current && !c.current || c.members == nil || len(c.members) != len(want) {
			continue
		}
		if got := slices.Sorted(maps.Values(c.members)); slices.Equal(got, want) {
			return
		}
	}
	p.t.Fatalf("got %d members, current: %v, %v; want %d", len(c.members), c.current, p.Healthy(), len(want))
}

// untilStale waits until a client of the process is told that what it has is stale.
func (p process) untilStale() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range p.Stream(ctx, topic) {
		if err == nil && e.Type == "stale" {
			return
		}
	}
	p.t.Fatal("a client is not told that what it has is stale")
}

// A client knows who is there.
type client struct {
	members map[string]string // keys, by ID; nil before there is a complete list
	next    map[string]string // a list that is not complete yet
	current bool
}

func (c *client) receive(e core.Event) error {
	var data struct {
		presence.Member

		First   bool              `json:"first"`
		Last    bool              `json:"last"`
		Members []presence.Member `json:"members"`
	}
	if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
		return err
	}
	switch e.Type {
	case "members":
		if data.First {
			c.next = make(map[string]string)
		}
		for _, m := range data.Members {
			c.next[m.ID] = m.Key
		}
	case "current", "stale":
		if data.Last {
			c.members = c.next
		}
		c.current = e.Type == "current"
	case "join":
		c.members[data.ID] = data.Key
	case "leave":
		delete(c.members, data.ID)
	default:
		return fmt.Errorf("got an event of type %q", e.Type)
	}
	return nil
}

func joinAndLeave(t *testing.T, s hubtest.Server) {
	a, b := begin(t, s), begin(t, s)
	leave := a.join("ann", map[string]string{"name": "Ann <é>"})
	b.join("bob", nil)
	a.until(true, "ann", "bob")
	b.until(true, "ann", "bob")
	for m := range b.Members(topic) {
		if want := `{"name":"Ann \u003cé\u003e"}`; m.Key == "ann" && string(m.Info) != want {
			t.Errorf("got the info %s, want %s", m.Info, want)
		}
	}
	c := begin(t, s)
	c.until(true, "ann", "bob")
	leave()
	for _, p := range []process{a, b, c} {
		p.until(true, "bob")
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	a.until(true)
	c.until(true)
}

func death(t *testing.T, s hubtest.Server) {
	a, b := begin(t, s), begin(t, s)
	a.join("ann", nil)
	b.join("bob", nil)
	b.until(true, "ann", "bob")
	a.die()
	b.until(true, "bob")
}

func kick(t *testing.T, s hubtest.Server) {
	key := func(context.Context) string { return "ann" }
	groups := []*core.Group{{Key: key}, {Key: key}}
	var all []process
	var sessions []*host.Session
	for i, g := range groups {
		p := begin(t, s, presence.WithGroup(g))
		all = append(all, p)
		p.join(fmt.Sprint(i), nil)
		session, err := host.NewSession(context.Background(), core.Request{}, core.WithGroup(g))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close(nil)
		sessions = append(sessions, session)
	}
	for _, p := range all { // they hear of each other
		p.until(false, "0", "1")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := all[0].Kick(ctx, "ann", "spam"); err != nil {
		t.Fatal(err)
	}
	for i, session := range sessions {
		select {
		case <-session.Context().Done():
		case <-ctx.Done():
			t.Errorf("session %d has not ended", i)
		}
	}
}

func large(t *testing.T, s hubtest.Server) {
	const n = 5000
	a, b := begin(t, s), begin(t, s)
	a.until(true)
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("%04d", i)
	}
	var joins sync.WaitGroup
	for part := range slices.Chunk(want, n/10) {
		joins.Go(func() {
			for _, key := range part {
				a.join(key, nil)
			}
		})
	}
	joins.Wait()
	b.until(true, want...)
	begin(t, s).until(true, want...)
}

func restart(t *testing.T, s hubtest.Server) {
	if s.Kill == nil {
		t.Skip("the server cannot be killed")
	}
	a, b := begin(t, s), begin(t, s)
	leave := a.join("ann", nil)
	b.join("bob", nil)
	a.until(true, "ann", "bob")
	b.until(true, "ann", "bob")
	s.Kill()
	leave()
	a.join("amy", nil)
	b.untilStale()
	if n := b.Len(topic); n != 2 {
		t.Errorf("without the log: got %d members, want 2", n)
	}
	s.Restart()
	a.until(true, "amy", "bob")
	b.until(true, "amy", "bob")
}
