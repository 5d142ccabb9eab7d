package ssetest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// stay is the function of a goroutine that leaks.
func stay(release <-chan struct{}) { <-release }

func TestNoLeaks(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for _, test := range []struct {
		name   string
		wait   time.Duration
		run    func(t testing.TB)
		ignore []string
		want   string
	}{
		{"nothing", time.Minute, func(testing.TB) {}, nil, ""},
		{"a goroutine that stays", 20 * time.Millisecond, func(testing.TB) { go stay(release) }, nil, "ssetest.stay("},
		{"its end is near", time.Minute, func(t testing.TB) {
			end := make(chan struct{})
			go stay(end)
			time.AfterFunc(20*time.Millisecond, func() { close(end) })
		}, nil, ""},
		{"it is ignored", time.Minute, func(testing.TB) { go stay(release) }, []string{"ssetest.stay"}, ""},
		{"a cleanup ends it", time.Minute, func(t testing.TB) {
			end := make(chan struct{})
			go stay(end)
			t.Cleanup(func() { close(end) })
		}, nil, ""},
		{"idle connections of the default client", time.Minute, func(t testing.TB) {
			resp, err := http.Get(Serve(t, http.NotFoundHandler())) //nolint:noctx // on loopback
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := hosttest.Failed(t, func(t testing.TB) {
				noLeaks(t, test.wait, test.ignore)
				test.run(t)
			})
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got failure %q, want %q in it", got, test.want)
			}
		})
	}
}
