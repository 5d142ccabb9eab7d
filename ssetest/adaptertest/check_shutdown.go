package adaptertest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

func checkShutdown(t testing.TB, h mounted) {
	h.again(t, func(t testing.TB) { // it may take long
		t.Helper()
		shutDown(t, h)
	})
}

func shutDown(t testing.TB, h mounted) {
	t.Helper()
	ssetest.NoLeaks(t, h.Ignore...)
	const size = 100
	causes := make(chan error, size)
	s := h.serve(t, map[string]View{"/": idle(causes)})
	streams := make([]*ssetest.Stream, size)
	for i := range streams {
		streams[i] = s.open("/")
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	begin, stopped := time.Now(), make(chan struct{})
	go func() {
		defer close(stopped)
		if err := s.shutdown(ctx); err != nil {
			t.Errorf("the host's shutdown: %v", err)
		}
		if d := time.Since(begin); d > h.timeout/2 {
			t.Errorf("the host's shutdown took %v, want less than %v", d, h.timeout/2)
		}
	}()
	if h.protocol == HTTP3 { // its server waits for the clients
		defer func() { <-stopped }()
	} else {
		<-stopped
	}
	for _, st := range streams {
		wantFarewell(t, st)
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrShutdown)
		wantCause(t, s.end().Cause, core.ErrShutdown)
	}
}

// wantFarewell reads a stream to its clean end. A reconnection time from 1 to 5 s must
// come before it.
func wantFarewell(t testing.TB, s *ssetest.Stream) (retry time.Duration) {
	t.Helper()
	got := s.All()
	if len(got) != 1 || got[0] != (core.Event{Retry: got[0].Retry}) {
		t.Fatalf("got %+v before the end, want one reconnection time", got)
	}
	if retry = got[0].Retry; retry < time.Second || retry > 5*time.Second {
		t.Errorf("got a reconnection time of %v, want 1 s to 5 s", retry)
	}
	return retry
}

// wantRefusal sends a request that must be refused with 503.
func (s *server) wantRefusal(path string) (body string) {
	s.t.Helper()
	return s.wantStatus(path, http.StatusServiceUnavailable)
}

// wantStatus sends a request that must be refused with this status for a while, and returns
// the answer's body.
func (s *server) wantStatus(path string, status int) (body string) {
	s.t.Helper()
	st := s.request(path).Open(s.t)
	if st.Status != status {
		s.t.Errorf("got status %d, want %d", st.Status, status)
	}
	wantNoStream(s.t, st)
	if after, err := strconv.Atoi(st.Header.Get("Retry-After")); err != nil || after < 1 || after > 5 {
		s.t.Errorf("got Retry-After %q, want 1 to 5 seconds", st.Header["Retry-After"])
	}
	return st.Body()
}

func checkGroupLimit(t testing.TB, h mounted) {
	group := &core.Group{Limit: 2}
	causes, views := make(chan error, 10), make(chan struct{}, 10)
	view := idle(causes)
	s := h.serve(t, map[string]View{"/": func(ctx context.Context, x Exchange) core.Stream {
		views <- struct{}{}
		return view(ctx, x)
	}}, core.WithGroup(group))
	first, second := s.open("/"), s.open("/")
	s.wantRefusal("/")
	if got := len(views); got != 2 {
		t.Errorf("the view ran %d times, want 2: it must not run for a request that is refused", got)
	}
	if got := group.Len(); got != 2 {
		t.Errorf("got %d sessions in the group, want 2", got)
	}
	first.Close()
	hosttest.EventuallyWithin(t, h.timeout, "the group has a place again", func() bool { return group.Len() == 1 })
	s.open("/")
	s.wantRefusal("/")
	s.ledger.wantRefused(t, 503, 503)
	second.Close()
}

// A stream that ends before its response begins is refused, whatever ends it.
func checkRefusals(t testing.TB, h mounted) {
	group, runs := new(core.Group), new(atomic.Int32)
	never := func(func(core.Event, error) bool) { runs.Add(1) }
	s := h.serve(t, map[string]View{
		"/works": works,
		"/refused": func(ctx context.Context, _ Exchange) core.Stream {
			core.Refuse(ctx, errors.New("db.internal does not answer"))
			return never
		},
		"/told": func(ctx context.Context, _ Exchange) core.Stream {
			core.Refuse(ctx, &core.RefusedError{Status: 409, Message: "sold out", Err: errors.New("db.internal says so")})
			return never
		},
		"/over": func(ctx context.Context, _ Exchange) core.Stream {
			core.Refuse(ctx, &core.RefusedError{Status: 204, Err: errors.New("nothing more comes")})
			return never
		},
		"/ended": func(ctx context.Context, _ Exchange) core.Stream {
			for m := range group.Members() {
				m.End(errors.New("db.internal says so"))
			}
			return never
		},
		"/shutdown": func(ctx context.Context, _ Exchange) core.Stream {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = group.Shutdown(ended) // it does not wait for this session
			return never
		},
	}, core.WithGroup(group))
	if body := s.wantRefusal("/refused"); strings.Contains(body, "db.internal") {
		t.Errorf("the client is told an error that was not written for it: %q", body)
	}
	s.works()
	if body := s.request("/told").Open(t).Body(); !strings.Contains(body, "sold out") || strings.Contains(body, "db.internal") {
		t.Errorf("refused with a Message: the client is told %q, want only the Message", body)
	}
	s.works()
	nothing := s.request("/over").Open(t)
	if body := nothing.Body(); nothing.Status != http.StatusNoContent || body != "" {
		t.Errorf("refused with status 204: got %d and the body %q, want 204 and none", nothing.Status, body)
	}
	s.works()
	if body := s.wantRefusal("/ended"); strings.Contains(body, "db.internal") {
		t.Errorf("the client is told why it was ended: %q", body)
	}
	s.works()
	s.wantRefusal("/shutdown")
	s.ledger.wantRefused(t, 503, 409, 204, 503, 503)
	if got := runs.Load(); got != 0 {
		t.Errorf("the generator of a stream that was refused ran %d times", got)
	}
	hosttest.EventuallyWithin(t, h.timeout, "the group is empty", func() bool { return group.Len() == 0 })
}

func checkGroupShutdown(t testing.TB, h mounted) {
	const size = 10
	group := new(core.Group)
	causes := make(chan error, size)
	s := h.serve(t, map[string]View{"/": idle(causes)}, core.WithGroup(group))
	var streams []*ssetest.Stream
	for range size {
		streams = append(streams, s.open("/"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Errorf("the group's shutdown: %v", err)
	}
	if got := group.Len(); got != 0 {
		t.Errorf("got %d sessions after the shutdown, want 0", got)
	}
	var retries []time.Duration
	for _, st := range streams {
		retries = append(retries, wantFarewell(t, st))
		wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrShutdown)
	}
	slices.Sort(retries)
	if len(slices.Compact(slices.Clone(retries))) < size/2 || retries[size-1]-retries[0] < 2*time.Second {
		t.Errorf("got reconnection times %v, want them spread over seconds", retries)
	}
	s.wantRefusal("/")
}
