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

// Missed is how many events a client that reconnects gets: so many that the cost of the
// connection does not matter.
const Missed = 10_000

func replay(s size) Work {
	times := s.of(20, 2)
	return Work{
		Name:  "replay",
		Title: "Replay on reconnection",
		About: fmt.Sprintf("A client reconnects with a Last-Event-ID and gets the last %s of %s events of 200 bytes.",
			report.Thousands(Missed), report.Thousands(server.Held)),
		Base: "tmaxmax/go-sse, FiniteReplayer",
		Sides: []Side{
			{Name: "tmaxmax/go-sse, FiniteReplayer", server: server.TmaxmaxReplay},
			{Name: "r3labs/sse, AutoReplay", server: server.R3labsReplay},
			{Name: "launchdarkly/eventsource, SliceRepository", server: server.LaunchDarklyReplay},
			{Name: "yieldsse hub", Ours: true, Most: 0.3, server: server.HubReplay},
			{Name: "yieldsse hub, detached", Ours: true, Most: 0.3, server: server.HubReplayDetached},
		},
		Metrics: []report.Metric{
			{Key: "cpu", Name: "CPU for a reconnection", Unit: report.Nanoseconds},
			{Key: "allocs", Name: "allocations"},
			{Key: "writes", Name: "write calls"},
		},
		Rounds: 7,
		Cost:   50 * time.Second,
		place:  together,
		open: func(s Side) (runner, error) {
			p, id, err := startBehind(s, Missed)
			return &replayRunner{p, id, times}, err
		},
	}
}

// startBehind starts a side's server, fills it with events, and returns the ID of a client
// that has missed that many.
func startBehind(s Side, missed int) (p *process.Process, id string, err error) {
	if p, err = process.Start(s.server); err != nil {
		return nil, "", err
	}
	last, err := Fill(p)
	if err == nil {
		id, err = Before(last, missed)
	}
	if err != nil {
		return nil, "", errors.Join(err, p.Stop())
	}
	return p, id, nil
}

type replayRunner struct {
	server *process.Process
	id     string
	times  int
}

func (r *replayRunner) round() ([]report.Sample, error) {
	u, err := Replays(r.server, r.id, r.times)
	return one(perEach(u, r.times), err)
}

func (r *replayRunner) close() error { return r.server.Stop() }

// Replays reconnects several times after id and reads what was missed. It returns what
// the server used for it.
func Replays(p *process.Process, id string, times int) (process.Usage, error) {
	var open []*reader.Conn
	u, err := used(p, func() error {
		for range times {
			c, err := reader.Open(p.Addr, netip.Addr{}, server.Events, "Last-Event-ID: "+id)
			if err != nil {
				return err
			}
			open = append(open, c)
			if err := c.Await(Missed); err != nil {
				return err
			}
			if c.Lost > 0 {
				return reader.ErrLoss
			}
		}
		return nil
	})
	for _, c := range open { // only now, because a response's end is a write too
		c.Close()
	}
	if err == nil {
		err = p.Settle()
	}
	return u, err
}
