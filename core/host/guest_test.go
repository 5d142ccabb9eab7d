package host_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
	"github.com/yieldsse/yieldsse/internal/feed"
)

// Nothing that a stream can get ends its session: neither the feed that its yield answers
// with, nor a value of its context.
func TestAStreamCannotEndItsSession(t *testing.T) {
	allowed := []string{"Compressed", "Context", "Forward", "Handover", "Refuse", "Request", "Wake", "WakeToEnd"}
	tr := newTrial(t.Context(), t)
	isError(t, tr.serve(func(ctx context.Context, yield func(core.Event, error) bool) {
		// feed.Of does not know this yield, so the test asks the session itself.
		var q feed.QuestionError
		if !yield(core.Event{}, &q) {
			t.Error("the question ended the stream")
		}
		for name, got := range map[string]any{"its feed": q.Answer, "its context's value": ctx.Value(config.SessionKey{})} {
			if got == nil {
				t.Fatalf("%s is nil", name)
			}
			var methods []string
			for m := range reflect.TypeOf(got).Methods() {
				methods = append(methods, m.Name)
			}
			if !slices.Equal(methods, allowed) {
				t.Errorf("%s has the methods %q, want %q", name, methods, allowed)
			}
		}
		core.Refuse(ctx, core.ErrGroupFull) // too late to do anything
		if !yield(core.Event{Data: "after"}, nil) {
			t.Error("core.Refuse ended a stream that had begun")
		}
	}), nil)
	if tr.sum.Cause != nil || tr.sum.Events != 1 {
		t.Errorf("got %+v, want one event and no cause", tr.sum)
	}
}
