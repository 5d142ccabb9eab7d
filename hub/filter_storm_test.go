package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// Many publish at once: nobody loses an event that it wants without being told, and
// gets none that it does not want.
func TestFilterStorm(t *testing.T) {
	ssetest.NoLeaks(t)
	for _, bound := range []int{0, 300} {
		t.Run(fmt.Sprint("at most ", bound), func(t *testing.T) { filterStorm(t, bound) })
	}
}

func filterStorm(t *testing.T, bound int) {
	t.Helper()
	const publishers, subscribers = 3, 12
	events := hosttest.Rounds(500)
	regions := []string{"eu", "us", "asia"}
	h := hub.New(hub.WithMaxEvents(bound))
	hub.SetStep(h, 50) //nolint:mnd // many steps
	ctx := soon(t)
	url := ssetest.Serve(t, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return h.SubscribeWith(r.Context(), []string{"*", "a"}, only(r.URL.RawQuery))
	}, core.WithDetach(), core.WithCompression()))
	var all sync.WaitGroup
	for i := range subscribers {
		region := regions[i%len(regions)]
		stream, body := h.SubscribeWith(ctx, []string{"*", "a"}, only(region)), io.NopCloser(nil)
		if i >= subscribers/2 {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?"+region, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body = response.Body
			stream = core.Read(body)
		}
		all.Go(func() {
			defer body.Close()
			if err := takeRegion(stream, region, events, bound > 0); err != nil {
				t.Errorf("subscriber %d: %v", i, err)
			}
		})
	}
	hosttest.Eventually(t, "all are subscribed", func() bool { return h.Len("a") == subscribers })
	visiting, leave := context.WithCancel(ctx)
	defer leave()
	for range 3 {
		all.Go(func() { visitRegion(visiting, t, h, "us") })
	}
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range len(regions) * events {
				region := regions[i%len(regions)]
				publish(t, h, []string{"a", "b"}[i%2], fmt.Sprint(region, " ", p, " ", i/len(regions)), in(region))
			}
		})
	}
	publishing.Wait()
	leave()
	for _, region := range regions {
		publish(t, h, "a", region+" end", in(region))
	}
	all.Wait()
	hosttest.Eventually(t, "all have left", func() bool { return h.Len("a") == 0 })
}

// visitRegion comes and goes again and again.
func visitRegion(ctx context.Context, t *testing.T, h *hub.Hub, region string) {
	t.Helper()
	for ctx.Err() == nil {
		n := 0
		for e, err := range h.SubscribeWith(ctx, []string{"*", "a"}, only(region)) {
			if err != nil || e.Type != "gap" && !strings.HasPrefix(e.Data, region) {
				t.Errorf("got %+v, %v", e, err)
			}
			if n++; n == 5 {
				break
			}
		}
	}
}

// takeRegion takes the events of a region until the last one, which each of the publishers
// has numbered.
func takeRegion(s core.Stream, region string, n int, lossy bool) error {
	next := make(map[string]int)
	told := 0 // how often something was missing
	toldOf := make(map[string]int)
	for e, err := range s {
		words := strings.Fields(e.Data)
		switch {
		case err != nil:
			return err
		case e.Type == "gap" && lossy:
			told++
			continue
		case len(words) < 2 || words[0] != region:
			return fmt.Errorf("got %+v", e)
		case words[1] == "end":
			for publisher, i := range next {
				if i != n && toldOf[publisher] == told {
					return fmt.Errorf("got %d of %d events of publisher %s", i, n, publisher)
				}
			}
			return nil
		}
		publisher := words[1]
		i, err := strconv.Atoi(words[2])
		if want := next[publisher]; err != nil || i < want || i > want && toldOf[publisher] == told {
			return fmt.Errorf("got event %s of publisher %s, want %d", words[2], publisher, want)
		}
		next[publisher], toldOf[publisher] = i+1, told
	}
	return errors.New("the stream has ended before the last event")
}
