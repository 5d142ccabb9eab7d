package host_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

var errBroken = errors.New("broken pipe")

// A fakeHost is a host.Conn that records its calls and their times. It fails the test if
// calls overlap or come too late.
type fakeHost struct {
	t     testing.TB
	begin time.Time
	send  func(frames string) error // what Send returns; nil for no error
	end   func() error              // the same for End

	busy, over atomic.Bool
	aborted    chan struct{}

	mu  sync.Mutex
	log []string
}

func newHost(t testing.TB) *fakeHost {
	t.Helper()
	return &fakeHost{t: t, begin: time.Now(), aborted: make(chan struct{})}
}

func (h *fakeHost) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over.Load() {
		h.t.Errorf("after Serve has returned: %s", what)
	}
	h.log = append(h.log, fmt.Sprintf("%v %s", time.Since(h.begin), what))
}

func (h *fakeHost) enter() (leave func()) {
	if h.busy.Swap(true) {
		h.t.Error("two calls overlap")
	}
	return func() { h.busy.Store(false) }
}

// A line that sets the reconnection time needs no blank line, and leaves the block open.
var wholeFrames = regexp.MustCompile(`(^|\n\n|(^|\n)retry: \d+\n|(^|\n): (open|heartbeat)\n)$`)

func (h *fakeHost) Send(f host.Frames) error {
	defer h.enter()()
	frames := string(f.Bytes())
	h.note(strconv.Quote(frames))
	if !wholeFrames.MatchString(frames) && len(frames) < 128<<10 {
		h.t.Errorf("not whole frames: %q", frames)
	}
	if chunk := f.Chunk(); (chunk == nil) != (frames == "") { // uses the bytes before and after the frames
		h.t.Errorf("got the chunk %q of %q", chunk, frames)
	}
	if h.send == nil {
		return nil
	}
	return h.send(frames)
}

func (h *fakeHost) End() error {
	defer h.enter()()
	h.note("End")
	if h.end == nil {
		return nil
	}
	return h.end()
}

func (h *fakeHost) Abort() {
	h.note("Abort")
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.aborted:
	default:
		close(h.aborted)
	}
}

// stuck is a write that the client does not accept.
func (h *fakeHost) stuck() error {
	<-h.aborted
	return errBroken
}

// stuckAt makes the Send that has a line with only this text get stuck.
func (h *fakeHost) stuckAt(text string) {
	h.send = func(frames string) error {
		if strings.Contains(frames, ": "+text+"\n") {
			return h.stuck()
		}
		return nil
	}
}

// A generator is the function of a stream, with its session's context.
type generator func(ctx context.Context, yield func(core.Event, error) bool)

// A trial is a session on a host.
type trial struct {
	*host.Session
	*fakeHost
	sum core.Summary
}

func newTrial(ctx context.Context, t testing.TB, opts ...core.Option) *trial {
	t.Helper()
	tr := &trial{fakeHost: newHost(t)}
	s, err := host.NewSession(ctx, core.Request{}, append(slices.Clip(opts), core.WithObserver(core.Observer{
		Closed: func(_ context.Context, sum core.Summary) { tr.sum = sum },
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	tr.Session = s
	return tr
}

// serve runs the session. Nothing may be written afterwards; see also quiet.
func (tr *trial) serve(gen generator) error {
	err := tr.Serve(tr.fakeHost, func(yield func(core.Event, error) bool) { gen(tr.Context(), yield) })
	tr.over.Store(true)
	return err
}

// quiet waits long enough for any timer to fire that should have been stopped.
func quiet() { <-time.After(time.Hour) }

// wait waits for d or for the end of ctx, and reports whether it was d.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// An at is an event's data and the time at which it is yielded.
type at struct {
	time time.Duration
	data string
}

// play yields each step at its time, and returns at the time last, or when it must.
func play(last time.Duration, steps ...at) generator {
	return func(ctx context.Context, yield func(core.Event, error) bool) {
		begin := time.Now()
		for _, s := range steps {
			if !wait(ctx, s.time-time.Since(begin)) || !yield(core.Event{Data: s.data}, nil) {
				return
			}
		}
		wait(ctx, last-time.Since(begin))
	}
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func isError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

const (
	open      = `0s ": open\n\n"`
	forever   = 1000 * time.Hour
	heartbeat = `": heartbeat\n\n"`
)

func TestSessionTimeline(t *testing.T) {
	long := strings.Repeat("x", 32<<10)
	half := strings.Repeat("y", 20<<10)
	noHeartbeat := core.WithHeartbeat(0)
	window := core.WithFlushWindow(10 * time.Millisecond)
	for _, tt := range []struct {
		name string
		opts []core.Option
		gen  generator
		want []string
	}{
		{"the first frame comes at once", nil, play(0), []string{open, "0s End"}},
		{
			"and tells when to reconnect",
			[]core.Option{core.WithRetry(1500 * time.Millisecond)}, play(0),
			[]string{`0s "retry: 1500\n: open\n"`, "0s End"},
		},
		{
			"which leaves the first event's block open, with heartbeats in it",
			[]core.Option{core.WithRetry(time.Second)}, play(time.Minute, at{40 * time.Second, "a"}),
			[]string{
				`0s "retry: 1000\n: open\n"`, `15s ": heartbeat\n"`, `30s ": heartbeat\n"`, `40s "data: a\n\n"`,
				`55s ": heartbeat\n\n"`, "1m0s End", // no other event's
			},
		},
		{
			"heartbeats that are events",
			[]core.Option{core.WithRetry(time.Second), core.WithHeartbeatEvent(core.Event{Type: "ping"})}, play(20 * time.Second),
			[]string{`0s "retry: 1000\nevent: ping\ndata: \n\n"`, `15s "event: ping\ndata: \n\n"`, "20s End"},
		},
		{
			"heartbeats that are comments",
			[]core.Option{core.WithHeartbeatEvent(core.Event{Comment: "a\nb"})}, play(20 * time.Second),
			[]string{`0s ": a\n: b\n\n"`, `15s ": a\n: b\n\n"`, "20s End"},
		},
		{
			"no reconnection time",
			[]core.Option{core.WithRetry(-time.Second)}, play(0),
			[]string{open, "0s End"},
		},
		{
			"a heartbeat after each interval of silence, by default 15 s", nil, play(40 * time.Second),
			[]string{open, "15s " + heartbeat, "30s " + heartbeat, "40s End"},
		},
		{
			"traffic pushes the heartbeat back",
			[]core.Option{core.WithHeartbeat(3 * time.Second)},
			play(9*time.Second, at{time.Second, "a"}, at{2500 * time.Millisecond, "b"}),
			[]string{open, `1s "data: a\n\n"`, `2.5s "data: b\n\n"`, "5.5s " + heartbeat, "8.5s " + heartbeat, "9s End"},
		},
		{
			"no heartbeat while traffic flows",
			[]core.Option{core.WithHeartbeat(3 * time.Second)},
			play(10*time.Second, at{2 * time.Second, "a"}, at{4 * time.Second, "b"}, at{6 * time.Second, "c"}, at{8 * time.Second, "d"}),
			[]string{open, `2s "data: a\n\n"`, `4s "data: b\n\n"`, `6s "data: c\n\n"`, `8s "data: d\n\n"`, "10s End"},
		},
		{
			"no heartbeat",
			[]core.Option{noHeartbeat}, play(24 * time.Hour),
			[]string{open, "24h0m0s End"},
		},
		{
			"no heartbeat, said with less than zero",
			[]core.Option{core.WithHeartbeat(-time.Second)}, play(24 * time.Hour),
			[]string{open, "24h0m0s End"},
		},
		{
			"a burst shares its flushes",
			[]core.Option{window},
			play(time.Second, at{0, "a"}, at{0, "b"}, at{3 * time.Millisecond, "c"}, at{12 * time.Millisecond, "d"}, at{500 * time.Millisecond, "e"}),
			[]string{
				open, `0s "data: a\n\n"`, `10ms "data: b\n\ndata: c\n\n"`, `20ms "data: d\n\n"`,
				`500ms "data: e\n\n"`, "1s End",
			},
		},
		{
			"the window is 1 ms by default", nil,
			play(time.Second, at{0, "a"}, at{0, "b"}),
			[]string{open, `0s "data: a\n\n"`, `1ms "data: b\n\n"`, "1s End"},
		},
		{
			"an event at the window's end takes what waits along",
			[]core.Option{window, noHeartbeat},
			func(_ context.Context, yield func(core.Event, error) bool) {
				yield(core.Event{Data: "a"}, nil)
				<-time.After(10 * time.Millisecond)
				yield(core.Event{Data: "b"}, nil)
			},
			[]string{open, `0s "data: a\n\n"`, `10ms "data: b\n\n"`, "10ms End"},
		},
		{
			"32 KiB do not wait",
			[]core.Option{window},
			play(time.Second, at{0, "a"}, at{0, "b"}, at{2 * time.Millisecond, long}, at{3 * time.Millisecond, "c"}),
			[]string{
				open, `0s "data: a\n\n"`, `2ms "data: b\n\ndata: ` + long + `\n\n"`,
				`12ms "data: c\n\n"`, "1s End",
			},
		},
		{
			"nor do those that come bit by bit",
			[]core.Option{window},
			play(time.Second, at{0, "a"}, at{time.Millisecond, half}, at{2 * time.Millisecond, half}),
			[]string{
				open, `0s "data: a\n\n"`, `2ms "data: ` + half + `\n\ndata: ` + half + `\n\n"`, "1s End",
			},
		},
		{
			"no window",
			[]core.Option{core.WithFlushWindow(0)},
			play(0, at{0, "a"}, at{0, "b"}, at{0, "c"}),
			[]string{open, `0s "data: a\n\n"`, `0s "data: b\n\n"`, `0s "data: c\n\n"`, "0s End"},
		},
		{
			"no window, said with less than zero",
			[]core.Option{core.WithFlushWindow(-time.Second)},
			play(0, at{0, "a"}, at{0, "b"}),
			[]string{open, `0s "data: a\n\n"`, `0s "data: b\n\n"`, "0s End"},
		},
		{
			"what waits is flushed at the end",
			[]core.Option{window},
			play(0, at{0, "a"}, at{0, "b"}, at{0, "c"}),
			[]string{open, `0s "data: a\n\n"`, `0s "data: b\n\ndata: c\n\n"`, "0s End"},
		},
		{
			"a heartbeat has nothing to do with the window",
			[]core.Option{core.WithHeartbeat(time.Second), window},
			play(1500*time.Millisecond, at{0, "a"}, at{1005 * time.Millisecond, "b"}),
			[]string{open, `0s "data: a\n\n"`, "1s " + heartbeat, `1.005s "data: b\n\n"`, "1.5s End"},
		},
		{
			"less than zero sets neither a maximum duration nor a write timeout",
			[]core.Option{core.WithMaxDuration(-time.Second), core.WithWriteTimeout(-time.Second), noHeartbeat, nil},
			play(time.Hour), []string{open, "1h0m0s End"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, tt.opts...)
				isError(t, tr.serve(tt.gen), nil)
				quiet()
				equal(t, tr.log, tt.want)
				isError(t, tr.sum.Cause, nil)
			})
		})
	}
}

func TestSessionWithoutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		s, err := host.NewSession(t.Context(), core.Request{})
		isError(t, err, nil)
		isError(t, s.Serve(h, nil), nil)
		equal(t, h.log, []string{open, "0s End"})
	})
}

func TestWriteTimeout(t *testing.T) {
	five, each, silent := core.WithWriteTimeout(5*time.Second), core.WithFlushWindow(0), core.WithHeartbeat(0)
	for _, tt := range []struct {
		name  string
		opts  []core.Option
		stuck string // the frame, or End
		gen   generator
		want  []string
	}{
		{
			"the first frame", []core.Option{five}, "open", play(forever),
			[]string{open, "5s Abort"},
		},
		{
			"an event, long after the last tick", []core.Option{five, each, silent}, "a", play(forever, at{12 * time.Second, "a"}),
			[]string{open, `12s "data: a\n\n"`, "17s Abort"},
		},
		{
			"an event between ticks", []core.Option{five, each, silent}, "a", play(forever, at{7 * time.Second, "a"}),
			[]string{open, `7s "data: a\n\n"`, "12s Abort"},
		},
		{
			"an event, with frequent heartbeats",
			[]core.Option{five, each, core.WithHeartbeat(3 * time.Second)}, "a", play(forever, at{4 * time.Second, "a"}),
			[]string{open, "3s " + heartbeat, `4s "data: a\n\n"`, "9s Abort"},
		},
		{
			"30 s by default", []core.Option{each}, "a", play(forever, at{7 * time.Second, "a"}),
			[]string{open, `7s "data: a\n\n"`, "37s Abort"},
		},
		{
			"a heartbeat", []core.Option{five, core.WithHeartbeat(3 * time.Second)}, "heartbeat", play(forever),
			[]string{open, "3s " + heartbeat, "8s Abort"},
		},
		{
			"a burst's end", []core.Option{five, core.WithFlushWindow(10 * time.Millisecond)}, "b",
			play(forever, at{7 * time.Second, "a"}, at{7 * time.Second, "b"}),
			[]string{open, `7s "data: a\n\n"`, `7.01s "data: b\n\n"`, "12.01s Abort"},
		},
		{
			"what waits at the end", []core.Option{five, core.WithFlushWindow(forever)}, "b",
			play(7*time.Second, at{7 * time.Second, "a"}, at{7 * time.Second, "b"}),
			[]string{open, `7s "data: a\n\n"`, `7s "data: b\n\n"`, "12s Abort"},
		},
		{
			"the end", []core.Option{five}, "End", play(7 * time.Second),
			[]string{open, "7s End", "12s Abort"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, tt.opts...)
				tr.stuckAt(tt.stuck)
				if tt.stuck == "End" {
					tr.end = tr.stuck
				}
				isError(t, tr.serve(tt.gen), nil)
				quiet()
				equal(t, tr.log, tt.want)
				isError(t, tr.sum.Cause, core.ErrSlowClient)
				isError(t, context.Cause(tr.Context()), core.ErrSlowClient)
			})
		})
	}
}

func TestNoWriteTimeout(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, core.WithWriteTimeout(d), core.WithFlushWindow(0), core.WithHeartbeat(0))
				tr.send = func(frames string) error {
					if strings.Contains(frames, ": a\n") {
						<-time.After(24*time.Hour + time.Second)
					}
					return nil
				}
				isError(t, tr.serve(play(0, at{0, "a"})), nil)
				equal(t, tr.log, []string{open, `0s "data: a\n\n"`, "24h0m1s End"})
			})
		})
	}
}

// A slow write that ends within the timeout does no harm.
func TestWriteInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithWriteTimeout(5*time.Second), core.WithFlushWindow(0))
		tr.send = func(string) error { <-time.After(4999 * time.Millisecond); return nil }
		isError(t, tr.serve(play(0, at{0, "a"}, at{0, "b"})), nil)
		equal(t, tr.log, []string{open, `4.999s "data: a\n\n"`, `9.998s "data: b\n\n"`, "14.997s End"})
	})
}

func TestMaxDuration(t *testing.T) {
	ages := map[time.Duration]bool{}
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			tr := newTrial(t.Context(), t, core.WithMaxDuration(10*time.Minute), core.WithHeartbeat(0))
			isError(t, tr.serve(play(forever)), nil)
			quiet()
			isError(t, tr.sum.Cause, core.ErrMaxDuration)
			age := tr.sum.Duration
			if age < 9*time.Minute || age > 10*time.Minute {
				t.Errorf("got an age of %v, want 9 to 10 min", age)
			}
			equal(t, tr.log, []string{open, age.String() + " End"})
			ages[age] = true
		})
	}
	if len(ages) < 90 {
		t.Errorf("got %d different ages in 100 sessions, want them spread", len(ages))
	}
}

// The shortest maximum duration leaves nothing to spread.
func TestMaxDurationShortest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(t.Context(), t, core.WithMaxDuration(1))
		isError(t, tr.serve(play(forever)), nil)
		isError(t, tr.sum.Cause, core.ErrMaxDuration)
		equal(t, tr.log, []string{open, "1ns End"})
	})
}

func TestLastEventID(t *testing.T) {
	for _, tt := range []struct{ name, id, want string }{
		{"none", "", ""},
		{"plain", "42", "42"},
		{"spaces", " a b ", " a b "},
		{"not ASCII", "\u00e9\u4e2d\U0001f600", "\u00e9\u4e2d\U0001f600"},
		{"1024 bytes", strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		{"1025 bytes", strings.Repeat("x", 1025), ""},
		{"1025 bytes that are fewer characters", strings.Repeat("\u4e2d", 342), ""},
		{"NUL", "a\x00b", ""},
		{"LF", "a\nb", ""},
		{"CR", "a\rb", ""},
		{"a tab", "a\tb", ""},
		{"DEL", "a\x7f", ""},
		{"a C1 control character", "a\u0085", ""},
		{"invalid UTF-8", "a\xff", ""},
		{"half a character", "\xe4\xb8", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := host.NewSession(t.Context(), core.Request{LastEventID: tt.id})
			isError(t, err, nil)
			defer s.Close(nil)
			ctx, cancel := context.WithCancel(s.Context())
			defer cancel()
			if got := core.LastEventID(ctx); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("outside a session", func(t *testing.T) {
		if got := core.LastEventID(t.Context()); got != "" {
			t.Errorf("got %q, want none", got)
		}
	})
}

// A session in the context of another, as when a view calls a handler, has its own ID.
func TestLastEventIDNested(t *testing.T) {
	outer, err := host.NewSession(t.Context(), core.Request{LastEventID: "outer"})
	isError(t, err, nil)
	defer outer.Close(nil)
	inner, err := host.NewSession(outer.Context(), core.Request{})
	isError(t, err, nil)
	defer inner.Close(nil)
	if got := core.LastEventID(inner.Context()); got != "" {
		t.Errorf("got %q, want none", got)
	}
}

// A session keeps its request, of which a client must not choose the size.
func TestRequest(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct {
		name      string
		got, want core.Request
	}{
		{"none", core.Request{}, core.Request{}},
		{
			"all",
			core.Request{RemoteAddr: "192.0.2.1:1", Method: "GET", Path: "/a", Route: "/:id", LastEventID: "7"},
			core.Request{RemoteAddr: "192.0.2.1:1", Method: "GET", Path: "/a", Route: "/:id", LastEventID: "7"},
		},
		{
			"long",
			core.Request{Method: long, Path: long, Route: "/*", LastEventID: long},
			core.Request{Method: long[:1024], Path: long[:1024], Route: "/*"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := host.NewSession(t.Context(), tt.got)
			isError(t, err, nil)
			defer s.Close(nil)
			if got := core.RequestOf(s.Context()); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSessionContext(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	defer cancel()
	s, err := host.NewSession(parent, core.Request{})
	isError(t, err, nil)
	defer s.Close(nil)
	if got := s.Context().Value(key{}); got != "value" {
		t.Errorf("got value %v, want %q", got, "value")
	}
	want, _ := parent.Deadline()
	if got, ok := s.Context().Deadline(); !ok || !got.Equal(want) {
		t.Errorf("got deadline %v, %v, want %v", got, ok, want)
	}
	isError(t, s.Context().Err(), nil)
}

func TestSetHeaders(t *testing.T) {
	const stream = "text/event-stream; charset=utf-8"
	for _, tt := range []struct{ name, kind, cache, wantKind, wantCache string }{
		{"by default", "", "", stream, "no-cache"},
		{"the view's own", "Text/Event-Stream ;charset=UTF-8;v=1", "no-store", "Text/Event-Stream ;charset=UTF-8;v=1", "no-store"},
		{"the view's own, without a charset", "text/event-stream", "", "text/event-stream", "no-cache"},
		{"the host's", "text/plain; charset=utf-8", "", stream, "no-cache"},
		{"another that begins alike", "text/event-streams", "", stream, "no-cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for name, value := range map[string]string{"Cache-Control": tt.cache, "Content-Type": tt.kind} {
				if value != "" {
					h.Set(name, value)
				}
			}
			newTrial(t.Context(), t).SetHeaders(h, "gzip")
			want := http.Header{"Cache-Control": {tt.wantCache}, "Content-Type": {tt.wantKind}, "X-Accel-Buffering": {"no"}}
			if !maps.EqualFunc(h, want, slices.Equal) {
				t.Errorf("got %v, want %v", h, want)
			}
		})
	}
}

// If nothing holds the headers back, a stream begins with a frame only if somebody may wait
// for it.
func TestDirect(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		opts         []core.Option
		want         string
	}{
		{"GET", "GET", nil, `": open\n\n"`},
		{"GET without heartbeats", "GET", []core.Option{core.WithHeartbeat(0)}, `""`},
		{"POST", "POST", nil, `""`},
		{"POST with a reconnection time", "POST", []core.Option{core.WithRetry(time.Second)}, `"retry: 1000\n"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, tt.opts...)
				tr.Direct(tt.method)
				isError(t, tr.serve(play(time.Second, at{time.Second, "a"})), nil)
				equal(t, tr.log, []string{"0s " + tt.want, `1s "data: a\n\n"`, "1s End"})
				if got, want := tr.sum.Bytes, int64(len(strings.Join(sent(tr.log), ""))); got != want {
					t.Errorf("got %d bytes, want %d", got, want)
				}
			})
		})
	}
}

// sent are the frames of a host's log.
func sent(log []string) (all []string) {
	for _, line := range log {
		_, what, _ := strings.Cut(line, " ")
		if frame, err := strconv.Unquote(what); err == nil {
			all = append(all, frame)
		}
	}
	return all
}

func TestHeartbeatEventThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		event      core.Event
	}{
		{"an ID", "has an ID", core.Event{ID: "1"}},
		{"what cannot be encoded", "heartbeat event: core: event Type contains", core.Event{Type: "a\nb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := host.NewSession(t.Context(), core.Request{}, core.WithHeartbeatEvent(tt.event))
			var refused *core.RefusedError
			if !errors.As(err, &refused) || refused.Status != 500 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want a refusal with 500 that says %q", err, tt.want)
			}
		})
	}
}

func TestSessionAllocs(t *testing.T) {
	if testenv.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	for _, tt := range []struct {
		name string
		opts []core.Option
	}{
		{"default", nil},
		{"each event by itself", []core.Option{core.WithFlushWindow(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := host.NewSession(t.Context(), core.Request{}, tt.opts...)
			isError(t, err, nil)
			e := core.Event{ID: "12345", Type: "message", Data: strings.Repeat("x", 170)}
			var got float64
			err = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) {
				for range 1000 { // so that the buffers have grown
					yield(e, nil)
				}
				got = testing.AllocsPerRun(10_000, func() { yield(e, nil) })
			})
			isError(t, err, nil)
			if got != 0 {
				t.Errorf("got %v allocations an event, want 0", got)
			}
		})
	}
}

// nowhere is a host that accepts everything.
type nowhere struct{}

func (nowhere) Send(host.Frames) error { return nil }
func (nowhere) End() error             { return nil }
func (nowhere) Abort()                 {}

// checkFrames fails the test unless the frames are whole, and are the first one, heartbeats,
// and the numbers of each source in order. It returns how many numbers there are.
func checkFrames(t *testing.T, wire string) (numbers int) {
	t.Helper()
	next := map[string]int{}
	frames := strings.SplitAfter(wire, "\n\n")
	if frames[0] != ": open\n\n" || frames[len(frames)-1] != "" {
		t.Fatalf("got %q ... %q, want a first frame and whole ones", frames[0], frames[len(frames)-1])
	}
	for _, f := range frames[1 : len(frames)-1] {
		if f == ": heartbeat\n\n" {
			continue
		}
		var source, data string
		if n, err := fmt.Sscanf(f, "event: %s\ndata: %s\n\n", &source, &data); n != 2 || err != nil {
			t.Fatalf("got the frame %q, want a whole event", f)
		}
		if want := strings.Repeat(strconv.Itoa(next[source]), 20); data != want {
			t.Fatalf("got %q from %s, want %q", data, source, want)
		}
		next[source]++
		numbers++
	}
	return numbers
}

func numbered(source, n int) core.Event {
	return core.Event{Type: "source-" + strconv.Itoa(source), Data: strings.Repeat(strconv.Itoa(n), 20)}
}

// wired makes h gather what it is sent.
func (h *fakeHost) wired() *strings.Builder {
	var wire strings.Builder
	h.send = func(frames string) error { wire.WriteString(frames); return nil }
	return &wire
}

// In real time: heartbeats, and a generator at full speed that sometimes pauses for the time
// of a heartbeat.
func TestRaceHeartbeat(t *testing.T) {
	const events = 1000
	for _, window := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond} {
		t.Run(window.String(), func(t *testing.T) {
			tr := newTrial(t.Context(), t, core.WithHeartbeat(time.Millisecond), core.WithFlushWindow(window))
			wire := tr.wired()
			isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
				for n := range events {
					if !yield(numbered(0, n), nil) {
						t.Error("yield returned false")
						return
					}
					if n%100 == 0 {
						wait(ctx, time.Duration(900+n/4)*time.Microsecond)
					}
				}
			}), nil)
			if got := checkFrames(t, wire.String()); got != events || tr.sum.Events != events {
				t.Errorf("got %d events and a sum of %d, want %d", got, tr.sum.Events, events)
			}
			if got, want := tr.sum.Bytes, int64(wire.Len()); got != want {
				t.Errorf("got %d bytes, want %d", got, want)
			}
		})
	}
}

// In real time: a generator whose goroutines share its yield.
func TestRaceYields(t *testing.T) {
	const sources, events = 4, 200
	for _, window := range []time.Duration{0, time.Millisecond} {
		t.Run(window.String(), func(t *testing.T) {
			tr := newTrial(t.Context(), t, core.WithHeartbeat(time.Millisecond), core.WithFlushWindow(window))
			wire := tr.wired()
			isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
				var wg sync.WaitGroup
				for source := range sources {
					wg.Go(func() {
						for n := range events {
							yield(numbered(source, n), nil)
						}
					})
				}
				wg.Wait()
			}), nil)
			if got := checkFrames(t, wire.String()); got != sources*events {
				t.Errorf("got %d events, want %d", got, sources*events)
			}
		})
	}
}

// In real time: calls of yield after the generator has returned send nothing.
func TestRaceYieldAfterwards(t *testing.T) {
	for range 20 {
		tr := newTrial(t.Context(), t, core.WithFlushWindow(10*time.Microsecond))
		var wg sync.WaitGroup
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			started := make(chan struct{})
			wg.Go(func() {
				for n := 0; yield(numbered(0, n), nil); n++ {
					if n == 20 {
						close(started)
					}
				}
				if yield(core.Event{}, nil) {
					t.Error("yield returned true after false")
				}
			})
			<-started
		}), nil)
		wg.Wait()
	}
}

// In real time: all ends that do not come from the generator, at any time.
func TestRaceEnd(t *testing.T) {
	const trials = 60
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	for i := range trials {
		var g core.Group
		parent, cancel := context.WithCancel(t.Context())
		tr := newTrial(parent, t, core.WithHeartbeat(50*time.Microsecond), core.WithWriteTimeout(5*time.Second),
			core.WithFlushWindow(20*time.Microsecond), core.WithGroup(&g))
		wire := tr.wired()
		send := tr.send
		failing := i%4 == 3
		until := time.Duration(random.IntN(1000)) * time.Microsecond
		ended := make(chan struct{})
		tr.send = func(frames string) error {
			if failing && time.Since(tr.begin) > until {
				return os.ErrDeadlineExceeded
			}
			return send(frames)
		}
		time.AfterFunc(until, func() {
			defer close(ended)
			switch i % 4 {
			case 0:
				cancel()
			case 1:
				tr.ClientGone()
			case 2:
				isError(t, g.Shutdown(t.Context()), nil)
			}
		})
		isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
			for n := 0; yield(numbered(0, n), nil); n++ {
				if n%50 == 0 {
					wait(ctx, 100*time.Microsecond)
				}
			}
		}), nil)
		<-ended
		cancel()
		want := []error{core.ErrClientGone, core.ErrClientGone, core.ErrShutdown, core.ErrSlowClient}[i%4]
		isError(t, tr.sum.Cause, want)
		if got := g.Len(); got != 0 {
			t.Errorf("got %d sessions in the group, want 0", got)
		}
		body, retry, clean := strings.Cut(wire.String(), "retry: 1000\n")
		if clean != (i%4 == 2) || retry != "" {
			t.Errorf("got the retry %v with %q behind, want %v", clean, retry, i%4 == 2)
		}
		if got, want := strings.HasSuffix(tr.log[len(tr.log)-1], "End"), i%4 == 2; got != want {
			t.Errorf("end %d: got a clean end %v, want %v", i%4, got, want)
		}
		if body != "" {
			checkFrames(t, body)
		}
	}
}
