package host_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/internal/feed"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// frames returns the frames of events with these data.
func frames(t testing.TB, data ...string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, d := range data {
		frame, err := core.Event{Data: d}.AppendText(nil)
		isError(t, err, nil)
		all = append(all, frame)
	}
	return all
}

func feedOf(yield func(core.Event, error) bool) feed.Feed {
	f, _ := feed.Of(yield)
	return f
}

func TestFeedOf(t *testing.T) {
	var inner, outer feed.Feed
	ask := func(yield func(core.Event, error) bool) { inner, _ = feed.Of(yield) }
	sessions := []*trial{newTrial(t.Context(), t), newTrial(t.Context(), t)}
	for i, tr := range sessions {
		inner = nil
		isError(t, tr.Serve(tr.fakeHost, ask), nil)
		if inner == nil || inner.Context() != tr.Context() {
			t.Errorf("session %d: got %v, want its feed", i, inner)
		}
		if tr.sum.Events != 0 || tr.sum.Err != nil {
			t.Errorf("session %d: the question made %d events and the error %v", i, tr.sum.Events, tr.sum.Err)
		}
		if len(tr.log) != 2 { // the first frame and the end
			t.Errorf("session %d: the question was written: %q", i, tr.log)
		}
	}

	tr := newTrial(t.Context(), t)
	isError(t, tr.Serve(tr.fakeHost, func(yield func(core.Event, error) bool) {
		outer, _ = feed.Of(yield)
		for e, err := range core.Stream(ask) { // another one's yield
			yield(e, err)
		}
		ask(func(e core.Event, err error) bool { return yield(e, err) })
	}), nil)
	if outer == nil || inner != nil {
		t.Errorf("got %v for its own yield and %v for another's, want a feed and none", outer, inner)
	}
	if got, ok := feed.Of(nil); ok {
		t.Errorf("got %v for no yield, want none", got)
	}
}

func TestForward(t *testing.T) {
	long := strings.Repeat("x", 50<<10)
	for _, tt := range []struct {
		name string
		opts []core.Option
		gen  func(t *testing.T, s feed.Feed, yield func(core.Event, error) bool)
		want []string
	}{
		{
			name: "what comes together goes together",
			gen: func(t *testing.T, s feed.Feed, _ func(core.Event, error) bool) {
				s.Forward(frames(t, "a", "b"))
			},
			want: []string{`0s "data: a\n\ndata: b\n\n"`},
		},
		{
			name: "between events",
			opts: []core.Option{core.WithFlushWindow(0)},
			gen: func(t *testing.T, s feed.Feed, yield func(core.Event, error) bool) {
				yield(core.Event{Data: "1"}, nil)
				s.Forward(frames(t, "2"))
				yield(core.Event{Data: "3"}, nil)
			},
			want: []string{`0s "data: 1\n\n"`, `0s "data: 2\n\n"`, `0s "data: 3\n\n"`},
		},
		{
			name: "the flush window",
			gen: func(t *testing.T, s feed.Feed, yield func(core.Event, error) bool) {
				s.Forward(frames(t, "1"))
				s.Forward(frames(t, "2", "3"))
				wait(s.Context(), 500*time.Microsecond)
				s.Forward(frames(t, "4"))
				yield(core.Event{Data: "5"}, nil)
				wait(s.Context(), time.Second)
				s.Forward(frames(t, "6"))
			},
			want: []string{
				`0s "data: 1\n\n"`,
				`1ms "data: 2\n\ndata: 3\n\ndata: 4\n\ndata: 5\n\n"`,
				`1.0005s "data: 6\n\n"`,
			},
		},
		{
			name: "what comes together goes together up to 128 KiB",
			gen: func(t *testing.T, s feed.Feed, _ func(core.Event, error) bool) {
				s.Forward(frames(t, "1"))
				s.Forward(frames(t, long, long, long, "2"))
				wait(s.Context(), time.Second)
			},
			want: []string{
				`0s "data: 1\n\n"`,
				fmt.Sprintf(`0s "data: %[1]s\n\ndata: %[1]s\n\ndata: %[1]s\n\n"`, long),
				`1ms "data: 2\n\n"`,
			},
		},
		{
			name: "nothing",
			gen: func(t *testing.T, s feed.Feed, _ func(core.Event, error) bool) {
				if !s.Forward(nil) {
					t.Error("got false for no frames, want true")
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, tt.opts...)
				isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
					tt.gen(t, feedOf(yield), yield)
				}), nil)
				got := tr.log[1:]
				equal(t, got[:len(got)-1], tt.want)
				want := 0
				for _, line := range tt.want {
					want += strings.Count(line, "data: ")
				}
				if tr.sum.Events != want {
					t.Errorf("the summary has %d events, want %d", tr.sum.Events, want)
				}
			})
		})
	}
}

func TestForwardEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(tr *trial, yield func(core.Event, error) bool)
	}{
		{"the client leaves", func(tr *trial, _ func(core.Event, error) bool) { tr.ClientGone() }},
		{"the generator has failed", func(_ *trial, yield func(core.Event, error) bool) {
			yield(core.Event{}, errBroken)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrial(t.Context(), t)
			_ = tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
				s := feedOf(yield)
				tt.end(tr, yield)
				if s.Forward(frames(t, "late")) {
					t.Error("got true afterwards, want false")
				}
				if again := feedOf(yield); again != s {
					t.Errorf("got %v afterwards, want %v", again, s)
				}
			})
			if tr.sum.Events != 0 {
				t.Errorf("got %d events, want 0", tr.sum.Events)
			}
		})
	}
	t.Run("a write fails in the middle", func(t *testing.T) {
		tr := newTrial(t.Context(), t)
		sends := 0
		tr.send = func(string) error {
			if sends++; sends == 2 {
				return errBroken
			}
			return nil
		}
		long := strings.Repeat("x", 129<<10)
		isError(t, tr.serve(func(_ context.Context, yield func(core.Event, error) bool) {
			if feedOf(yield).Forward(frames(t, long, long)) {
				t.Error("got true after a failed write, want false")
			}
		}), nil)
		if sends != 2 {
			t.Errorf("got %d writes, want none after the one that failed", sends)
		}
		isError(t, tr.sum.Cause, core.ErrClientGone)
	})
}

func TestForwardAllocs(t *testing.T) {
	if testenv.Race {
		t.Skip("sync.Pool drops items under the race detector")
	}
	s, err := host.NewSession(t.Context(), core.Request{})
	isError(t, err, nil)
	events := frames(t, strings.Repeat("x", 200), strings.Repeat("y", 200))
	batch := make([][]byte, len(events))
	err = s.Serve(nowhere{}, func(yield func(core.Event, error) bool) {
		session := feedOf(yield)
		forward := func() {
			copy(batch, events)
			session.Forward(batch)
			if batch[0] != nil || batch[1] != nil {
				t.Error("frames that were sent are still held")
			}
		}
		for range 1000 {
			forward()
		}
		if got := testing.AllocsPerRun(10_000, forward); got != 0 {
			t.Errorf("got %v allocations for two frames, want 0", got)
		}
	})
	isError(t, err, nil)
}
