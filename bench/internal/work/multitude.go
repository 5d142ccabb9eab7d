//go:build linux

package work

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
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
		Title: fmt.Sprintf("%s idle subscriptions", thousands(conns)),
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
				var shards shards
				defer func() { err = errors.Join(err, shards.stop()) }()
				if err := shards.start(s.server, conns, beat); err != nil {
					return nil, err
				}
				return shards.measure(conns, beat)
			}), nil
		},
	}
}

// A shard is a server and the process that holds its clients.
type shard struct {
	server, clients *process.Process
	crowd           reader.RemoteCrowd
	conns           int
	before          process.Memory
}

type shards []*shard

// start starts as many servers as the limit on open files makes necessary.
func (s *shards) start(name string, conns int, beat time.Duration) error {
	const others = 200
	limit, err := process.Files(conns + others)
	if err != nil {
		return err
	}
	n := (conns + limit - others - 1) / (limit - others)
	for i := range n {
		server, err := process.Start(name, server.HeartbeatEnv+"="+beat.String())
		if err != nil {
			return err
		}
		one := &shard{server: server, conns: conns*(i+1)/n - conns*i/n}
		*s = append(*s, one)
		if one.clients, err = startCrowd(); err != nil {
			return err
		}
		one.crowd = reader.RemoteCrowd{Addr: one.clients.Addr}
	}
	return nil
}

func startCrowd() (*process.Process, error) { return process.Start(server.Crowd) }

func (s *shards) stop() (err error) {
	for _, one := range *s {
		if one.clients != nil {
			err = errors.Join(err, one.clients.Stop())
		}
		err = errors.Join(err, one.server.Stop())
	}
	return err
}

func (s *shards) measure(conns int, beat time.Duration) (report.Sample, error) {
	sample, all := report.Sample{"servers": float64(len(*s))}, float64(conns)
	for _, one := range *s {
		const few = 20
		err := one.crowd.Open(one.server.Addr, few, server.Events) // allocates what only the first connections need
		if err == nil {
			err = one.crowd.Close()
		}
		if err == nil {
			err = settle(one.server)
		}
		if err == nil {
			one.before, err = one.server.Memory()
		}
		if err != nil {
			return nil, err
		}
	}
	for _, one := range *s {
		if err := one.crowd.Open(one.server.Addr, one.conns, server.Events); err != nil {
			return nil, err
		}
	}
	for _, one := range *s {
		after, err := one.server.Memory()
		if err != nil {
			return nil, err
		}
		m := after.Sub(one.before)
		sample["rss"] += float64(m.RSS) / all
		sample["goroutines"] += float64(m.Goroutines) / all
	}

	// The connections were opened over some time, so their heartbeats are spread over a
	// period. Measure a whole one.
	begin, err := s.readFor(0)
	if err != nil {
		return nil, err
	}
	cpu, err := s.cpu()
	if err != nil {
		return nil, err
	}
	end, err := s.readFor(beat)
	if err != nil {
		return nil, err
	}
	cpuAfter, err := s.cpu()
	if err != nil {
		return nil, err
	}
	sample["cpu"] = 100 * float64(cpuAfter-cpu) / float64(beat)
	sample["late"] = max(100*(1-float64(end-begin)/all), 0)

	left, err := s.leave()
	sample["left"] = float64(left)
	return sample, err
}

// readFor makes all clients read, and returns how many comments they have received so far.
func (s *shards) readFor(d time.Duration) (comments int, err error) {
	type answer struct {
		comments int
		err      error
	}
	answers := make(chan answer)
	for _, one := range *s {
		go func() {
			n, err := one.crowd.ReadFor(d)
			answers <- answer{n, err}
		}()
	}
	for range *s {
		a := <-answers
		comments += a.comments
		err = errors.Join(err, a.err)
	}
	return comments, err
}

func (s *shards) cpu() (sum time.Duration, err error) {
	for _, one := range *s {
		u, err := one.server.Usage()
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}

// leave closes all clients, and returns how long it took until the servers had noticed,
// including the closing.
func (s *shards) leave() (time.Duration, error) {
	const patience = time.Minute
	begin := time.Now()
	closed := make(chan error)
	for _, one := range *s {
		go func() { closed <- one.crowd.Close() }()
	}
	for range *s {
		if err := <-closed; err != nil {
			return 0, err
		}
	}
	for _, one := range *s {
		for {
			body, err := get(one.server, server.Count)
			if err != nil {
				return 0, err
			}
			count, err := strconv.Atoi(strings.TrimSpace(string(body)))
			if err != nil {
				return 0, fmt.Errorf("work: %w", err)
			}
			if count == 0 {
				break
			}
			if time.Since(begin) > patience {
				return 0, fmt.Errorf("work: the server still has %d connections %v after all clients left", count, patience)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	return time.Since(begin), nil
}
