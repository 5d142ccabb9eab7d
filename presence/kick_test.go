package presence_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/presence"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A site is a process with sessions: /ann is a session of ann.
type site struct {
	process

	group *core.Group
	url   string
	ends  chan error // the causes of sessions
}

func serve(t *testing.T, log hub.Log) *site {
	t.Helper()
	s := &site{ends: make(chan error, 10)}
	s.group = &core.Group{Key: func(ctx context.Context) string { return core.RequestOf(ctx).Path[1:] }}
	s.process = start(t, log, presence.WithGroup(s.group), presence.WithGroup(nil))
	s.url = ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		if _, err := s.Join(ctx, "x", r.URL.Path[1:], nil); err != nil {
			t.Error(err)
		}
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "hello"}, nil) {
				<-ctx.Done()
			}
			s.ends <- context.Cause(ctx)
		}
	}, core.WithGroup(s.group)))
	return s
}

func (s *site) open(t *testing.T, key string) *ssetest.Stream {
	t.Helper()
	stream := ssetest.Open(t, s.url+"/"+key)
	stream.Collect(1)
	return stream
}

// until waits until these keys are on topic x.
func until(t *testing.T, p *presence.Tracker, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g := newPage()
	for e, err := range p.Stream(ctx, "x") {
		g.receive(e, err)
		if got, _, _ := g.keys(); slices.Equal(got, want) {
			return
		}
	}
	got, _, err := g.keys()
	t.Fatalf("got %q, %v; want %q", got, err, want)
}

// Whoever is kicked loses the sessions in all processes, and nobody else does. Whoever comes
// again stays.
func TestKick(t *testing.T) {
	log := new(hubtest.MemoryLog)
	a, b := serve(t, log), serve(t, log)
	first, second, other := a.open(t, "ann"), b.open(t, "ann"), b.open(t, "bob")
	for _, s := range []*site{a, b} { // they hear of each other
		until(t, s.Tracker, "ann", "ann", "bob")
	}
	if err := a.Kick(t.Context(), "ann", "spam"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*ssetest.Stream{first, second} {
		if events := s.All(); len(events) != 0 {
			t.Errorf("got %v, want the end", events)
		}
	}
	for _, s := range []*site{a, b} {
		var kicked *presence.KickedError
		if err := <-s.ends; !errors.As(err, &kicked) || *kicked != (presence.KickedError{Key: "ann", Reason: "spam"}) {
			t.Errorf("got %v, want a KickedError", err)
		}
	}
	again := b.open(t, "ann")
	late := serve(t, log) // does not hear of the old kick
	newcomer := late.open(t, "ann")
	until(t, b.Tracker, "ann", "ann", "bob")
	if err := late.Kick(t.Context(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	other.All()
	if a.group.Len() != 0 || b.group.Len() != 1 || late.group.Len() != 1 {
		t.Errorf("got %d, %d and %d sessions, want 0, 1 and 1", a.group.Len(), b.group.Len(), late.group.Len())
	}
	again.Close()
	newcomer.Close()
}

// A host may use the memory of a key and a reason again for the next request.
func TestKickOwnsItsCause(t *testing.T) {
	group := &core.Group{Key: func(context.Context) string { return "ann" }}
	tracker := presence.New(presence.WithGroup(group))
	ends := make(chan error, 1)
	url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		ctx := r.Context()
		return func(yield func(core.Event, error) bool) {
			yield(core.Event{Data: "hello"}, nil)
			<-ctx.Done()
			ends <- context.Cause(ctx)
		}
	}, core.WithGroup(group)))
	s := ssetest.Open(t, url)
	s.Collect(1)
	memory := []byte("annspam")
	text := unsafe.String(&memory[0], len(memory)) //nolint:gosec // as fasthttp makes strings
	if err := tracker.Kick(t.Context(), text[:3], text[3:]); err != nil {
		t.Fatal(err)
	}
	s.All()
	copy(memory, "another")
	var kicked *presence.KickedError
	if err := <-ends; !errors.As(err, &kicked) || *kicked != (presence.KickedError{Key: "ann", Reason: "spam"}) {
		t.Errorf("got %v, want a KickedError for ann and spam", err)
	}
}

// A kick that the log does not have is an error.
func TestKickFails(t *testing.T) {
	log := new(hubtest.MemoryLog)
	a := serve(t, log)
	log.Fail(errCut)
	if err := a.Kick(t.Context(), "ann", ""); !errors.Is(err, errCut) {
		t.Errorf("got %v, want %v", err, errCut)
	}
}

func TestKickedError(t *testing.T) {
	for want, e := range map[string]*presence.KickedError{
		`presence: "ann" was kicked`:       {Key: "ann"},
		`presence: "ann" was kicked: spam`: {Key: "ann", Reason: "spam"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
