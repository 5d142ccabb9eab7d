//go:build linux

package work

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

var perConnection = []report.Metric{
	{Key: "rss", Name: "memory of a connection", Unit: report.Bytes},
	{Key: "heap", Name: "heap", Unit: report.Bytes},
	{Key: "stack", Name: "stacks", Unit: report.Bytes},
	{Key: "goroutines", Name: "goroutines"},
}

// peers returns all other sides, with idle streams.
func peers() []Side {
	return []Side{
		{Name: "net/http", server: server.NetHTTP, target: server.Idle},
		{Name: "gin, c.Stream", server: server.Gin, target: server.Idle},
		{Name: "echo", server: server.Echo, target: server.Idle},
		{Name: "fiber", server: server.Fiber, target: server.Idle},
		{Name: "tutorial hub", server: server.Tutorial, target: server.Events},
		{Name: "tmaxmax/go-sse", server: server.Tmaxmax, target: server.Events},
		{Name: "r3labs/sse", server: server.R3labs, target: server.Events},
		{Name: "launchdarkly/eventsource", server: server.LaunchDarkly, target: server.Events},
		{Name: "alexandrevicenzi/go-sse", server: server.Vicenzi, target: server.Events},
	}
}

func idle(s size) Work {
	conns := s.of(10_000, 500)
	return Work{
		Name:  "idle",
		Title: "An idle connection",
		About: fmt.Sprintf("What each of %s open connections adds to the server's resident memory, after a garbage collection; "+
			"the kernel's buffers do not count.", report.Thousands(conns)),
		Base: "net/http",
		Sides: append(peers(), []Side{
			{Name: "yieldsse", Ours: true, Most: 1.1, server: server.NetHTTPSSE, target: server.Idle},
			{Name: "yieldsse, gin", Ours: true, Most: 1.1, server: server.GinSSE, target: server.Idle},
			{Name: "yieldsse, echo", Ours: true, Most: 1.1, server: server.EchoSSE, target: server.Idle},
			{Name: "yieldsse, fiber", Ours: true, Most: 1.1, server: server.FiberSSE, target: server.Idle},
			{Name: "yieldsse hub", Ours: true, Most: 1.1, server: server.Hub, target: server.Events},
			{Name: "yieldsse, detached", Ours: true, Most: 0.2, server: server.Detached, target: server.Idle},
			{Name: "yieldsse, fiber, detached", Ours: true, Most: 0.2, server: server.FiberDetached, target: server.Idle},
			{Name: "yieldsse hub, detached", Ours: true, Most: 0.08, server: server.HubDetached, target: server.Events},
		}...),
		Metrics: perConnection,
		Rounds:  2,
		Cost:    90 * time.Second,
		chart:   true,
		cold:    true,
		open:    openHeld(conns, holdPlain),
	}
}

func idleTLS(s size) Work {
	conns := s.of(2_000, 200)
	return Work{
		Name:  "idle-tls",
		Title: "An idle connection under TLS",
		About: fmt.Sprintf("The same for %s connections of HTTP/1.1 with TLS 1.3.", report.Thousands(conns)),
		Base:  "net/http",
		Sides: []Side{
			{Name: "net/http", server: server.TLS.Over(server.NetHTTP), target: server.Idle},
			{Name: "tutorial hub", server: server.TLS.Over(server.Tutorial), target: server.Events},
			{Name: "yieldsse", Ours: true, Most: 1.1, server: server.TLS.Over(server.NetHTTPSSE), target: server.Idle},
			{Name: "yieldsse hub", Ours: true, Most: 1.1, server: server.TLS.Over(server.Hub), target: server.Events},
			{Name: "yieldsse, detached", Ours: true, Most: 0.45, server: server.TLS.Over(server.Detached), target: server.Idle},
			{Name: "yieldsse hub, detached", Ours: true, Most: 0.32, server: server.TLS.Over(server.HubDetached), target: server.Events},
		},
		Metrics: perConnection,
		Rounds:  2,
		Cost:    30 * time.Second,
		cold:    true,
		open:    openHeld(conns, holdTLS),
	}
}

// A stream of HTTP/2 has one goroutine, and its stack is a large part of what it takes. By hand
// it fits into 4 kB; a session's calls do not, and 8 kB is the next size.
func idleHTTP2(s size) Work {
	streams := s.of(2_000, 200)
	return Work{
		Name:  "idle-http2",
		Title: "An idle stream over HTTP/2",
		About: fmt.Sprintf("The same for %s streams of HTTP/2; 100 of them share a connection.", report.Thousands(streams)),
		Base:  "net/http",
		Sides: []Side{
			{Name: "net/http", server: server.HTTP2.Over(server.NetHTTP), target: server.Idle},
			{Name: "gin, c.Stream", server: server.HTTP2.Over(server.Gin), target: server.Idle},
			{Name: "echo", server: server.HTTP2.Over(server.Echo), target: server.Idle},
			{Name: "tutorial hub", server: server.HTTP2.Over(server.Tutorial), target: server.Events},
			{Name: "tmaxmax/go-sse", server: server.HTTP2.Over(server.Tmaxmax), target: server.Events},
			{Name: "yieldsse", Ours: true, Most: 1.5, server: server.HTTP2.Over(server.NetHTTPSSE), target: server.Idle},
			{Name: "yieldsse hub", Ours: true, Most: 1.5, server: server.HTTP2.Over(server.Hub), target: server.Events},
		},
		Metrics: perConnection,
		Rounds:  2,
		Cost:    15 * time.Second,
		cold:    true,
		open:    openHeld(streams, holdHTTP2),
	}
}

func openHeld(conns int, hold holder) func(s Side) (runner, error) {
	return func(s Side) (runner, error) {
		return coldRunner(func() (sample report.Sample, err error) {
			p, err := process.Start(s.server)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, p.Stop()) }()
			return weigh(p, s.target, conns, hold)
		}), nil
	}
}

// A holder opens n connections, and returns when each has received all that it will.
type holder func(addr netip.AddrPort, n int, target string) (drop func(), err error)

func holdPlain(addr netip.AddrPort, n int, target string) (drop func(), err error) {
	crowd, err := reader.OpenCrowd(addr, n, target, reader.CrowdOptions{})
	if err != nil {
		return nil, err
	}
	return held(crowd, target)
}

func holdTLS(addr netip.AddrPort, n int, target string) (drop func(), err error) {
	return reader.HoldTLS(addr, n, target, eventsOf(target))
}

func holdHTTP2(addr netip.AddrPort, n int, target string) (drop func(), err error) {
	streams, err := reader.OpenStreams(fmt.Sprintf("https://%v%s", addr, target), n, string(server.HTTP2))
	if err != nil {
		return nil, err
	}
	return held(streams, target)
}

// held waits until each of the connections that are open has received all that it will.
func held(open interface {
	Await(events int, quiet time.Duration) (delivered int, err error)
	Close()
}, target string,
) (drop func(), err error) {
	if _, err := open.Await(eventsOf(target), quiet); err != nil {
		open.Close()
		return nil, err
	}
	return open.Close, nil
}

// eventsOf returns how many events a target sends at once.
func eventsOf(target string) int {
	if target == server.Idle {
		return 1
	}
	return 0
}

// A coldRunner starts a new server in each round.
type coldRunner func() (report.Sample, error)

func (r coldRunner) round() ([]report.Sample, error) { return one(r()) }
func (coldRunner) close() error                      { return nil }

// weigh returns what each of conns connections adds to the server.
func weigh(p *process.Process, target string, conns int, hold holder) (report.Sample, error) {
	const few = 20
	drop, err := hold(p.Addr, few, target) // allocates what only the first connections need
	if err != nil {
		return nil, err
	}
	drop()
	if err := p.Settle(); err != nil {
		return nil, err
	}
	before, err := p.Memory()
	if err != nil {
		return nil, err
	}
	if drop, err = hold(p.Addr, conns, target); err != nil {
		return nil, err
	}
	defer drop()
	if err := p.Settle(); err != nil {
		return nil, err
	}
	after, err := p.Memory()
	if err != nil {
		return nil, err
	}
	m, n := after.Sub(before), float64(conns)
	return report.Sample{
		"rss":        float64(m.RSS) / n,
		"heap":       float64(m.Heap) / n,
		"stack":      float64(m.Stack) / n,
		"goroutines": float64(m.Goroutines) / n,
	}, nil
}
