package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// maxHeld is how many events the hub holds, of all topics together.
const maxHeld = 2000

// newHub makes the hub that all six frameworks share.
func (d *demo) newHub() *hub.Hub {
	return hub.New(hub.WithMaxEvents(maxHeld), hub.WithJoin(d.joined), hub.WithLeave(d.left))
}

// joined is called when a subscription begins. A topic's first token says what it is
// for.
func (d *demo) joined(_ context.Context, topic string) {
	switch kind, rest, _ := strings.Cut(topic, "."); kind {
	case "person":
		d.enter(personOf(rest))
	case "ticker":
		d.prices.join()
	case "news":
		d.items.join()
	}
}

// left is called when a subscription has ended.
func (d *demo) left(_ context.Context, topic string) {
	switch kind, rest, _ := strings.Cut(topic, "."); kind {
	case "person":
		d.leave(personOf(rest))
	case "ticker":
		d.prices.leave()
	case "news":
		d.items.leave()
	}
}

// publish publishes v as JSON. It does not use a request's context, because the event is
// true even if the client that caused it has left.
func (d *demo) publish(topic, typ string, v any, opts ...hub.PublishOption) error {
	e, err := core.Event{Type: typ}.JSON(v)
	if err == nil {
		_, err = d.hub.Publish(context.Background(), topic, e, opts...)
	}
	return err
}

// announce publishes v as JSON, and logs an error.
func (d *demo) announce(topic, typ string, v any, opts ...hub.PublishOption) {
	if err := d.publish(topic, typ, v, opts...); err != nil && !errors.Is(err, core.ErrShutdown) {
		d.log.Print(err)
	}
}

// A feed publishes at regular times while it has followers. So it costs nothing while it
// has none.
type feed struct {
	crew    *crew
	every   time.Duration
	publish func()

	mu        sync.Mutex
	followers int
	stop      context.CancelFunc
}

func (f *feed) join() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers++; f.followers == 1 {
		f.stop = f.crew.start(func(ctx context.Context) {
			for range core.Every(ctx, f.every) {
				f.publish()
			}
		})
	}
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers--; f.followers == 0 {
		f.stop()
	}
}

// A crew is the demo's goroutines, which end with it.
type crew struct {
	mu      sync.Mutex
	ended   bool
	stops   map[*context.CancelFunc]struct{}
	working sync.WaitGroup
}

// start runs work in a goroutine. Its context ends when stop is called or the crew ends.
func (c *crew) start(work func(ctx context.Context)) (stop context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return func() {}
	}
	ctx, stop := context.WithCancel(context.Background())
	if c.stops == nil {
		c.stops = make(map[*context.CancelFunc]struct{})
	}
	c.stops[&stop] = struct{}{}
	c.working.Go(func() {
		defer func() {
			stop()
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.stops, &stop)
		}()
		work(ctx)
	})
	return stop
}

// end ends the goroutines and waits for them.
func (c *crew) end() {
	c.mu.Lock()
	c.ended = true
	for stop := range c.stops {
		(*stop)()
	}
	c.mu.Unlock()
	c.working.Wait()
}

// close ends the hub and the crew. Call it after the streams have ended.
func (d *demo) close(ctx context.Context) error {
	err := d.hub.Shutdown(ctx)
	d.crew.end()
	return err
}
