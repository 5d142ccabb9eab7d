package rolling_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// A crowd is many clients of one stream, whose events have the numbers from 1 on, and at
// last the word "end". Each reads until then, and reconnects as an EventSource does: after
// a clean end, and not after an error.
type crowd struct {
	size    int
	joined  atomic.Int64 // those that have the first event
	news    atomic.Int64 // the last number
	reading sync.WaitGroup

	mu    sync.Mutex
	came  []time.Time // when a client has reconnected
	wrong []error     // what clients have seen that they should not
}

// gather starts clients of a URL. They leave when ctx ends.
func gather(ctx context.Context, size int, url string) *crowd {
	c := &crowd{size: size}
	transport := &http.Transport{MaxIdleConnsPerHost: size}
	for range size {
		c.reading.Go(func() {
			if err := c.read(ctx, url, &http.Client{Transport: transport}); err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.wrong = append(c.wrong, err)
			}
		})
	}
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	return c
}

func (c *crowd) read(ctx context.Context, url string, httpClient *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	connections := 0
	stream := client.Stream(req,
		client.WithHTTPClient(httpClient),
		client.WithRetryPolicy(func(err error, _ int) bool { return errors.Is(err, client.ErrEnded) }),
		client.WithConnected(func(*http.Response) {
			if connections++; connections > 1 {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.came = append(c.came, time.Now())
			}
		}),
	)
	last := int64(0)
	for e, err := range stream {
		switch {
		case err != nil:
			return fmt.Errorf("after event %d: %w", last, err)
		case e.Data == "end" && last == c.news.Load():
			return nil
		case e.Type != "" || e.Data != strconv.FormatInt(last+1, 10):
			return fmt.Errorf("after event %d: got the event %q of type %q", last, e.Data, e.Type)
		}
		if last++; last == 1 {
			c.joined.Add(1)
		}
	}
	return fmt.Errorf("after event %d: the stream has ended", last)
}

// publish publishes the numbers, one in each interval, until ctx ends, and then "end".
func (c *crowd) publish(ctx context.Context, t *testing.T, h *hub.Hub, interval time.Duration) {
	for range core.Every(ctx, interval) {
		if _, err := h.Publish(context.WithoutCancel(ctx), "news", core.Event{Data: strconv.FormatInt(c.news.Add(1), 10)}); err != nil {
			t.Errorf("event %d: %v", c.news.Load(), err)
			break
		}
	}
	if _, err := h.Publish(context.WithoutCancel(ctx), "news", core.Event{Data: "end"}); err != nil {
		t.Error(err)
	}
}

// reconnections returns the times of all reconnections, in their order.
func (c *crowd) reconnections() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(slices.Values(c.came), time.Time.Compare)
}

// most returns how many of the times are at most within d of each other.
func most(times []time.Time, d time.Duration) (n int) {
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) > d {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}
