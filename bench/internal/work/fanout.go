//go:build linux

package work

import (
	"errors"
	"fmt"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// hubs returns the sides that publish to many clients.
func hubs(mostHub, mostDetached float64) []Side {
	return []Side{
		{Name: "tutorial hub", server: server.Tutorial},
		{Name: "tmaxmax/go-sse", server: server.Tmaxmax},
		{Name: "r3labs/sse", server: server.R3labs},
		{Name: "launchdarkly/eventsource", server: server.LaunchDarkly},
		{Name: "alexandrevicenzi/go-sse", server: server.Vicenzi},
		{Name: "yieldsse hub", Ours: true, Most: mostHub, server: server.Hub},
		{Name: "yieldsse hub, detached", Ours: true, Most: mostDetached, server: server.HubDetached},
	}
}

var perDelivery = []report.Metric{
	{Key: "cpu", Name: "CPU for a delivery", Unit: report.Nanoseconds},
	{Key: "allocs", Name: "allocations"},
	{Key: "writes", Name: "write calls"},
	report.Lost,
}

func fanOut(s size, subscribers int) Work {
	events := max(s.of(300_000, 20_000)/subscribers, 1)
	if leaves(subscribers) {
		events /= 2 // a round gives several samples
	}
	return Work{
		Name:    fmt.Sprintf("fanout-%d", subscribers),
		Title:   fmt.Sprintf("Fan-out at full speed, %s subscribers", report.Thousands(subscribers)),
		About:   fmt.Sprintf("%s events of 200 bytes, published as fast as possible.", report.Thousands(events)),
		Base:    "tutorial hub",
		Sides:   hubs(0.25, 0.06),
		Metrics: perDelivery,
		Rounds:  roundsFor(subscribers, 5),
		cold:    leaves(subscribers),
		Cost:    60 * time.Second,
		chart:   subscribers == 1_000,
		open:    openAudience(subscribers, events, 0, false),
	}
}

func paced(s size, rate, subscribers int) Work {
	return Work{
		Name:  fmt.Sprintf("paced-%d-%d", rate, subscribers),
		Title: fmt.Sprintf("Fan-out of %s deliveries a second, %s subscribers", report.Thousands(rate), report.Thousands(subscribers)),
		About: fmt.Sprintf("%s events of 200 bytes a second, one every %v.",
			report.Thousands(rate/subscribers), time.Second/time.Duration(rate/subscribers)),
		Base:    "tutorial hub",
		Sides:   hubs(1.1, 0.88),
		Metrics: perDelivery,
		Rounds:  roundsFor(subscribers, 5),
		cold:    leaves(subscribers),
		Cost:    50 * time.Second,
		open:    openAudience(subscribers, max(rate/subscribers/s.of(1, 4), 1), rate/subscribers, false),
	}
}

func latency(s size, rate, subscribers int) Work {
	return Work{
		Name:  fmt.Sprintf("latency-%d-%d", rate, subscribers),
		Title: fmt.Sprintf("Latency at %s deliveries a second, %s subscribers", report.Thousands(rate), report.Thousands(subscribers)),
		About: "From before an event is published until the reader has its bytes, over all subscribers. The reader has its own CPU.",
		Base:  "tutorial hub",
		Sides: hubs(0, 1),
		Metrics: []report.Metric{
			{Key: "p99", Name: "p99", Unit: report.Nanoseconds},
			{Key: "p999", Name: "p99.9", Unit: report.Nanoseconds},
			{Key: "p50", Name: "median", Unit: report.Nanoseconds},
			{Key: "publish", Name: "longest Publish", Unit: report.Nanoseconds},
			report.Lost,
		},
		Rounds: roundsFor(subscribers, 5),
		cold:   leaves(subscribers),
		Cost:   40 * time.Second,
		place:  apart,
		open:   openAudience(subscribers, max(rate/subscribers/s.of(2, 4), 1), rate/subscribers, true),
	}
}

// An audienceRunner publishes to an audience, which stays from round to round
// unless all sides together have too many subscribers. Then a round gives several
// samples, because connecting takes longer than what is measured.
type audienceRunner struct {
	server       *process.Process
	audience     *Audience
	events, rate int
}

// mostStaying is how many subscribers may stay between their side's rounds, because
// the reader's open files are limited.
const mostStaying = 2_000

func leaves(subscribers int) bool { return subscribers > mostStaying }

// roundsFor returns n, or if the audience leaves after each round, a number of rounds
// that gives about as many samples.
func roundsFor(subscribers, n int) int {
	if leaves(subscribers) {
		return 2
	}
	return n
}

func openAudience(subscribers, events, rate int, prompt bool) func(Side) (runner, error) {
	return func(s Side) (runner, error) {
		p, err := process.Start(s.server)
		if err != nil {
			return nil, err
		}
		a := newAudience(p, subscribers, prompt)
		return &audienceRunner{p, a, events, rate}, nil
	}
}

func (r *audienceRunner) round() ([]report.Sample, error) {
	if !leaves(r.audience.size) {
		return one(r.reach())
	}
	const times = 3
	var samples []report.Sample
	for i := range 1 + times {
		sample, err := r.reach()
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first one warms up
			samples = append(samples, sample)
		}
	}
	if err := r.audience.Close(); err != nil {
		return nil, err
	}
	return samples, r.server.Settle()
}

func (r *audienceRunner) reach() (report.Sample, error) {
	got, err := r.audience.Reach(r.events, DataSize, r.rate)
	if err != nil {
		return nil, err
	}
	sample := perEach(got.Usage, got.Delivered)
	sample["lost"] = got.Lost()
	sample["p50"] = float64(stats.Quantile(got.Latencies, 0.5))
	sample["p99"] = float64(stats.Quantile(got.Latencies, 0.99))
	sample["p999"] = float64(stats.Quantile(got.Latencies, 0.999))
	sample["publish"] = float64(got.Max)
	return sample, nil
}

func (r *audienceRunner) close() error { return errors.Join(r.audience.Close(), r.server.Stop()) }
