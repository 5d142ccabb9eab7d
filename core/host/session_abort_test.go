package host_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/yieldsse/yieldsse/core"
)

// A resetter is a host whose Abort ends the request's context, as the reset of an HTTP/2
// stream does.
type resetter struct {
	*fakeHost

	reset context.CancelFunc
}

func (r resetter) Abort() {
	r.fakeHost.Abort()
	r.reset()
	synctest.Wait()
}

// If an abort ends the request's context, the client has not left.
func TestAbortEndsTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tr := newTrial(ctx, t)
		err := tr.Serve(resetter{tr.fakeHost, cancel}, func(yield func(core.Event, error) bool) {
			yield(core.Event{}, errBroken)
		})
		if got, want := err, errBroken; !errors.Is(got, want) {
			t.Errorf("got error %v, want %v", got, want)
		}
		if got := tr.sum; got.Cause != nil || got.Err != errBroken {
			t.Errorf("got %+v, want no cause and the error", got)
		}
		if got, want := context.Cause(tr.Context()), errBroken; got != want {
			t.Errorf("got cause %v, want %v", got, want)
		}
	})
}
