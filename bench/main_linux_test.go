package main

import (
	"math"
	"os"
	"testing"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/work"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

func TestMain(m *testing.M) {
	process.Main(server.Serve)
	os.Exit(m.Run())
}

// start runs a server until t ends.
func start(t *testing.T, name string) *process.Process {
	t.Helper()
	p, err := process.Start(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// background is what the process does besides the work: the request, the reports, and
// more wake-ups the busier the machine is. What each event or delivery needs is 1 or more.
const background = 0.1

// adapters returns this project's servers of single streams.
func adapters() []string {
	return []string{
		server.NetHTTPSSE, server.GinSSE, server.EchoSSE, server.Echo5SSE, server.FiberSSE, server.Fiber3SSE,
		server.Detached, server.FiberDetached, server.Fiber3Detached,
	}
}

// hubs returns this project's servers that publish to many clients.
func hubs() []string { return []string{server.Hub, server.HubDetached} }

// Over each protocol, all subscribers get all events.
func TestProtocols(t *testing.T) {
	for _, protocol := range []server.Protocol{server.Plain, server.TLS, server.HTTP2, server.HTTP3} {
		t.Run(string(protocol), func(t *testing.T) {
			const size, events = 20, 100
			a, err := work.Assemble(start(t, protocol.Over(server.Hub)), size, false)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}()
			for range 2 {
				got, err := a.Reach(events, work.DataSize, 0)
				if err != nil || got.Delivered != size*events {
					t.Fatalf("got %d events and %v, want %d", got.Delivered, err, size*events)
				}
			}
		})
	}
}

func burst(t *testing.T, p *process.Process, target string, events int) process.Usage {
	t.Helper()
	u, err := work.Burst(p, target, events)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestStreamAllocatesNothing(t *testing.T) {
	if testenv.Race {
		t.Skip("under the race detector a sync.Pool drops items at random")
	}
	const events = 50_000
	for _, name := range adapters() {
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
	for _, name := range adapters() {
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

func assemble(t *testing.T, p *process.Process, size int) *work.Audience {
	t.Helper()
	a, err := work.Assemble(p, size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// reach publishes events, and fails t if one of them is lost.
func reach(t *testing.T, a *work.Audience, events, dataSize, rate int) work.Reached {
	t.Helper()
	got, err := a.Reach(events, dataSize, rate)
	if err != nil {
		t.Fatal(err)
	}
	if got.Delivered != got.Wanted {
		t.Fatalf("got %d deliveries, want %d", got.Delivered, got.Wanted)
	}
	return got
}

func TestFanOutAllocatesNothing(t *testing.T) {
	const (
		subscribers = 100
		events      = 2_000
	)
	for _, name := range hubs() {
		t.Run(name, func(t *testing.T) {
			a := assemble(t, start(t, name), subscribers)
			reach(t, a, events, work.DataSize, 0) // warms up
			u := reach(t, a, events, work.DataSize, 0)
			writes := float64(u.Writes) / (subscribers * events)
			if writes >= 0.1 {
				t.Errorf("got %.4f write calls a delivery, want less than 0.1", writes)
			}
			want := 0.0
			if name == server.Hub {
				want = writes // net/http allocates the length of each chunk
			}
			if got := deliveryAllocs(u, events, subscribers); got >= want+background && !testenv.Race {
				t.Errorf("got %.4f allocations a delivery, want %.4f", got, want)
			}
		})
	}
}

// deliveryAllocs returns the allocations of a delivery, without those of an event: its
// ID, its data and its frame, and what the publisher's request needs.
func deliveryAllocs(u work.Reached, events, subscribers int) float64 {
	const perEvent = 4
	return float64(u.Allocs)/float64(events*subscribers) - perEvent/float64(subscribers)
}

func TestAllocPacedDeliveryIsOneWrite(t *testing.T) {
	const (
		subscribers = 100
		events      = 100
		rate        = 100
	)
	for _, name := range hubs() {
		t.Run(name, func(t *testing.T) {
			a := assemble(t, start(t, name), subscribers)
			reach(t, a, events, work.DataSize, rate) // warms up
			// On a busy machine two deliveries may share a write. Now and then the runtime
			// wakes itself up, which is a write as well. So the best of a few rounds counts.
			writes, allocs := math.Inf(1), math.Inf(1)
			for range 3 {
				u := reach(t, a, events, work.DataSize, rate)
				writes = min(writes, float64(u.Writes)/(subscribers*events))
				allocs = min(allocs, deliveryAllocs(u, events, subscribers))
				if writes <= 1.05 && (allocs < background || testenv.Race) {
					break
				}
			}
			if writes > 1.05 {
				t.Errorf("got %.4f write calls a delivery, want 1", writes)
			}
			if allocs >= background && !testenv.Race {
				t.Errorf("got %.4f allocations a delivery, want 0 (below %v)", allocs, background)
			}
		})
	}
}

// These events are more than the kernel buffers for a client that does not read.
const (
	filling = 2_000
	large   = 4 << 10
)

func TestStalledSubscriberHoldsNobodyUp(t *testing.T) {
	const subscribers = 50
	for _, name := range hubs() {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			a := assemble(t, p, subscribers)
			stalled, err := reader.OpenStalled(p.Addr, server.Events)
			if err != nil {
				t.Fatal(err)
			}
			defer stalled.Close()
			reach(t, a, filling, large, 0)
		})
	}
}

func TestReplayWriteCalls(t *testing.T) {
	const (
		times = 5
		most  = 100 // write calls for all that was missed
	)
	for _, name := range []string{server.HubReplay, server.HubReplayDetached} {
		t.Run(name, func(t *testing.T) {
			p := start(t, name)
			last, err := work.Fill(p)
			if err != nil {
				t.Fatal(err)
			}
			id, err := work.Before(last, work.Missed)
			if err != nil {
				t.Fatal(err)
			}
			var u process.Usage
			for range 2 { // the first one warms up
				if u, err = work.Replays(p, id, times); err != nil {
					t.Fatal(err)
				}
			}
			if got := float64(u.Writes) / times; got > most {
				t.Errorf("got %.2f write calls for %d events, want at most %d", got, work.Missed, most)
			}
		})
	}
}
