package host_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// A session works even if its options do nothing or make no sense.
func TestOptionsOfNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []core.Option
		want []string // of a session that waits for 20 s between two events
	}{
		{"none", nil, []string{open, `0s "data: a\n\n"`, "15s " + heartbeat, `20s "data: b\n\n"`, "20s End"}},
		{"a nil option", []core.Option{nil}, []string{open, `0s "data: a\n\n"`, "15s " + heartbeat, `20s "data: b\n\n"`, "20s End"}},
		{"a nil group", []core.Option{core.WithGroup(nil)}, []string{open, `0s "data: a\n\n"`, "15s " + heartbeat, `20s "data: b\n\n"`, "20s End"}},
		{
			"negative durations",
			[]core.Option{
				core.WithHeartbeat(-1), core.WithRetry(-1), core.WithWriteTimeout(-1),
				core.WithFlushWindow(-1), core.WithMaxDuration(-1), core.WithErrorEvent(nil),
			},
			[]string{open, `0s "data: a\n\n"`, `20s "data: b\n\n"`, "20s End"},
		},
		{
			"zero durations",
			[]core.Option{
				core.WithHeartbeat(0), core.WithRetry(0), core.WithWriteTimeout(0),
				core.WithFlushWindow(0), core.WithMaxDuration(0),
			},
			[]string{open, `0s "data: a\n\n"`, `20s "data: b\n\n"`, "20s End"},
		},
		{
			"the last one of a kind counts",
			[]core.Option{core.WithHeartbeat(time.Second), core.WithHeartbeat(12 * time.Second)},
			[]string{open, `0s "data: a\n\n"`, "12s " + heartbeat, `20s "data: b\n\n"`, "20s End"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(t.Context(), t, tt.opts...)
				isError(t, tr.serve(play(0, at{0, "a"}, at{20 * time.Second, "b"})), nil)
				quiet()
				equal(t, tr.log, tt.want)
			})
		})
	}
}

// Both functions of an observer may be nil.
func TestEmptyObserver(t *testing.T) {
	h := newHost(t)
	s, err := host.NewSession(t.Context(), core.Request{}, core.WithObserver(core.Observer{}))
	isError(t, err, nil)
	isError(t, s.Serve(h, nil), nil)
	if len(h.log) != 2 {
		t.Errorf("got %q, want a first frame and an end", h.log)
	}
}

// Handlers may share options: a session only joins the groups of its own handler.
func TestOptionsAreShared(t *testing.T) {
	var all, a, b core.Group
	shared := make([]core.Option, 0, 8)
	shared = append(shared, core.WithGroup(&all))
	first, err := host.NewSession(t.Context(), core.Request{}, append(shared, core.WithGroup(&a))...)
	isError(t, err, nil)
	defer first.Close(nil)
	second, err := host.NewSession(t.Context(), core.Request{}, append(shared, core.WithGroup(&b))...)
	isError(t, err, nil)
	second.Close(nil)
	if all.Len() != 1 || a.Len() != 1 || b.Len() != 0 {
		t.Errorf("got %d, %d and %d sessions, want 1, 1 and 0", all.Len(), a.Len(), b.Len())
	}
}
