package bench_test

import (
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// A side is one of the two that a benchmark compares.
type side struct {
	name   string
	target func(events int) string

	server *process.Process
	cpu    []float64 // ns an event, of each round
	allocs []float64 // an event
	writes []float64 // an event
}

// run has the server send events and notes what that took.
func (s *side) run(tb testing.TB, events int) {
	tb.Helper()
	u := burst(tb, s.server, s.target(events), events)
	n := float64(events)
	s.cpu = append(s.cpu, float64(u.CPU)/n)
	s.allocs = append(s.allocs, float64(u.Allocs)/n)
	s.writes = append(s.writes, float64(u.Writes)/n)
}

func (s *side) log(b *testing.B) {
	b.Helper()
	b.Logf("%-10s  CPU %s ns, %.2f allocations, %.3f writes an event", s.name,
		stats.Of(s.cpu), stats.Of(s.allocs).Median, stats.Of(s.writes).Median)
}

// burst reads target to its end and returns what it took the server.
func burst(tb testing.TB, p *process.Process, target string, events int) process.Usage {
	tb.Helper()
	before, err := p.Usage()
	if err != nil {
		tb.Fatal(err)
	}
	if err := reader.Drain(p.Addr, target, events); err != nil {
		tb.Fatal(err)
	}
	after, err := p.Usage()
	if err != nil {
		tb.Fatal(err)
	}
	return after.Sub(before)
}

// BenchmarkStream compares one stream at full speed with the same events by hand.
func BenchmarkStream(b *testing.B) {
	events := setting(b, "YIELDSSE_BENCH_EVENTS", 50_000)
	for _, bb := range []struct {
		name  string
		side  side
		hand  string
		limit float64
	}{
		{"nethttpsse/window=0", side{name: server.NetHTTPSSE, target: server.Each}, server.NetHTTP, 0.9},
		{"nethttpsse/window=1ms", side{name: server.NetHTTPSSE, target: server.Gathered}, server.NetHTTP, 0.35},
		{"ginsse/window=0", side{name: server.GinSSE, target: server.Each}, server.NetHTTP, 0.9},
		{"ginsse/window=1ms", side{name: server.GinSSE, target: server.Gathered}, server.NetHTTP, 0.35},
		{"echosse/window=0", side{name: server.EchoSSE, target: server.Each}, server.NetHTTP, 0.9},
		{"echosse/window=1ms", side{name: server.EchoSSE, target: server.Gathered}, server.NetHTTP, 0.35},
		{"fibersse/window=0", side{name: server.FiberSSE, target: server.Each}, server.Fiber, 0.9},
		{"fibersse/window=1ms", side{name: server.FiberSSE, target: server.Gathered}, server.Fiber, 0.35},
	} {
		b.Run(bb.name, func(b *testing.B) {
			unpin, err := process.Pin()
			if err != nil {
				b.Fatal(err)
			}
			defer unpin()
			hand, ours := side{name: bb.hand, target: server.Each}, bb.side
			for _, s := range []*side{&hand, &ours} {
				s.server = start(b, s.name)
				burst(b, s.server, s.target(events), events) // warms up
			}
			rounds(b, 15, func() {
				hand.run(b, events)
				ours.run(b, events)
			})
			ratio := stats.Ratio(ours.cpu, hand.cpu)
			hand.log(b)
			ours.log(b)
			b.Logf("ratio       %s in %d rounds; at most %.2f: %s", ratio, len(ours.cpu), bb.limit, verdict(ratio.Median, bb.limit))
			b.ReportMetric(ratio.Median, "cpu-ratio")
			b.ReportMetric(stats.Of(ours.cpu).Median, "cpu-ns/event")
			b.ReportMetric(stats.Of(ours.allocs).Median, "allocs/event")
			b.ReportMetric(stats.Of(ours.writes).Median, "writes/event")
		})
	}
}

// What the process does beside the stream: the request, the reports, the
// runtime's own wake-ups.
const background = 0.01

func TestStreamAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool loses what it holds")
	}
	const events = 100_000
	for _, name := range []string{server.NetHTTPSSE, server.GinSSE, server.EchoSSE, server.FiberSSE} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			for _, tt := range []struct {
				window, target string
				byHost         bool // net/http allocates the length of a chunk of 256 bytes or more
			}{
				{"0", server.Ready(server.Each(events)), false},
				{"1ms", server.Ready(server.Gathered(events)), true},
			} {
				burst(t, p, tt.target, events) // warms up
				u := burst(t, p, tt.target, events)
				got, limit := float64(u.Allocs)/events, background
				if tt.byHost {
					limit += float64(u.Writes) / events
				}
				if got >= limit {
					t.Errorf("window %s: got %.4f allocations an event, want 0 (below %.4f)", tt.window, got, limit)
				}
			}
		})
	}
}

func TestStreamWriteCalls(t *testing.T) {
	const events = 10_000
	for _, name := range []string{server.NetHTTPSSE, server.GinSSE, server.EchoSSE, server.FiberSSE} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			got := float64(burst(t, p, server.Each(events), events).Writes) / events
			if got < 1 || got >= 1+background {
				t.Errorf("without a flush window: got %.4f write calls an event, want 1", got)
			}
			got = float64(burst(t, p, server.Gathered(events), events).Writes) / events
			if got >= 0.1 {
				t.Errorf("with the default flush window: got %.4f write calls an event, want less than 0.1", got)
			}
		})
	}
}
