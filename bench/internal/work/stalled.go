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

func stalled(s size) Work {
	const (
		others = 50
		large  = 4 << 10
		rate   = 4_000
	)
	events := s.of(16_000, 3_000)
	return Work{
		Name:  "stalled",
		Title: "One subscriber never reads",
		About: fmt.Sprintf("%s events of 4 kB, %s a second, to %d subscribers that read, and to one that never does. "+
			"An event is lost if a subscriber that reads did not get it. This project's hub keeps the events that a client can "+
			"resume from, by default the last 10,000, whether anybody reads them or not.",
			report.Thousands(events), report.Thousands(rate), others),
		Base:  "tutorial hub",
		Sides: hubs(0, 0),
		Metrics: []report.Metric{
			{Key: "lost", Name: "lost by the others", Unit: report.Percent},
			{Key: "publish", Name: "longest Publish", Unit: report.Nanoseconds},
			{Key: "memory", Name: "extra memory", Unit: report.Bytes},
		},
		Rounds: 2,
		Cost:   60 * time.Second,
		cold:   true,
		open: func(s Side) (runner, error) {
			return coldRunner(func() (sample report.Sample, err error) {
				p, err := process.Start(s.server)
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, p.Stop()) }()
				a, err := Assemble(p, others, false)
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, a.Close()) }()
				conn, err := reader.OpenStalled(p.Addr, server.Events)
				if err != nil {
					return nil, err
				}
				defer conn.Close()
				before, err := p.Memory()
				if err != nil {
					return nil, err
				}
				got, err := a.Reach(events, large, rate)
				if err != nil && !errors.Is(err, ErrStuck) {
					return nil, err
				}
				after, err2 := p.Memory()
				if err2 != nil {
					return nil, err2
				}
				sample = report.Sample{
					"lost":   got.Lost(),
					"memory": max(float64(after.RSS-before.RSS), 0),
				}
				if err == nil {
					sample["publish"] = float64(got.Max)
				}
				return sample, nil
			}), nil
		},
	}
}
