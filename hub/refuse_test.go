package hub_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A client that comes after a shutdown is refused, and told when to come back.
func TestRefusesAfterShutdown(t *testing.T) {
	for name, opts := range map[string][]hub.Option{"memory": nil, "log": {hub.WithLog(new(hubtest.MemoryLog))}} {
		t.Run(name, func(t *testing.T) {
			h := hub.New(opts...)
			urls := make(map[string]string)
			for way, query := range ways {
				urls[way] = serve(t, h) + "topic=a" + query
			}
			if err := h.Shutdown(soon(t)); err != nil {
				t.Fatal(err)
			}
			for way, url := range urls {
				s := ssetest.Open(t, url)
				after, err := strconv.Atoi(s.Header.Get("Retry-After"))
				if s.Status != http.StatusServiceUnavailable || err != nil || after < 1 {
					t.Errorf("%s: got status %d and Retry-After %q, want 503 and some seconds", way, s.Status, s.Header.Get("Retry-After"))
				}
			}
		})
	}
}

// A stream that was made before the shutdown, and runs after it, has not given its
// client what was published before: it does not look whole.
func TestShutdownBeforeTheStreamRuns(t *testing.T) {
	for name, opts := range map[string][]hub.Option{"memory": nil, "log": {hub.WithLog(new(hubtest.MemoryLog))}} {
		t.Run(name, func(t *testing.T) {
			for way, query := range ways {
				hooks := func(context.Context, string) { t.Errorf("%s: a hook was called", way) }
				h := hub.New(append(opts, hub.WithJoin(hooks), hub.WithLeave(hooks))...)
				inner := view(h)
				var stopped error
				url := ssetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), subscribed{}, func() { stopped = h.Shutdown(soon(t)) })))
				})) + "/?topic=a"
				s := ssetest.Open(t, url+query)
				if events, err := s.Rest(); s.Status != http.StatusOK || err == nil || len(events) > 0 {
					t.Errorf("%s: got status %d, %d events and %v, want a broken end", way, s.Status, len(events), err)
				}
				if stopped != nil {
					t.Error(stopped)
				}
			}
		})
	}
}

// subscribed is the context key of a function that view calls when it has subscribed.
type subscribed struct{}
