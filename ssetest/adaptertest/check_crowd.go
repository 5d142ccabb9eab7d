package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ssetest"
)

func checkCrowd(t testing.TB, h mounted) {
	ssetest.NoLeaks(t, h.Ignore...)
	const (
		workers  = 20
		sessions = 15 // of each worker
	)
	group := new(core.Group)
	s := h.serve(t, map[string]View{"/": count}, core.WithGroup(group), core.WithHeartbeat(time.Millisecond))
	errs := make(chan error, workers*sessions)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker))) //nolint:gosec // the same numbers each time
			for range sessions {
				errs <- s.visit(random)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	if err := group.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// count is a view that counts to the number in the request's body, with pauses.
func count(ctx context.Context, x Exchange) core.Stream {
	body, err := io.ReadAll(x.Body)
	size, _ := strconv.Atoi(string(body))
	return func(yield func(core.Event, error) bool) {
		if err != nil {
			yield(core.Event{}, err)
			return
		}
		for i, e := range numbered(1, size) {
			if i%7 == 3 {
				for range core.Every(ctx, time.Millisecond) {
					break
				}
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// visit is one client: it reads to the end, leaves after some events, or leaves at a
// random time, perhaps before it has an answer.
func (s *server) visit(random *rand.Rand) error {
	size := random.IntN(40)
	want, patience := size, s.host.timeout
	switch random.IntN(3) {
	case 0:
		want = random.IntN(size + 1)
	case 1:
		patience = time.Duration(random.IntN(20_000)) * time.Microsecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/", strings.NewReader(strconv.Itoa(size)))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	left := func(err error) error {
		if patience < s.host.timeout && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil // as intended
		}
		return err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return left(fmt.Errorf("a client among many: %w", err))
	}
	defer func() { _ = resp.Body.Close() }()
	n := 0
	for e, err := range core.Read(resp.Body) {
		if err != nil {
			return left(fmt.Errorf("a client among many, after %d of %d events: %w", n, size, err))
		}
		n++
		if e != (core.Event{ID: strconv.Itoa(n)}) {
			return fmt.Errorf("a client among many: got %+v, want ID %d", e, n)
		}
		if n == want && want < size {
			return nil
		}
	}
	if n != size {
		return fmt.Errorf("a client among many: a clean end after %d of %d events", n, size)
	}
	return nil
}
