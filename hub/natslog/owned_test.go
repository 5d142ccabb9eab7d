package natslog

import (
	"strconv"
	"testing"
	"time"
)

// A process does not keep the runs that nobody has told it the end of.
func TestOwnedIsSwept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &Runs{owned: make(map[string]change), clock: reading{server: now, at: now}}
	r.own(change{mark: mark{time: now}, ID: "late", Lease: 24 * time.Hour})
	r.own(change{mark: mark{time: now.Add(-2 * time.Hour)}, Renewed: now, ID: "renewed", Lease: time.Hour})
	for i := range 1000 {
		r.own(change{mark: mark{time: now.Add(-time.Hour)}, ID: strconv.Itoa(i), Lease: time.Minute})
	}
	if n := r.Owned(); n > 40 {
		t.Errorf("got %d runs, want at most 40", n)
	}
	for _, id := range []string{"late", "renewed"} {
		if _, ok := r.owned[id]; !ok {
			t.Errorf("the run %q is not known any more", id)
		}
	}
}
