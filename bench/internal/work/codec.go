//go:build linux

package work

import (
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
)

func encode(s size) Work {
	return Work{
		Name:  "encode",
		Title: "Encode an event",
		About: "One event with an ID, a type and one line of data, 200 bytes in all, is made and written into memory.",
		Base:  "net/http, Fprintf",
		Sides: []Side{
			{Name: "net/http, Fprintf", server: server.NetHTTP},
			{Name: "gin, sse.Encode", server: server.Gin},
			{Name: "tmaxmax/go-sse", server: server.Tmaxmax},
			{Name: "launchdarkly/eventsource", server: server.LaunchDarkly},
			{Name: "alexandrevicenzi/go-sse", server: server.Vicenzi},
			{Name: "yieldsse", Ours: true, server: server.NetHTTPSSE},
		},
		Metrics: perUnit("an event"),
		Rounds:  15,
		Cost:    15 * time.Second,
		place:   together,
		open:    openJob(server.Encode, s.of(400_000, 50_000)),
	}
}

func parse(s size) Work {
	return Work{
		Name:  "parse",
		Title: "Parse an event",
		About: "A stream of events of 200 bytes is read from memory, each event with its data as a string.",
		Base:  "tmaxmax/go-sse, Read",
		Sides: []Side{
			{Name: "tmaxmax/go-sse, Read", server: server.Tmaxmax},
			{Name: "r3labs/sse, client", server: server.R3labs},
			{Name: "launchdarkly/eventsource, Decoder", server: server.LaunchDarkly},
			{Name: "gin-contrib/sse, Decode", server: server.Gin},
			{Name: "yieldsse, core.Read", Ours: true, Most: 0.5, server: server.NetHTTPSSE},
		},
		Metrics: perUnit("an event"),
		Rounds:  15,
		Cost:    25 * time.Second,
		place:   together,
		open:    openJob(server.Parse, s.of(200_000, 20_000)),
	}
}

// perUnit returns the metrics of a unit of work, which of names.
func perUnit(of string) []report.Metric {
	return []report.Metric{
		{Key: "cpu", Name: "CPU for " + of, Unit: report.Nanoseconds},
		{Key: "allocs", Name: "allocations"},
	}
}

// A jobRunner makes a server do a job that sends no events.
type jobRunner struct {
	server *process.Process
	target string
	n      int
}

func openJob(target func(int) string, n int) func(Side) (runner, error) {
	return func(s Side) (runner, error) {
		p, err := process.Start(s.server)
		if err != nil {
			return nil, err
		}
		return &jobRunner{p, target(n), n}, nil
	}
}

func (j *jobRunner) round() ([]report.Sample, error) {
	u, err := used(j.server, func() error {
		_, err := get(j.server, j.target)
		return err
	})
	return one(perEach(u, j.n), err)
}

func (j *jobRunner) close() error { return j.server.Stop() }

// one returns a round with one sample.
func one(sample report.Sample, err error) ([]report.Sample, error) {
	return []report.Sample{sample}, err
}

// perEach divides a usage by n.
func perEach(u process.Usage, n int) report.Sample {
	of := float64(max(n, 1))
	return report.Sample{
		"cpu":    float64(u.CPU) / of,
		"allocs": float64(u.Allocs) / of,
		"writes": float64(u.Writes) / of,
	}
}
