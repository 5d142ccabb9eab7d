package presence_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/presence"
)

// A member that joins and leaves a room of 10,000 others, alone and with a log.
func BenchmarkJoin(b *testing.B) {
	for name, opts := range map[string][]presence.Option{
		"alone": nil,
		"log":   {presence.WithLog(new(hubtest.MemoryLog))},
	} {
		b.Run(name, func(b *testing.B) {
			p := presence.New(opts...)
			defer func() { _ = p.Shutdown(b.Context()) }()
			fill(b, p, 10_000)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				leave, err := p.Join(ctx, "x", "ann", nil)
				if err != nil {
					b.Fatal(err)
				}
				leave()
			}
		})
	}
}

// What a process adds to the log for 10,000 members that stay.
func BenchmarkRenewal(b *testing.B) {
	log := &link{Log: new(hubtest.MemoryLog), changed: make(chan struct{})}
	const short = 300 * time.Millisecond
	p := presence.New(presence.WithLog(log), presence.WithLease(short))
	defer func() { _ = p.Shutdown(context.Background()) }()
	fill(b, p, 10_000)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for e, err := range p.Stream(ctx, "x") { // until it knows, and has told
		if err != nil || e.Type == "current" {
			break
		}
	}
	before, _ := log.sent()
	began := time.Now()
	for b.Loop() {
		<-time.After(short)
	}
	after, _ := log.sent()
	b.ReportMetric(float64(after-before)/(float64(time.Since(began))/float64(short)), "events/lease")
	b.ReportMetric(0, "ns/op")
}

func fill(b *testing.B, p *presence.Tracker, n int) {
	b.Helper()
	for i := range n {
		if _, err := p.Join(context.Background(), "x", strconv.Itoa(i), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// A process starts while another one has 10,000 members: until it knows them.
func BenchmarkStart(b *testing.B) {
	log := new(hubtest.MemoryLog)
	p := presence.New(presence.WithLog(log), presence.WithLease(time.Second))
	defer func() { _ = p.Shutdown(context.Background()) }()
	fill(b, p, 10_000)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		q := presence.New(presence.WithLog(log))
		for e, err := range q.Stream(ctx, "x") {
			if err != nil || e.Type == "current" {
				break
			}
		}
		if n := q.Len("x"); n != 10_000 {
			b.Errorf("got %d members", n)
		}
		if err := q.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		cancel()
	}
}
