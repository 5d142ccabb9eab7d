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

func checkExpiry(t testing.TB, h mounted) {
	h.again(t, func(t testing.TB) { expire(t, h) })
}

// expire has the credential of each path expire at another time.
func expire(t testing.TB, h mounted) {
	t.Helper()
	causes := make(chan error, 1)
	s := h.serve(t, map[string]View{"/soon": idle(causes), "/never": works, "/over": works},
		core.WithExpiry(func(ctx context.Context) time.Time {
			switch core.RequestOf(ctx).Path {
			case "/soon":
				return time.Now().Add(300 * time.Millisecond)
			case "/over":
				return time.Now().Add(-time.Second)
			default:
				return time.Time{}
			}
		}))
	ssetest.Equal(t, s.open("/soon").All(), nil)
	wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), core.ErrExpired)
	wantCause(t, s.end().Cause, core.ErrExpired)
	ssetest.Equal(t, s.open("/never").All(), []core.Event{{Data: "yes"}})
	s.end()
	over := s.request("/over").Open(t)
	if over.Status != http.StatusUnauthorized || over.Header.Get("Retry-After") != "" {
		t.Errorf("got status %d and Retry-After %q, want 401 and none", over.Status, over.Header["Retry-After"])
	}
	wantNoStream(t, over)
	over.Body()
}

// Whether a stream may continue is asked in the session's context, and nothing waits for the
// answer.
func checkRecheck(t testing.TB, h mounted) {
	asked, answers := make(chan core.Request), make(chan error)
	blocked := errors.New("blocked")
	causes, goAhead := make(chan error, 1), make(chan struct{})
	s := h.serve(t, map[string]View{"/": idle(causes), "/steps": steps(goAhead)},
		core.WithRecheck(10*time.Millisecond, func(ctx context.Context) error {
			select {
			case asked <- core.RequestOf(ctx):
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
	st := s.open("/")
	for i := range 3 {
		if got := hosttest.ReceiveWithin(t, h.timeout, asked, "the question"); got.Path != "/" {
			t.Errorf("got asked about %+v, want the path /", got)
		}
		if i < 2 {
			answers <- nil
		}
	}
	answers <- blocked
	ssetest.Equal(t, st.All(), nil)
	wantCause(t, hosttest.ReceiveWithin(t, h.timeout, causes, "the cause"), blocked)
	wantCause(t, s.end().Cause, blocked)

	st = s.open("/steps")
	hosttest.ReceiveWithin(t, h.timeout, asked, "the question")
	for n := range 3 { // events come although there is no answer
		s.pass(goAhead)
		ssetest.Equal(t, st.Collect(1), numbered(n+1, n+1))
	}
	st.Close()
	wantCause(t, s.end().Cause, core.ErrClientGone)
}
