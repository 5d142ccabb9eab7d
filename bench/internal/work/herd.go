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

// herd is what happens after a network has failed: all clients come back at once, and each
// has missed a little.
func herd(s size) Work {
	const missed = 100
	clients := s.of(5_000, 200)
	return Work{
		Name:  "herd",
		Title: fmt.Sprintf("%s clients reconnect at once", report.Thousands(clients)),
		About: fmt.Sprintf("%s clients reconnect, each with a Last-Event-ID that is %d events behind, and stay. "+
			"\"Until all have everything\" begins when the first one connects.", report.Thousands(clients), missed),
		Base: "tmaxmax/go-sse, FiniteReplayer",
		Sides: []Side{ // the others also send the event that the client has had last
			{Name: "tmaxmax/go-sse, FiniteReplayer", server: server.TmaxmaxReplay},
			{Name: "yieldsse hub", Ours: true, Most: 0.9, server: server.HubReplay},
			{Name: "yieldsse hub, detached", Ours: true, Most: 1, server: server.HubReplayDetached},
		},
		Metrics: []report.Metric{
			{Key: "cpu", Name: "CPU for a client", Unit: report.Nanoseconds},
			{Key: "took", Name: "until all have everything", Unit: report.Nanoseconds},
			{Key: "allocs", Name: "allocations"},
			{Key: "writes", Name: "write calls"},
			report.Lost,
		},
		Rounds: 3,
		Cost:   30 * time.Second,
		open: func(s Side) (runner, error) {
			p, id, err := startBehind(s, missed)
			return &herdRunner{p, id, clients, missed}, err
		},
	}
}

type herdRunner struct {
	server          *process.Process
	id              string
	clients, missed int
}

func (r *herdRunner) round() ([]report.Sample, error) {
	crowd, err := reader.NewCrowd(reader.CrowdOptions{Headers: []string{"Last-Event-ID: " + r.id}})
	if err != nil {
		return nil, err
	}
	var delivered int
	begin := time.Now()
	u, err := used(r.server, func() (err error) {
		if err = crowd.Open(r.server.Addr, r.clients, server.Events); err == nil {
			delivered, err = crowd.Await(r.missed, quiet)
		}
		return err
	})
	took, wanted := time.Since(begin), r.clients*r.missed
	crowd.Close() // only now, because a response's end is a write too
	sample := perEach(u, r.clients)
	sample["took"], sample["lost"] = float64(took), 100*float64(wanted-delivered)/float64(wanted)
	return one(sample, errors.Join(err, r.server.Settle()))
}

func (r *herdRunner) close() error { return r.server.Stop() }
