package host

import (
	"math"
	"testing"
	"time"
)

// Detached sessions that began at different times send their heartbeats together, each soon
// after it is due.
func TestHeartbeatsInStep(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	for _, tt := range []struct{ heartbeat, step time.Duration }{
		{1, 1},
		{250 * time.Millisecond, 250*time.Millisecond/8 + 1},
		{15 * time.Second, 100 * time.Millisecond},
		{never, 100 * time.Millisecond},
	} {
		instants := map[time.Duration]bool{}
		for i := range 1000 {
			s := &Session{begin: epoch.Add(time.Hour + tt.step*time.Duration(i)/1000)}
			s.config.Heartbeat = tt.heartbeat
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
