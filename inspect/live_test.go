package inspect

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// All viewers share one snapshot a second, whenever they have come, and nothing is left when
// the last of them has gone.
func TestSnapshotsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{Groups: map[string]*core.Group{"g": {}}}
		q, err := queryOf(url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var (
			mu   sync.Mutex
			seen = map[time.Duration]int{}
			wg   sync.WaitGroup
		)
		for i := range 4 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * 300 * time.Millisecond)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for e, err := range h.live(q)(nil, r) {
					var got report
					if err == nil {
						err = json.Unmarshal([]byte(e.Data), &got)
					}
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen[got.Time.Sub(begin)]++
					mu.Unlock()
					if n++; n == 3 {
						return
					}
				}
			})
		}
		wg.Wait()
		var got []int
		for at := time.Duration(0); at < 10*time.Second; at += time.Second {
			got = append(got, seen[at])
		}
		// Those that have come after 0, 0.3, 0.6 and 0.9 s see the first one.
		if want := []int{4, 4, 4, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(got, want) || len(seen) != 3 {
			t.Errorf("got snapshots %v, want three, each seen by 4", seen)
		}
		<-time.After(kept)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.last != nil {
			t.Error("a snapshot is kept, though nobody looks")
		}
	})
}
