package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A server that has no file descriptor left loses no event, on any host: who has a stream
// keeps it, also if it cannot be detached, and who waits is let in when others leave. The log,
// which cannot be dialed either, is followed again.
func TestFilesRunOut(t *testing.T) {
	const files, crowd, patient = 50, 120, 20
	for _, log := range []string{"memory", "Redis"} {
		t.Run(log, func(t *testing.T) {
			s := newSoak(options{seed: *seed, readers: crowd})
			addr := log
			if log == "Redis" {
				var err error
				if s.redis, err = startRedis(t.Context(), testenv.Program(t, "redis-server"), t.TempDir()); err != nil {
					t.Fatal(err)
				}
				defer s.redis.kill()
				addr = s.redis.addr
			}
			p, err := startProcess(addr, fmt.Sprint(envFiles, "=", files))
			if err != nil {
				t.Fatal(err)
			}
			s.fleet = []*process{p}

			var reading, publishing sync.WaitGroup
			publish, stop := context.WithCancel(t.Context())
			for i, topic := range topics {
				publishing.Go(func() { s.publish(publish, topic, s.random(i)) })
			}
			s.await("all topics have an event", func() bool {
				return !slices.ContainsFunc(topics, func(topic string) bool { return s.published[topic].Load() == 0 })
			})
			all, leaveAll := context.WithCancel(t.Context())
			many, leave := context.WithCancel(all)
			s.gather(func(r *reader) {
				ctx := many
				if slices.Contains(s.all[:patient], r) {
					ctx = all
				}
				reading.Go(func() { r.read(ctx) })
			})
			hosttest.Eventually(t, "the server has no file left", func() bool { return p.full(t) })
			if s.redis != nil {
				s.redis.kill()
				if err := s.redis.start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			full := 0
			hosttest.Eventually(t, "the server has no file left, again and again", func() bool {
				if p.full(t) {
					full++
				}
				return full == 20
			})
			leave()
			s.all = s.all[:patient]
			s.await("all readers have an event", func() bool { return s.behind(1) == 0 })
			stop()
			publishing.Wait()
			s.await("all readers have all events", func() bool { return s.behind(0) == 0 })
			leaveAll()
			reading.Wait()
			s.await("all sessions have ended", func() bool {
				u, err := p.usage("usage")
				return err == nil && u.Sessions == 0
			})
			s.fail(p.stop(syscall.SIGTERM))
			s.fail(p.close())
			r := s.report()
			t.Logf("%d events, %d received, %d connections, %d broken or not made", r.Published, r.Received, r.Connections, r.Broken)
			for _, wrong := range r.Wrong {
				t.Error(wrong)
			}
			if r.Published == 0 || r.Lost+r.Twice > 0 {
				t.Errorf("%d events published, %d lost, %d twice", r.Published, r.Lost, r.Twice)
			}
			if said := p.said.String(); strings.Contains(said, "panic") {
				t.Error(said)
			}
		})
	}
}

// full reports whether the server has no file descriptor left: then it cannot count them.
func (p *process) full(t *testing.T) bool {
	t.Helper()
	u, err := p.usage("usage")
	if err != nil {
		t.Fatal(err)
	}
	return u.Files <= 0
}
