package bench_test

import (
	"net/netip"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// A holder is a side that holds idle streams.
type holder struct {
	name string

	rss, heap, stack, goroutines []float64 // a connection, of each round
}

// run opens that many connections to a new server, waits for an event on each,
// and notes what they hold.
func (h *holder) run(b *testing.B, conns int) {
	b.Helper()
	p, err := process.Start(h.name)
	if err != nil {
		b.Fatal(err)
	}
	const few = 20
	hold(b, p, few)() // so that what a first connection needs is there
	before, err := p.Memory()
	if err != nil {
		b.Fatal(err)
	}
	release := hold(b, p, conns)
	after, err := p.Memory()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		b.Error(err)
	}
	release()
	m, n := after.Sub(before), float64(conns)
	h.rss = append(h.rss, float64(m.RSS)/n)
	h.heap = append(h.heap, float64(m.Heap)/n)
	h.stack = append(h.stack, float64(m.Stack)/n)
	h.goroutines = append(h.goroutines, float64(m.Goroutines)/n)
}

// hold opens idle streams, from many local addresses for one has not ports
// enough, and returns what closes them.
func hold(b *testing.B, p *process.Process, conns int) (release func()) {
	b.Helper()
	open := make([]*reader.Conn, 0, conns)
	release = func() {
		for _, c := range open {
			c.Close()
		}
	}
	for i := range conns {
		from := netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i%100)})
		c, err := reader.Open(p.Addr, from, server.Idle)
		if err == nil {
			open = append(open, c)
			err = c.Await(1)
		}
		if err != nil {
			release()
			b.Fatalf("connection %d: %v", i, err)
		}
	}
	return release
}

func (h *holder) log(b *testing.B) {
	b.Helper()
	b.Logf("%-10s  RSS %s, heap %.0f, stack %.0f bytes, %.2f goroutines a connection", h.name,
		stats.Of(h.rss), stats.Of(h.heap).Median, stats.Of(h.stack).Median, stats.Of(h.goroutines).Median)
}

// BenchmarkIdle compares the memory of streams that wait with the same by hand.
func BenchmarkIdle(b *testing.B) {
	conns := setting(b, "YIELDSSE_BENCH_CONNS", 2_000)
	for _, bb := range []struct {
		name, hand string
		limit      float64
	}{
		{server.NetHTTPSSE, server.NetHTTP, 1.1},
		{server.GinSSE, server.NetHTTP, 1.1},
		{server.EchoSSE, server.NetHTTP, 1.1},
		{server.FiberSSE, server.Fiber, 0.6},
	} {
		b.Run(bb.name, func(b *testing.B) {
			hand, ours := holder{name: bb.hand}, holder{name: bb.name}
			rounds(b, 3, func() {
				hand.run(b, conns)
				ours.run(b, conns)
			})
			ratio := stats.Ratio(ours.rss, hand.rss)
			hand.log(b)
			ours.log(b)
			b.Logf("ratio       %s in %d rounds of %d connections; at most %.2f: %s",
				ratio, len(ours.rss), conns, bb.limit, verdict(ratio.Median, bb.limit))
			b.ReportMetric(ratio.Median, "rss-ratio")
			b.ReportMetric(stats.Of(ours.rss).Median, "rss-B/conn")
			b.ReportMetric(stats.Of(ours.goroutines).Median, "goroutines/conn")
		})
	}
}
