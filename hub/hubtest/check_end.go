package hubtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
)

// Kick ends only streams of its own process.
func checkKick(f *fixture) {
	hubs := f.three()
	here, elsewhere := f.join(hubs[0], "a"), f.join(hubs[1], "a")
	id := f.publish(hubs[2], "a", "1")
	here.want("1")
	elsewhere.want("1")
	f.caughtUp(id, hubs...)
	want := 1
	if f.plain != nil {
		want = 2
	}
	if got := hubs[0].Kick("a"); got != want {
		f.Errorf("got %d kicked, want %d", got, want)
	}
	if err := here.end(); !errors.Is(err, io.EOF) {
		f.Errorf("got the end %v, want a clean one", err)
	}
	if f.plain == nil {
		f.publish(hubs[0], "a", "2")
		elsewhere.want("2")
	}
}

// A client that is kicked while it reads pages of the log gets what was published before.
func checkKickPaging(f *fixture) {
	f.needLog()
	const n = 1000
	h := f.open(small...)
	c := f.client("a")
	begin := h.LastID()
	f.publishMany(h, n)
	f.caughtUp(f.publish(h, "a", "last"), h)
	c.connect(h, hub.After(begin))
	c.event()
	h.Kick("a")
	f.publishMany(h, n)
	var err error
	for err == nil {
		_, err = c.take(time.After(patience))
	}
	if !errors.Is(err, io.EOF) || len(c.seen) != n+1 || summary(c.seen[n]) != "last" {
		f.Errorf("got %d events and the end %v, want the %d that were published before, and a clean end", len(c.seen), err, n+1)
	}
}

// What was published at a hub comes before a kick or a shutdown there, even if it has
// not come back from the log yet.
func checkKickAtOnce(f *fixture) {
	h := f.open(small...)
	const rounds = 10
	for round := range rounds {
		here, there := f.join(h, "a"), f.join(h, "b")
		f.eventually("they are subscribed", func() bool { return h.Len("a") == 1 && h.Len("b") == 1 })
		var want []string
		for n := range 1 + 3*round {
			want = append(want, fmt.Sprint(n))
			f.publish(h, "a", want[n])
		}
		stopped := make(chan error, 1)
		if round < rounds-1 {
			h.Kick("a")
			h.Kick("b")
			stopped <- nil
		} else {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			go func() { stopped <- h.Shutdown(ctx) }()
		}
		here.want(want...)
		for _, c := range []*client{here, there} {
			if err := c.end(); !errors.Is(err, io.EOF) {
				f.Errorf("got the end %v, want a clean one", err)
			}
		}
		if err := <-stopped; err != nil {
			f.Error(err)
		}
		f.eventually("they have left", func() bool { return h.Len("a") == 0 && h.Len("b") == 0 })
	}
}

func checkShutdown(f *fixture) {
	f.needLog()
	h, other := f.open(), f.open()
	here, elsewhere := f.join(h, "a"), f.join(other, "a")
	id := f.publish(other, "a", "1")
	here.want("1")
	f.caughtUp(id, h)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		f.Fatal(err)
	}
	if err := here.end(); !errors.Is(err, io.EOF) {
		f.Errorf("got the end %v, want a clean one", err)
	}
	if _, err := h.Publish(ctx, "a", core.Event{}); !errors.Is(err, core.ErrShutdown) {
		f.Errorf("publish: got %v, want ErrShutdown", err)
	}
	late := f.join(h, "a")
	if err := late.end(); !errors.Is(err, core.ErrShutdown) {
		f.Errorf("subscribe: got %v, want ErrShutdown", err)
	}
	if err := h.Healthy(); !errors.Is(err, core.ErrShutdown) {
		f.Errorf("healthy: got %v, want ErrShutdown", err)
	}
	f.publish(other, "a", "2")
	elsewhere.want("1", "2")
	here.connect(other, hub.Now)
	here.want("2")
}

func checkStats(f *fixture) {
	f.needLog()
	h, other := f.open(), f.open()
	id := ""
	for n := range 10 {
		id = f.publish(h, "a", fmt.Sprint(n))
	}
	f.caughtUp(id, h, other)
	for _, h := range []*hub.Hub{h, other} {
		s := h.Stats().Log
		if s.Events != 10 || s.Bytes < 100 || s.Bytes > 5000 || s.Lag < 0 || s.Lag > patience || s.Reconnects != 0 || s.Gaps != 0 {
			f.Errorf("got %+v, want 10 events, little lag, and no failure", s)
		}
		f.eventually("the hub is healthy", func() bool { return h.Healthy() == nil })
	}
}
