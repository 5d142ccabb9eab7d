package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// dataSize makes an event of 200 bytes, when its number has six digits.
const dataSize = 161

// An audience is the subscribers of one server, and what it took to reach them.
type audience struct {
	server *process.Process
	crowd  *reader.Crowd
	size   int
	events int // that each has got since the beginning

	latencies []time.Duration // of the round, if they are wanted
}

// assemble connects subscribers to a server. They are woken for each event if
// prompt, and then note how long it took to come.
func assemble(tb testing.TB, p *process.Process, size int, prompt bool) *audience {
	tb.Helper()
	a := &audience{server: p, size: size}
	var note func([]byte, time.Time)
	if prompt {
		note = func(data []byte, at time.Time) {
			sent, err := server.SentAt(data)
			if err != nil {
				tb.Error(err)
			}
			a.latencies = append(a.latencies, at.Sub(sent))
		}
	}
	var err error
	if a.crowd, err = reader.OpenCrowd(p.Addr, size, server.Events, !prompt, note); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(a.crowd.Close)
	return a
}

// reach publishes events, waits until each subscriber has got all of them, and
// returns what that took.
func (a *audience) reach(tb testing.TB, events, dataSize, rate int) (process.Usage, server.Published) {
	tb.Helper()
	type answer struct {
		published server.Published
		err       error
	}
	a.latencies = a.latencies[:0]
	a.events += events
	before, err := a.server.Usage()
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan answer, 1)
	go func() {
		p, err := publish(a.server, events, dataSize, rate)
		done <- answer{p, err}
	}()
	if err := a.crowd.Await(a.events); err != nil {
		tb.Fatal(err)
	}
	after, err := a.server.Usage()
	if err != nil {
		tb.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		tb.Fatal(got.err)
	}
	return after.Sub(before), got.published
}

// publish has a server publish events.
func publish(p *process.Process, events, dataSize, rate int) (got server.Published, err error) {
	url := "http://" + p.Addr.String() + server.Publish(events, dataSize, rate)
	resp, err := http.Get(url)
	if err != nil {
		return got, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, body)
	}
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal(body, &got)
}

// A spread is what the rounds of one side have shown.
type spread struct {
	name string

	cpu, allocs, writes  []float64 // a delivery; CPU in ns
	p50, p99, publishMax []float64 // ms
}

// run is a round.
func (s *spread) run(tb testing.TB, a *audience, events, dataSize, rate int) {
	tb.Helper()
	u, p := a.reach(tb, events, dataSize, rate)
	n := float64(events * a.size)
	s.cpu = append(s.cpu, float64(u.CPU)/n)
	s.allocs = append(s.allocs, float64(u.Allocs)/n)
	s.writes = append(s.writes, float64(u.Writes)/n)
	s.p50 = append(s.p50, ms(stats.Quantile(a.latencies, 0.5)))
	s.p99 = append(s.p99, ms(stats.Quantile(a.latencies, 0.99)))
	s.publishMax = append(s.publishMax, ms(p.Max))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s *spread) logCPU(b *testing.B) {
	b.Helper()
	b.Logf("%-10s  CPU %s ns, %.3f allocations, %.3f writes a delivery", s.name,
		stats.Of(s.cpu), stats.Of(s.allocs).Median, stats.Of(s.writes).Median)
}

func (s *spread) logLatency(b *testing.B) {
	b.Helper()
	b.Logf("%-10s  latency %s, p99 %s, longest Publish %s ms", s.name,
		stats.Of(s.p50), stats.Of(s.p99), stats.Of(s.publishMax))
}

func logRatio(b *testing.B, ratio stats.Summary, rounds int, limit float64) {
	b.Helper()
	b.Logf("ratio       %s in %d rounds; at most %.2f: %s", ratio, rounds, limit, verdict(ratio.Median, limit))
}

// compareCPU has both kinds of hub publish to subscribers that look seldom.
func compareCPU(b *testing.B, subscribers, events, rate, least int, limit float64) {
	b.Helper()
	hand, ours := spread{name: server.Channels}, spread{name: server.Hub}
	byHand := assemble(b, start(b, hand.name), subscribers, false)
	byUs := assemble(b, start(b, ours.name), subscribers, false)
	byHand.reach(b, events, dataSize, rate) // warms up
	byUs.reach(b, events, dataSize, rate)
	rounds(b, least, func() {
		hand.run(b, byHand, events, dataSize, rate)
		ours.run(b, byUs, events, dataSize, rate)
	})
	ratio := stats.Ratio(ours.cpu, hand.cpu)
	hand.logCPU(b)
	ours.logCPU(b)
	logRatio(b, ratio, len(ours.cpu), limit)
	b.ReportMetric(ratio.Median, "cpu-ratio")
	b.ReportMetric(stats.Of(ours.cpu).Median, "cpu-ns/delivery")
	b.ReportMetric(stats.Of(ours.allocs).Median, "allocs/delivery")
	b.ReportMetric(stats.Of(ours.writes).Median, "writes/delivery")
}

// BenchmarkFanOut publishes at full speed.
func BenchmarkFanOut(b *testing.B) {
	deliveries := setting(b, "YIELDSSE_BENCH_DELIVERIES", 300_000)
	for _, bb := range []struct {
		subscribers int
		limit       float64
	}{{100, 0.15}, {1_000, 0.25}, {5_000, 0.25}} {
		b.Run(fmt.Sprintf("subscribers=%d", bb.subscribers), func(b *testing.B) {
			compareCPU(b, bb.subscribers, max(deliveries/bb.subscribers, 1), 0, 5, bb.limit)
		})
	}
}

// BenchmarkPaced publishes so slowly that nobody falls behind: each event is a
// write of its own to each subscriber. A round takes a second, and a quarter of
// one for latency, which what else the machine does spoils soonest.
func BenchmarkPaced(b *testing.B) {
	const deliveries = 20_000
	for _, subscribers := range []int{100, 1_000, 5_000} {
		rate := deliveries / subscribers
		b.Run(fmt.Sprintf("subscribers=%d/cpu", subscribers), func(b *testing.B) {
			compareCPU(b, subscribers, rate, rate, 15, 1.1)
		})
		b.Run(fmt.Sprintf("subscribers=%d/latency", subscribers), func(b *testing.B) {
			hand, ours := spread{name: server.Channels}, spread{name: server.Hub}
			var byHand, byUs *process.Process
			unpin, err := process.Apart(func() error {
				byHand, byUs = start(b, hand.name), start(b, ours.name)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			defer unpin()
			compareLatency(b, 60, 1,
				&hand, assemble(b, byHand, subscribers, true),
				&ours, assemble(b, byUs, subscribers, true),
				func(s *spread, a *audience) { s.run(b, a, rate/4, dataSize, rate) })
		})
	}
}

// compareLatency runs rounds of two sides in turn.
func compareLatency(
	b *testing.B, least int, limit float64,
	hand *spread, byHand *audience, ours *spread, byUs *audience, run func(*spread, *audience),
) {
	b.Helper()
	run(&spread{}, byHand) // warms up
	run(&spread{}, byUs)
	rounds(b, least, func() {
		run(hand, byHand)
		run(ours, byUs)
	})
	ratio := stats.Ratio(ours.p99, hand.p99)
	hand.logLatency(b)
	ours.logLatency(b)
	logRatio(b, ratio, len(ours.p99), limit)
	b.ReportMetric(ratio.Median, "p99-ratio")
	b.ReportMetric(stats.Of(ours.p50).Median, "p50-ms")
	b.ReportMetric(stats.Of(ours.p99).Median, "p99-ms")
	b.ReportMetric(stats.Of(ours.publishMax).Median, "publish-max-ms")
}

// BenchmarkStalled compares a hub with itself, when one more subscriber is there
// that never reads.
func BenchmarkStalled(b *testing.B) {
	const (
		subscribers = 50
		rate        = 200
	)
	without, with := spread{name: "without"}, spread{name: "stalled"}
	var p *process.Process
	unpin, err := process.Apart(func() error {
		p = start(b, server.Hub)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	defer unpin()
	a := assemble(b, p, subscribers, true)
	compareLatency(b, 15, 1.2, &without, a, &with, a, func(s *spread, a *audience) {
		if s == &with {
			defer stall(b, p).Close()
		}
		a.reach(b, filling, large, 0)
		s.run(b, a, rate, large, rate)
	})
}

// So many events, of so many bytes, are more than the kernel holds for one who does
// not read.
const (
	filling = 1_000
	large   = 4 << 10
)

// stall adds a subscriber that does not read.
func stall(tb testing.TB, p *process.Process) *reader.Conn {
	tb.Helper()
	c, err := reader.OpenStalled(p.Addr, server.Events)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestFanOut(t *testing.T) {
	const (
		subscribers = 100
		events      = 2_000
		allocs      = 0.2
		writes      = 0.2
	)
	a := assemble(t, start(t, server.Hub), subscribers, false)
	a.reach(t, events, dataSize, 0) // warms up
	u, _ := a.reach(t, events, dataSize, 0)
	if got := float64(u.Writes) / (subscribers * events); got > writes {
		t.Errorf("got %.4f write calls a delivery, want at most %v", got, writes)
	}
	if got := float64(u.Allocs) / (subscribers * events); got > allocs && !raceEnabled {
		t.Errorf("got %.4f allocations a delivery, want at most %v", got, allocs)
	}
}

func TestPacedDeliveryIsOneWrite(t *testing.T) {
	const (
		subscribers = 100
		events      = 100
		rate        = 100
		allocs      = 0.2
	)
	a := assemble(t, start(t, server.Hub), subscribers, false)
	a.reach(t, events, dataSize, rate) // warms up
	u, _ := a.reach(t, events, dataSize, rate)
	// A busy machine may make one write of two, and wakes the process up now and then.
	if got := float64(u.Writes) / (subscribers * events); got > 1.05 {
		t.Errorf("got %.4f write calls a delivery, want 1", got)
	}
	if got := float64(u.Allocs) / (subscribers * events); got > allocs && !raceEnabled {
		t.Errorf("got %.4f allocations a delivery, want at most %v", got, allocs)
	}
}

func TestStalledSubscriberHoldsNobodyUp(t *testing.T) {
	const subscribers = 50
	p := start(t, server.Hub)
	a := assemble(t, p, subscribers, false)
	defer stall(t, p).Close()
	a.reach(t, 2*filling, large, 0) // all of them, or it fails
}
