//go:build linux

package work

import (
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func stream(s size) Work {
	events := s.of(40_000, 5_000)
	return Work{
		Name:  "stream",
		Title: "One stream at full speed",
		About: "Events of 200 bytes over one HTTP/1.1 connection, each with its own flush; \"window\" is this project's default, " +
			"with which events of the same millisecond share a flush.",
		Base: "net/http",
		Sides: []Side{
			{Name: "net/http", server: server.NetHTTP, ask: server.Each},
			{Name: "gin, c.SSEvent", server: server.Gin, ask: server.Each},
			{Name: "echo", server: server.Echo, ask: server.Each},
			{Name: "fiber", server: server.Fiber, ask: server.Each},
			{Name: "tmaxmax/go-sse", server: server.Tmaxmax, ask: server.Each},
			{Name: "yieldsse", Ours: true, Most: 1.2, server: server.NetHTTPSSE, ask: server.Each},
			{Name: "yieldsse, gin", Ours: true, Most: 1.2, server: server.GinSSE, ask: server.Each},
			{Name: "yieldsse, echo", Ours: true, Most: 1.2, server: server.EchoSSE, ask: server.Each},
			{Name: "yieldsse, fiber", Ours: true, Most: 1.2, server: server.FiberSSE, ask: server.Each},
			{Name: "yieldsse, detached", Ours: true, Most: 0.9, server: server.Detached, ask: server.Each},
			{Name: "yieldsse, window", Ours: true, Most: 0.35, server: server.NetHTTPSSE, ask: server.Gathered},
			{Name: "yieldsse, fiber, window", Ours: true, Most: 0.35, server: server.FiberSSE, ask: server.Gathered},
			{Name: "yieldsse, detached, window", Ours: true, Most: 0.35, server: server.Detached, ask: server.Gathered},
		},
		Metrics: append(perUnit("an event"), report.Metric{Key: "writes", Name: "write calls"}),
		Rounds:  9,
		Cost:    25 * time.Second,
		place:   together,
		open:    openStream(events),
	}
}

func openStream(events int) func(Side) (runner, error) {
	return func(s Side) (runner, error) {
		p, err := process.Start(s.server)
		return &streamRunner{p, s.ask(events), events}, err
	}
}

type streamRunner struct {
	server *process.Process
	target string
	events int
}

func (r *streamRunner) round() ([]report.Sample, error) {
	u, err := Burst(r.server, r.target, r.events)
	return one(perEach(u, r.events), err)
}

func (r *streamRunner) close() error { return r.server.Stop() }
