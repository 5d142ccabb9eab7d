//go:build linux

package work

import (
	"errors"
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func multitude(s size) Work {
	conns, beat := s.of(100_000, 1_000), 15*time.Second
	if s {
		beat = time.Second / 2
	}
	return Work{
		Name:  "multitude",
		Title: fmt.Sprintf("%s idle subscriptions", report.Thousands(conns)),
		About: fmt.Sprintf("All of them are open at once, each with a heartbeat every %v; then all leave at the same time. "+
			"They share as many servers as the limit on open files makes necessary. "+
			"CPU is the share of one core that the heartbeats take. Each side is measured once.", beat),
		Base: "tutorial hub",
		Sides: []Side{
			{Name: "tutorial hub", server: server.Tutorial},
			{Name: "yieldsse hub", Ours: true, server: server.Hub},
			{Name: "yieldsse hub, detached", Ours: true, Most: 0.08, server: server.HubDetached},
		},
		Metrics: []report.Metric{
			{Key: "rss", Name: "memory of a connection", Unit: report.Bytes},
			{Key: "goroutines", Name: "goroutines"},
			{Key: "cpu", Name: "CPU", Unit: report.Percent},
			{Key: "late", Name: "heartbeats late", Unit: report.Percent},
			{Key: "left", Name: "until all have left", Unit: report.Nanoseconds},
			{Key: "servers", Name: "servers"},
		},
		Rounds: 1,
		Cost:   150 * time.Second,
		cold:   true,
		open: func(s Side) (runner, error) {
			return coldRunner(func() (sample report.Sample, err error) {
				each, err := PerProcess(conns)
				if err != nil {
					return nil, err
				}
				shards, err := StartShards(s.server, conns, each, server.HeartbeatEnv+"="+beat.String())
				defer func() { err = errors.Join(err, shards.Stop()) }()
				if err != nil {
					return nil, err
				}
				return hold(shards, conns, beat)
			}), nil
		},
	}
}

// hold opens all connections, waits for a heartbeat on each, and closes them.
func hold(shards Shards, conns int, beat time.Duration) (report.Sample, error) {
	if err := shards.Warm(); err != nil {
		return nil, err
	}
	before, _, err := shards.Memory()
	if err != nil {
		return nil, err
	}
	if err := shards.Open(func(int) {}); err != nil {
		return nil, err
	}
	after, _, err := shards.Memory()
	if err != nil {
		return nil, err
	}
	b, err := shards.Heartbeats(beat)
	if err != nil {
		return nil, err
	}
	_, left, err := shards.Leave()
	m, all := after.Sub(before), float64(conns)
	return report.Sample{
		"servers": float64(len(shards)), "rss": float64(m.RSS) / all, "goroutines": float64(m.Goroutines) / all,
		"cpu": 100 * float64(b.Servers) / float64(b.Took), "late": max(100*(1-float64(b.Arrived)/all), 0),
		"left": float64(left),
	}, err
}
