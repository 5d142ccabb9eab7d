package redislog

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/internal/pause"
	"github.com/yieldsse/yieldsse/internal/watch"
)

const (
	// hintPause is how long nothing is tried after Redis could not be reached.
	hintPause = 100 * time.Millisecond

	// hintBeat is how often Redis is asked for a sign of life. A connection that gives none for twice that
	// time is given up.
	hintBeat = 3 * time.Second
)

// hints are subscriptions to channels, over one connection. It is made for the first one.
type hints struct {
	watch.Set // by channels

	client  redis.UniversalClient
	beat    time.Duration
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of the goroutines
	cancel  context.CancelFunc

	mu     sync.Mutex // guards what follows
	begun  bool
	closed bool
}

func newHints(client redis.UniversalClient) *hints {
	h := &hints{client: client, beat: hintBeat}
	h.Changed = make(chan struct{}, 1)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// watch has f called for each message of a channel, until cancel is called.
func (h *hints) watch(channel string, f func()) (cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.begun && !h.closed {
		h.begun = true
		subscription := h.client.Subscribe(h.ctx)
		h.running.Go(func() { h.subscribe(subscription) })
		h.running.Go(func() { h.receive(subscription) })
	}
	return h.Add(channel, f)
}

// close ends the goroutines.
func (h *hints) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.running.Wait()
}

// subscribe subscribes to what is wanted.
func (h *hints) subscribe(subscription *redis.PubSub) {
	defer func() { _ = subscription.Close() }() // which ends receive
	beat := time.NewTicker(h.beat)
	defer beat.Stop()
	has := make(map[string]bool)
	for {
		select {
		case <-h.Changed:
		case <-beat.C:
			_ = subscription.Ping(h.ctx) // if it fails, the connection is made again
			continue
		case <-h.ctx.Done():
			return
		}
		more, less := watch.Compare(&h.Set, has)
		// If one fails, the connection is made again, with all channels.
		if len(more) > 0 {
			_ = subscription.Subscribe(h.ctx, more...)
		}
		if len(less) > 0 {
			_ = subscription.Unsubscribe(h.ctx, less...)
		}
		for _, channel := range more {
			has[channel] = true
		}
		for _, channel := range less {
			delete(has, channel)
		}
	}
}

// receive calls those who watch. After a connection was lost, hints may have been lost too.
func (h *hints) receive(subscription *redis.PubSub) {
	for h.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(h.ctx, 2*h.beat)
		m, err := subscription.Receive(ctx) // after the timeout, the next call makes the connection again
		cancel()
		switch m := m.(type) {
		case *redis.Message:
			h.Call(m.Channel)
		case *redis.Subscription:
			if m.Kind == "subscribe" { // something may have happened before
				h.Call(m.Channel)
			}
		}
		if err != nil {
			pause.For(h.ctx, hintPause)
		}
	}
}
