package adaptertest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/ssetest"
)

func checkEachEvent(t testing.TB, h mounted) {
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)})
	s.follow(s.open("/"), goAhead, 1, 20)
}

func checkEachEventHTTP10(t testing.TB, h mounted) {
	if h.protocol != HTTP1 {
		t.Skip("for HTTP/1 only")
	}
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)})
	st := s.openRaw("GET / HTTP/1.0\r\nHost: test\r\n\r\n")
	wantHeaders(t, st.Header, streamHeaders)
	if st.Header["Transfer-Encoding"] != nil || st.Header["Content-Length"] != nil {
		t.Errorf("got headers %v, want neither a Transfer-Encoding nor a Content-Length on HTTP/1.0", st.Header)
	}
	s.follow(opened(t, st), goAhead, 1, 20)
}

// follow lets the generator make each event from first to last only when the previous
// one has arrived.
func (s *server) follow(st *ssetest.Stream, goAhead chan<- struct{}, first, last int) {
	s.t.Helper()
	for n := first; n <= last; n++ {
		s.pass(goAhead)
		ssetest.Equal(s.t, st.Collect(1), numbered(n, n))
	}
}

func checkBurst(t testing.TB, h mounted) {
	const size = 1000
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
		return func(yield func(core.Event, error) bool) {
			n := 0
			for range core.Receive(ctx, goAhead) {
				for range size {
					n++
					if !yield(core.Event{ID: strconv.Itoa(n)}, nil) {
						return
					}
				}
			}
		}
	}})
	st := s.open("/")
	for i := range 3 {
		s.pass(goAhead)
		ssetest.Equal(t, st.Collect(size), numbered(i*size+1, (i+1)*size))
	}
}

func checkHeartbeat(t testing.TB, h mounted) {
	goAhead := make(chan struct{})
	s := h.serve(t, map[string]View{"/": steps(goAhead)}, core.WithHeartbeat(10*time.Millisecond), core.WithRetry(time.Second))
	st := s.open("/")
	want := numbered(1, 3)
	want[0].Retry = time.Second // it is in the first event's block, not in a heartbeat's
	for _, want := range want {
		for range 2 {
			if e := st.Next(); e.Comment == "" || e.Data != "" {
				t.Errorf("got %+v while the generator waits, want a comment", e)
			}
		}
		s.pass(goAhead)
		e := st.Next()
		for range 1000 {
			if e.Comment == "" {
				break
			}
			e = st.Next()
		}
		ssetest.Equal(t, []core.Event{e}, []core.Event{want})
	}
}

func checkNoHeartbeat(t testing.TB, h mounted) {
	const heartbeat = 400 * time.Millisecond
	for range 3 {
		gap := make(chan time.Duration, 1) // the longest time without traffic
		s := h.serve(t, map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
			return func(yield func(core.Event, error) bool) {
				begin, last, longest := time.Now(), time.Now(), time.Duration(0)
				for range core.Every(ctx, heartbeat/20) {
					if !yield(core.Event{}, nil) {
						return
					}
					now := time.Now()
					longest, last = max(longest, now.Sub(last)), now
					if now.Sub(begin) > 3*heartbeat {
						break
					}
				}
				gap <- longest
			}
		}}, core.WithHeartbeat(heartbeat))
		comments := 0
		for _, e := range s.open("/").All() {
			if e.Comment != "" {
				comments++
			}
		}
		longest := hosttest.ReceiveWithin(t, h.timeout, gap, "the generator's end")
		if comments == 0 {
			return
		}
		if longest < heartbeat/2 {
			t.Fatalf("%d heartbeats came though there were never more than %v without an event", comments, longest)
		}
	}
	t.Skip("the machine is too slow to tell")
}

func checkHeartbeatAtFullSpeed(t testing.TB, h mounted) {
	const size = 5000
	for _, window := range []time.Duration{0, time.Millisecond} {
		s := h.serve(t, map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
			return func(yield func(core.Event, error) bool) {
				n := 0
				// Pauses give heartbeats a chance.
				for range core.Every(ctx, 3*time.Millisecond) {
					for range size / 50 {
						n++
						if !yield(core.Event{ID: strconv.Itoa(n)}, nil) {
							return
						}
					}
					if n >= size {
						return
					}
				}
			}
		}}, core.WithHeartbeat(time.Millisecond), core.WithFlushWindow(window))
		var events []core.Event
		for _, e := range s.open("/").All() {
			if e.Comment == "" || e.Data != "" || e.Type != "" || e.Retry != 0 {
				events = append(events, e)
			}
		}
		ssetest.Equal(t, events, numbered(1, size))
	}
}

func checkTimeouts(t testing.TB, h mounted) {
	// A machine that is busy may take longer than a short timeout to get a request to the
	// server. Only a longer one tells this from a stream that is cut.
	short := hosttest.Failed(t, func(t testing.TB) { checkTimeout(t, h, time.Second) })
	if short != "" {
		checkTimeout(t, h, 5*time.Second) //nolint:mnd // see above
	}
}

// checkTimeout checks that a stream takes twice the server's timeouts.
func checkTimeout(t testing.TB, h mounted, timeout time.Duration) {
	const size = 4
	s := h.serveSite(t, &Site{Timeout: timeout, Views: map[string]View{"/": func(ctx context.Context, _ Exchange) core.Stream {
		return func(yield func(core.Event, error) bool) {
			n := 0
			for range core.Every(ctx, timeout*2/size) {
				n++
				if !yield(core.Event{ID: strconv.Itoa(n)}, nil) || n == size {
					return
				}
			}
		}
	}}})
	posted := s.request("/")
	posted.Method, posted.Body = http.MethodPost, strings.Repeat("x", 1<<10)
	post := openStream(t, posted)
	ssetest.Equal(t, s.open("/").All(), numbered(1, size))
	ssetest.Equal(t, post.All(), numbered(1, size))
}
