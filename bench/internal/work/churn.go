//go:build linux

package work

import (
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func churn(s size) Work {
	times := s.of(1_000, 50)
	return Work{
		Name:  "churn",
		Title: "A client that comes and goes",
		About: "The client connects, reads the head of the response and leaves at once. \"Left behind\" counts the goroutines " +
			"that are still there when the server is idle again.",
		Base: "net/http",
		Sides: append(peers(), []Side{
			{Name: "yieldsse", Ours: true, server: server.NetHTTPSSE, target: server.Idle},
			{Name: "yieldsse, fiber", Ours: true, server: server.FiberSSE, target: server.Idle},
			{Name: "yieldsse hub", Ours: true, server: server.Hub, target: server.Events},
			{Name: "yieldsse, detached", Ours: true, server: server.Detached, target: server.Idle},
			{Name: "yieldsse, fiber, detached", Ours: true, server: server.FiberDetached, target: server.Idle},
			{Name: "yieldsse hub, detached", Ours: true, server: server.HubDetached, target: server.Events},
		}...),
		Metrics: []report.Metric{
			{Key: "cpu", Name: "CPU for a client", Unit: report.Nanoseconds},
			{Key: "allocs", Name: "allocations"},
			{Key: "left", Name: "left behind"},
		},
		Rounds: 5,
		Cost:   40 * time.Second,
		open: func(s Side) (runner, error) {
			p, err := process.Start(s.server)
			return &churnRunner{p, s.target, times}, err
		},
	}
}

type churnRunner struct {
	server *process.Process
	target string
	times  int
}

func (r *churnRunner) round() ([]report.Sample, error) {
	before, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	u, err := used(r.server, func() error {
		for range r.times {
			c, err := reader.OpenCrowd(r.server.Addr, 1, r.target, reader.CrowdOptions{})
			if err != nil {
				return err
			}
			c.Close()
		}
		return r.server.Settle()
	})
	if err != nil {
		return nil, err
	}
	after, err := r.server.Memory()
	sample := perEach(u, r.times)
	sample["left"] = max(float64(after.Goroutines-before.Goroutines)/float64(r.times), 0)
	return one(sample, err)
}

func (r *churnRunner) close() error { return r.server.Stop() }
