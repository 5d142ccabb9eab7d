package inspect

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
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

// A slowMember is a session whose listing takes a while.
type slowMember struct {
	config.Member

	takes time.Duration
}

func (slowMember) Context() context.Context { return context.Background() }

func (m slowMember) Progress() config.Progress {
	<-time.After(m.takes)
	return config.Progress{}
}

// Between two snapshots is a second, however long each of them takes.
func TestSlowSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(core.Group)
		var c config.Config[core.Event, core.Observer]
		core.WithGroup(g)(&c)
		if err := c.Groups[0].Join(slowMember{takes: 1500 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		h := &Handler{Groups: map[string]*core.Group{"g": g}}
		begin := time.Now()
		var got []time.Duration
		for _, err := range h.live(query{})(nil, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, time.Since(begin)); len(got) == 3 {
				break
			}
		}
		if want := []time.Duration{1500 * time.Millisecond, 4 * time.Second, 6500 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("got snapshots after %v, want %v", got, want)
		}
		h.drop() // as if its timer had fired while the last one was taken
		if h.last == nil {
			t.Error("a snapshot was forgotten that was just taken")
		}
	})
}

// Whoever has lost the right sees no more than a minute of what they may not see.
func TestAuthorizedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := time.Now().Add(time.Second)
		h := &Handler{Authorize: func(*http.Request) bool { return time.Now().Before(lost) }}
		look := func() (status int, took time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			r.Header.Set("Accept", "text/event-stream")
			w, begin := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, r)
			return w.Code, time.Since(begin)
		}
		if status, took := look(); status != http.StatusOK || took > time.Minute {
			t.Errorf("got %d for %v, want 200 for at most a minute", status, took)
		}
		if status, _ := look(); status != http.StatusForbidden {
			t.Errorf("got %d after a reconnection, want 403", status)
		}
	})
}
