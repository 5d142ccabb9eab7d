package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

const (
	stormEvents = 400       // the log's bound
	stormBytes  = 400 << 10 // the log's bound by bytes
	stormEnd    = "end"     // the last events of each topic
)

var (
	stormTopics = []string{"a", "b", "a.x", "a.y", "b.x", "a.x.z", "b.y.z", "p.1", "p.2"}
	stormNames  = append([]string{"*", ">", "a.*", "a.>", "*.x", "p.*", "b.>"}, stormTopics...)
)

// A storm is a hub under load, and a record of what was published to it.
type storm struct {
	hub   *hub.Hub
	epoch string
	url   string
	calm  context.Context //nolint:containedctx // ends when the publishers do

	mu        sync.Mutex
	published []stormEvent // by number; the zero event was not recorded yet
	complete  int          // all before it were recorded

	gaps, replaced, resumed, events atomic.Int64
}

type stormEvent struct {
	topic, key string
	data       uint64 // its hash
}

// A sighting is what a subscriber was sent.
type sighting struct {
	number int
	after  int // of a gap; -1 if it is an event
	latest int // the last event that was published by then, or later
	data   uint64
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

func (s *storm) number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, s.epoch))
	if err != nil {
		return -1
	}
	return n
}

func (s *storm) latest() int { return s.number(s.hub.LastID()) }

func (s *storm) publish(t *testing.T, topic, key, data string) {
	var opts []hub.PublishOption
	if key != "" {
		opts = append(opts, hub.WithKey(key))
	}
	id, err := s.hub.Publish(context.Background(), topic, core.Event{Data: data}, opts...)
	if err != nil {
		t.Errorf("publish: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.number(id)
	for len(s.published) <= n {
		s.published = append(s.published, stormEvent{})
	}
	s.published[n] = stormEvent{topic, key, hash(data)}
}

// publisher publishes in bursts until the storm is over.
func (s *storm) publisher(t *testing.T, rng *rand.Rand, name int) {
	filler := strings.Repeat("x", 8<<10)
	for i := 0; s.calm.Err() == nil; i++ {
		for range rng.IntN(40) {
			topic := stormTopics[rng.IntN(len(stormTopics))]
			key, size := "", rng.IntN(400)
			if topic[0] == 'p' && rng.IntN(5) > 0 {
				key = strconv.Itoa(rng.IntN(4))
			}
			if rng.IntN(200) == 0 {
				size = len(filler)
			}
			s.publish(t, topic, key, fmt.Sprint(name, i, filler[:size]))
		}
		select {
		case <-s.calm.Done():
		case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
		}
	}
}

// A follower is one subscriber over all its connections.
type follower struct {
	*storm
	rng    *rand.Rand
	names  []string
	overIP bool
	cursor string // its last event ID, empty before the first
	seen   []sighting
	ends   map[string]bool // topics whose last event it has seen
}

// follow plays one client after another.
func (s *storm) follow(t *testing.T, rng *rand.Rand, overIP bool) {
	for last := false; !last; {
		f := &follower{storm: s, rng: rng, overIP: overIP, ends: map[string]bool{}}
		for range 1 + rng.IntN(3) {
			f.names = append(f.names, stormNames[rng.IntN(len(stormNames))])
		}
		from := []string{"", oldest}[rng.IntN(2)]
		low, high := 0, 0 // bounds of the latest number when its first successful connection began
		for n, until := 0, 1+rng.IntN(30); !f.done(); n++ {
			last = s.calm.Err() != nil
			if n >= until && !last {
				break // the next client comes
			}
			before, begin := len(f.seen), s.latest()
			at, err := f.connect(from)
			if before == 0 { // without an ID each connection begins at the present
				low, high = begin, at
			}
			if err != nil {
				t.Errorf("connection %d of %v: %v", n, f.names, err)
				return
			}
			if n > 0 && len(f.seen) > before {
				s.resumed.Add(1)
			}
		}
		f.judge(t, from, low, high)
	}
}

// done reports whether it has seen the last event of all its topics.
func (f *follower) done() bool {
	for _, topic := range stormTopics {
		if matchesAny(f.names, topic) && !f.ends[topic] {
			return false
		}
	}
	return true
}

// connect is one connection. It returns the latest number at a time after it has
// subscribed.
func (f *follower) connect(from string) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if f.calm.Err() == nil && f.rng.IntN(2) == 0 { // leaves while it waits, or stalls
		defer time.AfterFunc(time.Duration(f.rng.IntN(300))*time.Millisecond, cancel).Stop()
	}
	if !f.overIP {
		if f.cursor != "" {
			from = f.cursor
		}
		s := f.hub.SubscribeFrom(ctx, positionOf(from), f.names...)
		return f.latest(), f.take(s, ctx)
	}
	where, err := url.Parse(f.url)
	if err != nil {
		return 0, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", where.Host)
	if err != nil {
		return f.latest(), ignoreEnd(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10) // small, but enough to need no zero-window probes
	query := url.Values{"topic": f.names, "from": {from}}
	if f.rng.IntN(2) == 0 {
		query.Set("detach", "")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	if f.cursor != "" {
		r.Header.Set("Last-Event-ID", f.cursor)
	}
	if err := r.Write(conn); err != nil {
		return f.latest(), ignoreEnd(ctx, err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), r) // no Close of its body, because that waits for its end
	if err != nil {
		return f.latest(), ignoreEnd(ctx, err)
	}
	return f.latest(), f.take(core.Read(resp.Body), ctx)
}

// ignoreEnd returns err, or nil if the follower itself has left.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// take takes events, stalls now and then, and leaves in the end.
func (f *follower) take(s core.Stream, ctx context.Context) error { //nolint:revive // the stream is what it is about
	until := 1 + f.rng.IntN(2000)
	for e, err := range s {
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		f.events.Add(1)
		seen := sighting{number: f.number(e.ID), after: -1, data: hash(e.Data), latest: f.latest()}
		if e.Type == "gap" {
			var gap hub.Gap
			gap, err = parseGap(e)
			if err != nil || gap.Reason != hub.GapDropped || gap.Through != e.ID {
				return fmt.Errorf("%+v is not a gap of a storm: %v", e, err)
			}
			seen.after = f.number(gap.After)
		}
		f.seen = append(f.seen, seen)
		f.cursor = e.ID
		if topic, ok := strings.CutPrefix(e.Data, stormEnd+" "); ok {
			f.ends[topic] = true
			if f.done() {
				return nil
			}
		}
		if until--; f.calm.Err() != nil {
			continue
		}
		if until <= 0 {
			return nil
		}
		if f.rng.IntN(300) == 0 { // stalls until much was published
			goal := f.latest() + f.rng.IntN(3*stormEvents)
			for f.latest() < goal && f.calm.Err() == nil && ctx.Err() == nil {
				select {
				case <-time.After(5 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}
	return nil
}

// judge compares what a follower was sent with what was published.
func (f *follower) judge(t *testing.T, from string, low, high int) {
	if len(f.seen) == 0 {
		return
	}
	hosttest.Eventually(t, "what it was sent is recorded", func() bool { return f.noted(f.seen[len(f.seen)-1].latest) })
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(i int, format string, args ...any) {
		t.Errorf("%v from %q, over IP %v, event %d of %d: %s; around it: %+v",
			f.names, from, f.overIP, i, len(f.seen), fmt.Sprintf(format, args...), f.seen[max(0, i-3):min(len(f.seen), i+3)])
	}
	cursor := f.seen[0].number - 1
	switch first := f.seen[0]; {
	case first.after >= 0:
		cursor = first.after
	case from == "":
		cursor = min(max(cursor, low), high)
	}
	if from == "" && (cursor < low || cursor > high) {
		fail(0, "began after %d, want from %d to %d", cursor, low, high)
	}
	for i, seen := range f.seen {
		if seen.number <= cursor {
			fail(i, "got %d after %d", seen.number, cursor)
			return
		}
		e := f.published[seen.number]
		if !matchesAny(f.names, e.topic) {
			fail(i, "got %d of %q", seen.number, e.topic)
		}
		if seen.after >= 0 {
			f.gaps.Add(1)
			if seen.after != cursor {
				fail(i, "got a gap after %d, want after %d", seen.after, cursor)
			}
			if held := seen.latest - seen.number; held < stormEvents/8 {
				fail(i, "got a gap through %d, with %d events after it: it could not have been dropped", seen.number, held)
			}
			cursor = seen.number
			continue
		}
		if seen.data != e.data {
			fail(i, "got other data than was published")
		}
		for n := cursor + 1; n < seen.number; n++ {
			if missing := f.published[n]; matchesAny(f.names, missing.topic) {
				if !f.wasReplaced(n, missing, seen.latest) {
					fail(i, "%d of %q is missing", n, missing.topic)
					return
				}
				f.replaced.Add(1)
			}
		}
		cursor = seen.number
	}
}

// noted reports whether all events up to that number are recorded.
func (s *storm) noted(latest int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.complete < len(s.published) && (s.complete == 0 || s.published[s.complete].topic != "") {
		s.complete++
	}
	return s.complete > latest
}

// wasReplaced reports whether another event of the same key came up to that number.
func (s *storm) wasReplaced(n int, e stormEvent, latest int) bool {
	for later := n + 1; e.key != "" && later <= latest; later++ {
		if other := s.published[later]; other.topic == e.topic && other.key == e.key {
			return true
		}
	}
	return false
}

// Publishers at work, and subscribers that come, go, stall and resume at random:
// what each was sent is whole, in order and without a repeat, or has a gap exactly
// where events were lost.
func TestStorm(t *testing.T) {
	ssetest.NoLeaks(t)
	const publishers, followers = 4, 20
	first := seed(t)
	duration := time.Duration(hosttest.Rounds(6)) * time.Second
	if v := os.Getenv("YIELDSSE_STORM"); v != "" {
		var err error
		if duration, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	calm, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	h := hub.New(hub.WithMaxEvents(stormEvents), hub.WithMaxBytes(stormBytes))
	hub.SetStep(h, 20) //nolint:mnd // so that everybody comes between everybody's steps
	s := &storm{
		hub: h, epoch: strings.TrimSuffix(h.LastID(), "0"), url: serve(t, h, core.WithWriteTimeout(0)), calm: calm,
	}
	random := func(i int) *rand.Rand { return rand.New(rand.NewPCG(first, uint64(i))) } //nolint:gosec // to be replayed
	var publishing, following sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() { s.publisher(t, random(i), i) })
	}
	for i := range followers {
		following.Go(func() { s.follow(t, random(100+i), i%2 == 0) })
	}
	publishing.Go(func() { // ends streams of others
		for rng := random(200); calm.Err() == nil; {
			select {
			case <-calm.Done():
			case <-time.After(time.Duration(rng.IntN(200)) * time.Millisecond):
				h.Kick(stormNames[rng.IntN(len(stormNames))])
				_ = h.Topics()
			}
		}
	})
	publishing.Wait()
	done := make(chan struct{})
	go func() { following.Wait(); close(done) }()
	for ended := false; !ended; { // again and again, because some have only just come
		for _, topic := range stormTopics {
			s.publish(t, topic, "", stormEnd+" "+topic)
		}
		select {
		case <-done:
			ended = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Logf("%d events were published, %d received, %d skipped for a later one of their key; %d gaps, %d resumptions",
		len(s.published), s.events.Load(), s.replaced.Load(), s.gaps.Load(), s.resumed.Load())
	for what, n := range map[string]*atomic.Int64{"gaps": &s.gaps, "events that were replaced": &s.replaced, "resumptions": &s.resumed} {
		if n.Load() == 0 && duration >= 5*time.Second { // less may be too little on a busy machine
			t.Errorf("the storm had no %s", what)
		}
	}
	if err := h.Shutdown(soon(t)); err != nil {
		t.Error(err)
	}
	for _, name := range stormNames {
		if got := h.Len(name); got != 0 {
			t.Errorf("got Len(%q) = %d after the storm, want 0", name, got)
		}
	}
}
