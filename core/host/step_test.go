package host

import (
	"math"
	"testing"
	"time"
)

// The timers of detached sessions that began at different times fire together, each soon after it
// is due.
func TestTimersInStep(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	for _, tt := range []struct{ heartbeat, timeout, step time.Duration }{
		{1, time.Second, 1},
		{250 * time.Millisecond, time.Second, 250*time.Millisecond/8 + 1},
		{15 * time.Second, time.Second, 100 * time.Millisecond},
		{never, 0, 100 * time.Millisecond},
		{0, 30 * time.Second, 100 * time.Millisecond},
		{-1, 80 * time.Millisecond, 10*time.Millisecond + 1},
		{-1, -8, 1},
	} {
		instants := map[time.Duration]bool{}
		for i := range 1000 {
			s := &Session{begin: epoch.Add(time.Hour + tt.step*time.Duration(i)/1000)}
			s.config.Heartbeat, s.config.WriteTimeout = tt.heartbeat, tt.timeout
			const due = 7 * time.Second
			at := s.inStep(due)
			if at < due || at >= due+tt.step {
				t.Fatalf("heartbeat %v: got %v, want %v or less than %v later", tt.heartbeat, at, due, tt.step)
			}
			instants[s.begin.Sub(epoch)+at] = true
		}
		if len(instants) > 2 {
			t.Errorf("heartbeat %v: got %d instants within a step, want at most 2", tt.heartbeat, len(instants))
		}
		s := &Session{begin: epoch.Add(time.Hour)}
		s.config.Heartbeat = tt.heartbeat
		if got := s.inStep(never); got != never {
			t.Errorf("heartbeat %v: got %v for never", tt.heartbeat, got)
		}
	}
}
