package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// A server that has no file descriptor left loses no event, on any host: who waits is let in
// when others leave. The log, which cannot be dialed either, is followed again.
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

// Who has a stream keeps it when the server has no file descriptor left, and also who comes with
// the last one, so that none is left to detach the stream. These clients do not connect again.
func TestStreamsStayWithoutFiles(t *testing.T) {
	p, err := startProcess("memory", patiently, fmt.Sprint(envFiles, "=", 100))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(p.stop(syscall.SIGTERM), p.close()); err != nil {
			t.Error(err)
		}
	}()
	tell := func(what string) Usage {
		t.Helper()
		u, err := p.usage(what)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	tell("publish 1")
	before := tell("usage").Files
	var all []*once
	for _, last := range []bool{false, true} {
		if last {
			const poller = 1 // netpoll's
			hosttest.Eventually(t, "each client has one file descriptor, because the hosts have closed theirs of detached streams",
				func() bool { return tell("usage").Files == before+poller+len(all) })
			tell("fill")
		}
		for host := range hosts {
			for _, mode := range modes {
				if last {
					tell("free")
				}
				o := openOnce(t, p, host, mode)
				o.wants(t, 1)
				all = append(all, o)
				if last && !p.full(t) {
					t.Fatalf("%s: a file descriptor is left", o.name)
				}
			}
		}
	}
	const large = 200 // an event that is more than one write
	for _, n := range []int64{2, large, large + 1} {
		tell(fmt.Sprint("publish ", n))
		for _, o := range all {
			o.wants(t, n)
		}
	}
	if got := tell("usage").Sessions; got != len(all) {
		t.Errorf("%d sessions go on, want %d", got, len(all))
	}
	for _, o := range all[len(all)/2:] {
		_ = o.conn.Close()
	}
	hosttest.Eventually(t, "those who left have no session", func() bool { return tell("usage").Sessions == len(all)/2 })
}

// A once is a client that connects once.
type once struct {
	name string
	conn net.Conn
	next func() (core.Event, error, bool)
}

func openOnce(t *testing.T, p *process, host int, mode string) *once {
	t.Helper()
	a := &attack{ctx: t.Context(), random: newSoak(options{seed: *seed}).random(host), server: p}
	conn, err := a.dial(host)
	if err != nil {
		t.Fatal(err)
	}
	o := &once{name: hosts[host] + ", " + mode, conn: conn}
	t.Cleanup(a.close)
	_, err = fmt.Fprintf(conn, "GET /%s/events/once?topic=%s&from=oldest HTTP/1.1\r\nHost: soak\r\n\r\n", mode, topics[0])
	if err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	var stop func()
	o.next, stop = iter.Pull2(core.Read(res.Body))
	t.Cleanup(stop)
	return o
}

// wants fails the test unless the next event is the one with a number. The connection's deadline
// bounds the wait.
func (o *once) wants(t *testing.T, n int64) {
	t.Helper()
	e, err, _ := o.next()
	if got, ok := numberOf(e); err != nil || !ok || got != n {
		t.Fatalf("%s: got the event %.40q and %v, want number %d", o.name, e.Data, err, n)
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
