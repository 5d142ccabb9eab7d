package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

var stalled = flag.Int("soak.stalled", 100, "how many clients TestClientsThatNeverRead has")

// However many clients do not read, others get the last event, and with detached sessions the
// memory for TCP of the server's kernel stays below the mark from which on it is short of it.
func TestClientsThatNeverRead(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p, err := startProcess("memory", patiently)
			if err != nil {
				t.Fatal(err)
			}
			s := newSoak(options{seed: *seed, readers: 4})
			s.fleet = []*process{p}
			defer func() {
				if err := p.stop(syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				_ = p.close()
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			before := s.usage(t)
			for i := range *stalled {
				a := &attack{
					ctx: ctx, random: s.random(i), server: p, name: fmt.Sprint("stalled", i), mode: mode, topic: topics[0],
					dialer: net.Dialer{Control: receiveLittle}, // what a client's kernel keeps is on another machine
				}
				if _, err := a.open(plainHosts[i%len(plainHosts)], "events"); err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				defer a.close()
			}
			s.gather(func(r *reader) { r.topic = topics[0]; go r.read(ctx) })
			hosttest.Eventually(t, "all are there", func() bool { return s.usage(t).Sessions == *stalled+len(s.all) })
			const events, each = 60, 200 // large ones
			for n := range events {
				if err := s.publishOne(topics[0], int64(each*(n+1)), s.random(0)); err != nil {
					t.Fatal(err)
				}
			}
			hosttest.EventuallyWithin(t, patience, "those who read have the last event", func() bool {
				for _, r := range s.all {
					if r.last.Load() != events*each {
						return false
					}
				}
				return true
			})
			u, last := s.usage(t), Usage{}
			hosttest.EventuallyWithin(t, patience, "the kernel takes no more", func() bool {
				last, u = u, s.usage(t)
				return u.TCPMemory <= last.TCPMemory+last.TCPMemory/100
			})
			mark := pressure(t)
			t.Logf("%d clients: RSS %s, heap %s (before: %s, %s), TCP memory %s, of which the kernel is short from %s on",
				*stalled, mib(u.RSS), mib(u.Heap), mib(before.RSS), mib(before.Heap), mib(u.TCPMemory), mib(mark))
			if u.Sessions != *stalled+len(s.all) {
				t.Errorf("%d sessions are left, want all", u.Sessions)
			}
			if mode == "detached" && mark > 0 && u.TCPMemory >= mark { // in a handler, it may be 4 MB for each
				t.Errorf("the kernel has %s for TCP, want less than %s", mib(u.TCPMemory), mib(mark))
			}
		})
	}
}

func (s *soak) usage(t *testing.T) Usage {
	t.Helper()
	u, err := s.fleet[0].usage("usage")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// pressure returns from how many bytes on the kernel is short of memory for TCP, or 0 if it does
// not say so: only the machine's own network has that file, and a container's has not.
func pressure(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_mem")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	var least, mark, most int64
	if _, err := fmt.Sscan(string(text), &least, &mark, &most); err != nil {
		t.Fatalf("%s: %v", strconv.Quote(string(text)), err)
	}
	return mark * int64(os.Getpagesize())
}
