package host

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Sessions whose ends take long do not delay the end of others one after the other: while
// none gets on, there are twice as many goroutines each time.
func TestEnderHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no timer calls help, because the goroutines wait for a mutex
		const sessions = 100
		s, e := new(Session), new(ender)
		c := &detachedConn{session: s, waits: true}
		s.mu.Lock()
		defer s.mu.Unlock()
		for range sessions {
			e.push(ending{conn: c})
		}
		for _, want := range []int{1, 2, 4, 8, 16, 32, 64, sessions, sessions} {
			for range 1_000_000 {
				if e.begins() == want {
					break
				}
				runtime.Gosched()
			}
			if got := e.begins(); got != want {
				t.Fatalf("got %d endings at work, want %d", got, want)
			}
			e.mu.Lock()
			e.seen = e.begun // as it is when nothing has begun since help last looked
			e.mu.Unlock()
			e.help()
		}
	})
}

// begins returns how many endings have begun.
func (e *ender) begins() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(e.begun) //nolint:gosec // few
}
