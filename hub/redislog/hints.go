package redislog

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/internal/pause"
)

// hintPause is how long nothing is tried after Redis could not be reached.
const hintPause = 100 * time.Millisecond

// hints are subscriptions to channels, over one connection. It is made for the first one.
type hints struct {
	client  redis.UniversalClient
	changed chan struct{} // has a value if wanted has changed
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of the goroutines
	cancel  context.CancelFunc

	mu     sync.Mutex // guards what follows
	begun  bool
	closed bool
	wanted map[string]map[*func()]bool // those to call, by their channels
}

func newHints(client redis.UniversalClient) *hints {
	h := &hints{client: client, changed: make(chan struct{}, 1), wanted: make(map[string]map[*func()]bool)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// watch has f called for each message of a channel, until cancel is called.
func (h *hints) watch(channel string, f func()) (cancel func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted[channel] == nil {
		h.wanted[channel] = make(map[*func()]bool)
		h.change()
	}
	h.wanted[channel][&f] = true
	if !h.begun && !h.closed {
		h.begun = true
		subscription := h.client.Subscribe(h.ctx)
		h.running.Go(func() { h.subscribe(subscription) })
		h.running.Go(func() { h.receive(subscription) })
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.wanted[channel], &f); len(h.wanted[channel]) == 0 {
			delete(h.wanted, channel)
			h.change()
		}
	}
}

func (h *hints) change() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
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
	has := make(map[string]bool)
	for {
		select {
		case <-h.changed:
		case <-h.ctx.Done():
			return
		}
		var more, less []string
		h.mu.Lock()
		for channel := range h.wanted {
			if !has[channel] {
				more = append(more, channel)
			}
		}
		for channel := range has {
			if h.wanted[channel] == nil {
				less = append(less, channel)
			}
		}
		h.mu.Unlock()
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
		m, err := subscription.Receive(h.ctx)
		switch m := m.(type) {
		case *redis.Message:
			h.call(m.Channel)
		case *redis.Subscription:
			if m.Kind == "subscribe" { // something may have happened before
				h.call(m.Channel)
			}
		}
		if err != nil {
			pause.For(h.ctx, hintPause)
		}
	}
}

func (h *hints) call(channel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.wanted[channel] {
		(*f)()
	}
}
