package host

import (
	"math/rand/v2"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// An agenda returns each session at its last appointment, the earliest first, and holds
// nothing for those that have none.
func TestAgenda(t *testing.T) {
	for seed := range uint64(hosttest.Rounds(200)) { //nolint:gosec // not negative
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not a secret
		var (
			a    agenda
			want = make(map[*detachedConn]int64)
			all  = make([]detachedConn, 1+random.IntN(20))
			now  int64
		)
		for range 500 {
			c := &all[random.IntN(len(all))]
			switch random.IntN(4) {
			case 0, 1:
				due := now + 1 + random.Int64N(10)
				a.put(c, due)
				want[c] = due
			case 2:
				a.remove(c)
				delete(want, c)
			case 3:
				now += random.Int64N(4)
				last := int64(0)
				for c := a.next(now); c != nil; c = a.next(now) {
					due, ok := want[c]
					if !ok || due > now || due < last {
						t.Fatalf("seed %d: at %d, after one of %d, got a session of %d, %v", seed, now, last, due, ok)
					}
					last = due
					delete(want, c)
				}
				for _, due := range want {
					if due <= now {
						t.Fatalf("seed %d: at %d, the session of %d is missing", seed, now, due)
					}
				}
			}
			times := make(map[int64]bool)
			for _, due := range want {
				times[due] = true
			}
			if len(a.order) != len(times) || len(a.at) != len(times) {
				t.Fatalf("seed %d: got %d and %d appointments, want %d", seed, len(a.order), len(a.at), len(times))
			}
		}
	}
}
