package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/yieldsse/yieldsse/internal/hosttest"
)

var stalled = flag.Int("soak.stalled", 100, "how many clients TestClientsThatNeverRead has")

// mostQueued is how many bytes the server's kernel may keep for a client that does not read, on
// average. A session asks it for 32 KiB, beyond which it may take one write of 64 KiB, and for
// 1 MiB until its stream is handed over, which a few may not be when the events come. Without
// that, it takes more than 1 MiB for each.
const mostQueued = 256 << 10

// However many clients do not read, others get the last event, and with detached sessions the
// server's kernel keeps little for each. Its memory for TCP stays below the mark from which on it
// is short of it.
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
					whole:  true,                               // so that much is sent
					dialer: net.Dialer{Control: receiveLittle}, // what a client's kernel keeps is on another machine
				}
				if _, err := a.open(plainHosts[i%len(plainHosts)], "events"); err != nil {
					t.Fatalf("client %d: %v", i, err)
				}
				defer a.close()
			}
			s.gather(func(r *reader) { r.topic = topics[0]; go r.read(ctx) })
			hosttest.Eventually(t, "all are there", func() bool { return s.usage(t).Sessions == *stalled+len(s.all) })
			const events, step = 60, 200 // large ones
			for n := range events {
				if err := s.publishOne(topics[0], int64(step*(n+1)), s.random(0)); err != nil {
					t.Fatal(err)
				}
			}
			hosttest.EventuallyWithin(t, patience, "those who read have the last event", func() bool {
				for _, r := range s.all {
					if r.last.Load() != events*step {
						return false
					}
				}
				return true
			})
			queued := p.queued(t)
			hosttest.EventuallyWithin(t, patience, "the kernel takes no more", func() bool {
				last := queued
				queued = p.queued(t)
				return queued <= last+last/100
			})
			u, mark, each := s.usage(t), pressure(t), queued/int64(*stalled)
			t.Logf("%d clients: RSS %s, heap %s (before: %s, %s), %d bytes in the kernel for each, TCP memory %s, of which it is short from %s on",
				*stalled, mib(u.RSS), mib(u.Heap), mib(before.RSS), mib(before.Heap), each, mib(u.TCPMemory), mib(mark))
			if u.Sessions != *stalled+len(s.all) {
				t.Errorf("%d sessions are left, want all", u.Sessions)
			}
			if mode == "detached" && mark > 0 && u.TCPMemory >= mark { // in a handler, it may be 4 MB for each
				t.Errorf("the kernel has %s for TCP, want less than %s", mib(u.TCPMemory), mib(mark))
			}
			if mode == "detached" && each > mostQueued {
				t.Errorf("the kernel has %d bytes for each client that does not read, want at most %d", each, mostQueued)
			}
		})
	}
}

// queued returns how many bytes the kernel has that the server has written, and that its clients
// have not acknowledged. Unlike the memory for TCP, that is of this server alone.
func (p *process) queued(t *testing.T) (sum int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{} // local addresses, as they stand there
	for _, addr := range p.addrs {
		a := netip.MustParseAddrPort(addr)
		own[fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.Addr().AsSlice()), a.Port())] = true
	}
	const listens = "0A"
	for line := range strings.Lines(string(text)) {
		var slot, local, remote, state, queues string
		if _, err := fmt.Sscan(line, &slot, &local, &remote, &state, &queues); err != nil || !own[local] || state == listens {
			continue
		}
		out, _, _ := strings.Cut(queues, ":")
		n, err := strconv.ParseInt(out, 16, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sum += n
	}
	return sum
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
