package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// The key of a group's sessions is their path.
func checkGroupKey(t testing.TB, h mounted) {
	blocked := errors.New("blocked")
	group := &core.Group{Key: func(ctx context.Context) string { return core.RequestOf(ctx).Path }, KeyLimit: 2}
	causes := make(chan error, 10)
	s := h.serve(t, map[string]View{"/": idle(causes), "/other": idle(causes)}, core.WithGroup(group))
	first, second, other := s.open("/"), s.open("/"), s.open("/other")
	s.wantStatus("/", http.StatusTooManyRequests)
	for m := range group.Members() {
		if m.Key != m.Request.Route || m.Opened.IsZero() || m.Bytes == 0 {
			t.Errorf("the group lists %+v, want a route that is also the key, and what has been sent", m)
		}
	}
	if got := group.End("/", blocked); got != 2 {
		t.Errorf("got %d sessions ended, want 2", got)
	}
	for _, st := range []*ssetest.Stream{first, second} {
		ssetest.Equal(t, st.All(), nil)
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), blocked)
		wantCause(t, s.end().Cause, blocked)
	}
	s.open("/").Close()
	s.end()
	other.Close()
	wantCause(t, s.end().Cause, core.ErrClientGone)
}

func checkEviction(t testing.TB, h mounted) {
	group := &core.Group{Key: func(context.Context) string { return "me" }, KeyLimit: 1, Evict: true}
	causes := make(chan error, 10)
	s := h.serve(t, map[string]View{"/": idle(causes)}, core.WithGroup(group))
	oldest := s.open("/")
	for range 3 {
		newest := s.open("/")
		ssetest.Equal(t, oldest.All(), nil)
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrEvicted)
		wantCause(t, s.end().Cause, core.ErrEvicted)
		oldest = newest
	}
}

func checkDrain(t testing.TB, h mounted) {
	const size = 5
	group := new(core.Group)
	causes := make(chan error, size)
	s := h.serve(t, map[string]View{"/": idle(causes)}, core.WithGroup(group))
	var streams []*ssetest.Stream
	for range size {
		streams = append(streams, s.open("/"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- group.Drain(ctx, 100*time.Millisecond) }()
	for _, st := range streams {
		ssetest.Equal(t, st.All(), []core.Event{{Retry: 500 * time.Millisecond}})
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrShutdown)
		wantCause(t, s.end().Cause, core.ErrShutdown)
	}
	if err := hosttest.ReceiveWithin(t, h.timeout, drained, "the end of the drain"); err != nil {
		t.Errorf("the drain: %v", err)
	}
	s.wantRefusal("/")
}
