//go:build linux

package work

import (
	"errors"
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func heartbeat(s size) Work {
	const every = 250 * time.Millisecond
	conns, beats := s.of(2_000, 200), s.of(4, 1)
	return Work{
		Name:  "heartbeat",
		Title: "A heartbeat",
		About: fmt.Sprintf("%s silent connections with a heartbeat every %v, each a separate write. "+
			"Sides without heartbeats publish a comment to all clients.", report.Thousands(conns), every),
		Base: "net/http, ticker",
		Sides: []Side{
			{Name: "net/http, ticker", server: server.NetHTTP, target: server.Idle},
			{Name: "fiber, ticker", server: server.Fiber, target: server.Idle},
			{Name: "tutorial hub", server: server.Tutorial, target: server.Events},
			{Name: "tmaxmax/go-sse", server: server.Tmaxmax, target: server.Events},
			{Name: "r3labs/sse", server: server.R3labs, target: server.Events},
			{Name: "launchdarkly/eventsource", server: server.LaunchDarkly, target: server.Events},
			{Name: "yieldsse", Ours: true, server: server.NetHTTPSSE, target: server.Idle},
			{Name: "yieldsse, fiber", Ours: true, server: server.FiberSSE, target: server.Idle},
			{Name: "yieldsse hub", Ours: true, server: server.Hub, target: server.Events},
			{Name: "yieldsse, detached", Ours: true, Most: 0.75, server: server.Detached, target: server.Idle},
			{Name: "yieldsse hub, detached", Ours: true, Most: 0.75, server: server.HubDetached, target: server.Events},
		},
		Metrics: append(perUnit("a heartbeat"), report.Metric{Key: "writes", Name: "write calls"}),
		Rounds:  3,
		Cost:    60 * time.Second,
		cold:    true,
		open: func(s Side) (runner, error) {
			return coldRunner(func() (sample report.Sample, err error) {
				p, err := process.Start(s.server, server.HeartbeatEnv+"="+every.String())
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, p.Stop()) }()
				crowd, err := reader.OpenCrowd(p.Addr, conns, s.target, reader.CrowdOptions{})
				if err != nil {
					return nil, err
				}
				defer crowd.Close()
				if err := crowd.ReadFor(every * 3 / 2); err != nil {
					return nil, err
				}
				before := crowd.Comments()
				u, err := used(p, func() error { return crowd.ReadFor(time.Duration(beats) * every) })
				if err != nil {
					return nil, err
				}
				came := crowd.Comments() - before
				if came == 0 {
					return nil, errors.New("work: no heartbeat arrived")
				}
				return perEach(u, came), nil
			}), nil
		},
	}
}
