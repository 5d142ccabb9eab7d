package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// A session expires by the wall clock. If that is set forward, or the machine has slept, the
// session notices within a minute, and one whose clock is set back goes on.
func TestExpiryWhenTheClockIsSet(t *testing.T) {
	for _, tt := range []struct {
		name  string
		by    time.Duration // after a quarter of an hour; the session expires after an hour
		least time.Duration
		most  time.Duration
	}{
		{"forward", 2 * time.Hour, 15 * time.Minute, 16 * time.Minute},
		{"a bit forward", 15 * time.Minute, 45 * time.Minute, 45 * time.Minute},
		{"back", -time.Hour, 2 * time.Hour, 2 * time.Hour},
		{"not", 0, time.Hour, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, takes, end := time.Now(), time.Duration(0), time.Duration(0)
				s, err := NewSession(t.Context(), core.Request{}, core.WithHeartbeat(0),
					core.WithExpiry(func(context.Context) time.Time { return begin.Add(time.Hour) }))
				if err != nil {
					t.Fatal(err)
				}
				s.credential.clock = func() time.Time {
					now := time.Now().Round(0)
					if now.Sub(begin) >= 15*time.Minute {
						now = now.Add(tt.by)
					}
					return now
				}
				_ = s.Serve(mute{&takes}, func(func(core.Event, error) bool) {
					<-s.Context().Done()
					end = time.Since(begin)
				})
				if got := context.Cause(s.Context()); !errors.Is(got, core.ErrExpired) {
					t.Errorf("got the cause %v, want %v", got, core.ErrExpired)
				}
				if end < tt.least || end > tt.most {
					t.Errorf("got an end after %v, want it between %v and %v", end, tt.least, tt.most)
				}
			})
		})
	}
}
