package core

import (
	"container/list"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/internal/config"
)

// A Group is a set of live sessions, to limit, count, list and end them. Sessions
// join it through [WithGroup]. The zero Group is ready to use. Set its fields before the
// first session joins. Its methods may be called by any goroutine at any time. It must not
// be copied after first use.
//
// A session joins before its view runs, and leaves when its generator has returned. A
// request that a limit refuses gets a Retry-After, but an EventSource does not try again,
// so its page has to.
type Group struct {
	// Limit is how many sessions there may be at once. A request beyond it is
	// refused with 503 and [ErrGroupFull]. Zero or less means no limit.
	Limit int

	// Rate is how many sessions may begin in a second: at once, or one after the other.
	// A request beyond it is refused with 503 and [ErrRate]. Zero or less means no limit.
	Rate int

	// Key returns what a session belongs to, such as a user, a tenant or an address, for
	// KeyLimit and End. A session with an empty key has no such limit. ctx is the
	// session's: it has the values of the request's context, and [RequestOf] tells what
	// the request was. Requests call Key at the same time. If it panics, its request fails
	// as if the view had panicked. With a nil Key, all keys are empty.
	Key func(ctx context.Context) string

	// KeyLimit is how many sessions of the same key there may be at once. A request
	// beyond it is refused with 429 and [ErrKeyFull]. Zero or less means no limit.
	KeyLimit int

	// Evict ends the oldest session of a key with [ErrEvicted] when there is one beyond
	// KeyLimit, instead of refusing the new one. The response ends cleanly, and an
	// EventSource reconnects, which evicts another one: pages that are open at the same
	// time must not be more than KeyLimit. A session that has been ended still counts for
	// Limit until its generator has returned. With several groups, put this one last: another
	// group may refuse the request after this one has made room for it.
	Evict bool

	mu       sync.Mutex
	sessions map[config.Member]struct{}
	most     int                             // how many sessions there have been at once
	keyed    map[config.Member]*list.Element // the sessions with a key, in the lists of keys
	keys     map[string]*list.List           // the seats of each key, oldest first
	spent    time.Time                       // until when the rate is used up
	closing  bool
	empty    chan struct{} // closed when the last session leaves; nil if nobody waits for that
}

// A seat is the place that a session takes of its key's.
type seat struct {
	key    string
	member config.Member
}

// Len returns how many sessions there are.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// A Member is a session of a [Group], as it was when it was listed.
type Member struct {
	ID      uint64 // of the session: no other one of this process has it, and a later one has a greater one
	Key     string // see [Group.Key]
	Request Request
	Opened  time.Time // when the response began; zero if it has not
	Events  int       // events taken from the generator
	Bytes   int64     // bytes passed to the host, perhaps compressed, heartbeats included

	// LastEvent is when events were last sent; zero if none were. An event that waits for
	// the flush window to end has not been sent yet.
	LastEvent time.Time

	// Behind is for how long the host has not accepted what is being sent, because neither
	// the client nor a proxy before it has accepted what came before. At zero nothing
	// waits, but the last few hundred kB may be in the buffers of kernels and proxies:
	// nobody on this side knows what a client has read.
	Behind time.Duration

	session config.Member
}

// End ends the session cleanly, as [Group.End] does.
func (m Member) End(cause error) {
	if m.session != nil {
		end(m.session, cause)
	}
}

// Members lists the sessions, in no particular order. No lock is held while the loop's body
// runs, which may call the group's methods, so sessions come and go during the loop: one
// that begins or ends meanwhile may be listed or not.
func (g *Group) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		batch := make([]seat, 0, min(len(g.sessions), membersAtOnce))
		list := func() bool {
			for _, s := range batch {
				if !yield(memberOf(s.member, s.key)) {
					return false
				}
			}
			return true
		}
		for m := range g.sessions {
			s := seat{member: m}
			if e := g.keyed[m]; e != nil {
				s.key = seatOf(e).key
			}
			if batch = append(batch, s); len(batch) == cap(batch) {
				if !g.unlocked(list) {
					return
				}
				batch = batch[:0]
			}
		}
		g.unlocked(list)
	}
}

// membersAtOnce is how many sessions are looked up under the lock at once. With only one, a
// list of many takes long while sessions come and go: each of its locks waits for its turn.
const membersAtOnce = 256

// unlocked calls f without the lock.
func (g *Group) unlocked(f func() bool) bool {
	g.mu.Unlock()
	defer g.mu.Lock()
	return f()
}

func memberOf(s config.Member, key string) Member {
	p := s.Progress()
	return Member{
		ID: p.ID, Key: key, Request: RequestOf(s.Context()),
		Opened: p.Opened, Events: p.Events, Bytes: p.Bytes, LastEvent: p.LastEvent, Behind: p.Behind,
		session: s,
	}
}

// End ends all sessions of a key, and returns their number. Their contexts end with cause,
// or with [ErrEvicted] if it is nil, and so does [Summary.Cause]. The responses end cleanly,
// so a client may come back: whatever lets it in must have changed before. A request whose
// response has not begun is refused as by [Refuse]. End does not wait for the generators.
// For an empty key it does nothing.
func (g *Group) End(key string, cause error) int {
	g.mu.Lock()
	seats := g.keys[key]
	delete(g.keys, key)
	g.mu.Unlock()
	if seats == nil {
		return 0
	}
	n := 0
	for e := seats.Front(); e != nil; e = e.Next() {
		end(seatOf(e).member, cause)
		n++
	}
	return n
}

func end(m config.Member, cause error) {
	if cause == nil {
		cause = ErrEvicted
	}
	m.End(cause, 0)
}

// Shutdown ends all sessions with [ErrShutdown], refuses new ones, and waits until the
// generators have returned. Each client is sent a reconnection time between 1 and 5 s,
// evenly spread, and then a clean end.
//
// If ctx ends first, Shutdown returns an error that wraps the cause of that. The
// remaining sessions still end.
//
// The host writes the end of a response, so shut the server down after the group.
func (g *Group) Shutdown(ctx context.Context) error {
	members, empty := g.close()
	dismiss(members)
	return g.wait(ctx, empty, "shutdown", len(members))
}

// Drain is a Shutdown that takes its time, for a machine that leaves while others stay: it
// ends the sessions one by one, evenly over a window, so that their clients do not arrive
// at the other machines together. Each client is sent a reconnection time of 500 ms, the
// least that browsers agree on. Drain returns when the generators have returned.
//
// New sessions are refused from the beginning, and an EventSource does not try again after
// that: first make sure that new requests go to other machines.
//
// If ctx ends first, Drain ends the remaining sessions at once, as Shutdown does, and returns
// an error that wraps the cause of that and tells their number.
func (g *Group) Drain(ctx context.Context, over time.Duration) error {
	members, empty := g.close()
	begin, n := time.Now(), len(members)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, m := range members {
		at := time.Duration(float64(over) * float64(i) / float64(n))
		if wait := at - time.Since(begin); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-empty:
				return nil
			case <-ctx.Done():
				rest := g.among(members[i:])
				dismiss(rest)
				return fmt.Errorf("core: drain: %d of %d streams were ended at once: %w", len(rest), n, context.Cause(ctx))
			}
		}
		m.End(ErrShutdown, soon)
		members[i] = nil
	}
	return g.wait(ctx, empty, "drain", n)
}

// Wait waits until there are no sessions. It ends none and refuses none, so it is for those
// that end by themselves: the streams of runs that have finished, whose clients still
// receive the last events. If ctx ends first, Wait returns an error that wraps the cause of
// that and tells how many sessions there are.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	empty := g.emptied()
	g.mu.Unlock()
	if empty == nil {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("core: wait: %d of the group's streams have not ended: %w", g.Len(), context.Cause(ctx))
	}
}

// soon is the reconnection time of clients that another machine waits for. Firefox makes
// 500 ms of anything less.
const soon = 500 * time.Millisecond

// close refuses new sessions, and returns those that there are, and a channel that is
// closed when the last of them has left.
func (g *Group) close() (members []config.Member, empty <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	members = make([]config.Member, 0, len(g.sessions))
	for s := range g.sessions {
		members = append(members, s)
	}
	return members, g.emptied()
}

// emptied returns a channel that is closed when the last session has left, or nil if there
// are none. The group is locked.
func (g *Group) emptied() <-chan struct{} {
	if g.empty == nil && len(g.sessions) > 0 {
		g.empty = make(chan struct{})
	}
	return g.empty
}

// among returns those of members that have not left.
func (g *Group) among(members []config.Member) []config.Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(members, func(m config.Member) bool {
		_, ok := g.sessions[m]
		return !ok
	})
}

// dismiss ends sessions at once, and tells their clients to come back one after the other.
func dismiss(members []config.Member) {
	for i, m := range members {
		m.End(ErrShutdown, config.ReturnFrom+config.ReturnSpread*time.Duration(i)/time.Duration(len(members)))
	}
}

// wait waits until the last of n sessions has left.
func (g *Group) wait(ctx context.Context, empty <-chan struct{}, what string, n int) error {
	if n == 0 {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("core: %s: %d of %d streams have not ended: %w", what, g.Len(), n, context.Cause(ctx))
	}
}

// A group that has had more than keptSessions sessions at once drops its maps when the last one
// leaves.
const keptSessions = 1 << 10

// A membership is a Group as sessions see it.
type membership struct{ *Group }

// Join implements [config.Group].
func (g membership) Join(m config.Member) error {
	key := ""
	if g.Key != nil {
		key = g.Key(m.Context())
	}
	evicted, err := g.join(m, key)
	if evicted != nil {
		evicted.End(ErrEvicted, 0)
	}
	return err
}

// join adds m, or returns why not. If it returns another session, that one has lost its
// place to m.
func (g membership) join(m config.Member, key string) (evicted config.Member, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := key != "" && g.KeyLimit > 0 && g.keys[key] != nil && g.keys[key].Len() >= g.KeyLimit
	switch {
	case g.closing:
		return nil, ErrShutdown
	case g.Limit > 0 && len(g.sessions) >= g.Limit:
		return nil, ErrGroupFull
	case full && !g.Evict:
		return nil, ErrKeyFull
	case g.Rate > 0 && !g.spend(time.Now()):
		return nil, ErrRate
	}
	if g.sessions == nil {
		g.sessions = make(map[config.Member]struct{})
	}
	g.sessions[m] = struct{}{}
	g.most = max(g.most, len(g.sessions))
	if key == "" {
		return nil, nil
	}
	if full {
		oldest := g.keys[key].Front()
		evicted = seatOf(oldest).member
		g.keys[key].Remove(oldest)
	}
	g.sit(m, key)
	return evicted, nil
}

// spend takes one session of the rate, or reports that none is left. What is spent comes
// back at the rate, up to what a second brings.
func (g *Group) spend(now time.Time) bool {
	if g.spent.Before(now) {
		g.spent = now
	}
	each := time.Second / time.Duration(g.Rate)
	if g.spent.Sub(now) > time.Second-each {
		return false
	}
	g.spent = g.spent.Add(each)
	return true
}

func (g *Group) sit(m config.Member, key string) {
	if g.keys == nil {
		g.keys = make(map[string]*list.List)
		g.keyed = make(map[config.Member]*list.Element)
	}
	if g.keys[key] == nil {
		g.keys[key] = list.New()
	}
	g.keyed[m] = g.keys[key].PushBack(&seat{key, m})
}

func seatOf(e *list.Element) *seat { return e.Value.(*seat) } //nolint:forcetypeassert // the lists' only type

// Leave implements [config.Group].
func (g membership) Leave(m config.Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, m)
	if e := g.keyed[m]; e != nil {
		g.rise(m, e)
	}
	if len(g.sessions) == 0 && g.most > keptSessions {
		g.sessions, g.keyed, g.keys, g.most = nil, nil, nil, 0 // a map does not give its memory back
	}
	if len(g.sessions) == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// rise frees m's seat, unless it has lost it already.
func (g *Group) rise(m config.Member, e *list.Element) {
	delete(g.keyed, m)
	key := seatOf(e).key
	if seats := g.keys[key]; seats != nil {
		seats.Remove(e) // does nothing if e is not in it
		if seats.Len() == 0 {
			delete(g.keys, key)
		}
	}
}
