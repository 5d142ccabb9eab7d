package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/remotelog"
	"github.com/yieldsse/yieldsse/bench/internal/report"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
	"github.com/yieldsse/yieldsse/bench/internal/work"
	"github.com/yieldsse/yieldsse/hub/hubtest"
)

// figures are what one round has measured, in bytes, nanoseconds and percent.
type figures map[string]float64

// A round connects all clients, and lets them leave again.
type round struct {
	conns    int
	beat     time.Duration
	shards   work.Shards
	progress *progress

	before        process.Memory // of the servers
	readersBefore process.Memory
	kernelBefore  kernel
	got           figures
}

// measure runs a round. It gives up when a step takes far too long: the processes that
// it has started end with this one.
func measure(conns, each int, beat time.Duration, p *progress) (got figures, err error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	go func() { _ = remotelog.Serve(ln, new(hubtest.MemoryLog)) }() // until ln is closed

	limit := 5*time.Minute + beat + time.Duration(conns)*2*time.Millisecond
	p.sayf("starting servers")
	shards, err := within(limit, func() (work.Shards, error) {
		return work.StartShards(server.HubLogDetached, conns, each,
			server.HeartbeatEnv+"="+beat.String(), server.LogEnv+"="+ln.Addr().String())
	})
	defer func() { err = errors.Join(err, shards.Stop()) }()
	if err != nil {
		return nil, err
	}
	r := &round{conns: conns, beat: beat, shards: shards, progress: p, got: make(figures)}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"warming up", r.warm},
		{"connecting", r.connect},
		{"collecting garbage", r.weigh},
		{"counting heartbeats for " + beat.String(), r.count},
		{"publishing an event", r.publish},
		{"leaving", r.leave},
	} {
		p.sayf("%d servers, heartbeats every %v: %s", len(shards), beat, step.what)
		if _, err := within(limit, func() (struct{}, error) { return struct{}{}, step.do() }); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r.got, nil
}

// within returns what do returns, or an error after limit.
func within[T any](limit time.Duration, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(limit):
		var none T
		return none, fmt.Errorf("not done after %v", limit)
	}
}

func (r *round) warm() (err error) {
	if err := r.shards.Warm(); err != nil {
		return err
	}
	if r.before, r.readersBefore, err = r.shards.Memory(); err != nil {
		return err
	}
	r.kernelBefore, err = readKernel()
	return err
}

func (r *round) connect() error {
	var connected atomic.Int64
	begin := time.Now()
	err := r.shards.Open(func(more int) { r.progress.count("connected", int(connected.Add(int64(more))), r.conns) })
	r.got["connect"] = float64(time.Since(begin))
	return err
}

func (r *round) weigh() error {
	servers, readers, err := r.shards.Memory()
	if err != nil {
		return err
	}
	now, err := readKernel()
	if err != nil {
		return err
	}
	each := func(after, before int64) float64 { return float64(after-before) / float64(r.conns) }
	r.got["before"], r.got["held"] = float64(r.before.RSS), float64(servers.RSS)
	r.got["user"] = each(servers.RSS, r.before.RSS)
	r.got["reader"] = each(readers.RSS, r.readersBefore.RSS)
	// Other programs may have freed some in the meantime.
	r.got["slab"] = max(each(now.slab, r.kernelBefore.slab), 0)
	r.got["buffers"] = max(each(now.buffers, r.kernelBefore.buffers), 0)
	return nil
}

func (r *round) count() error {
	b, err := r.shards.Heartbeats(r.beat)
	if err != nil {
		return err
	}
	share := func(cpu time.Duration) float64 {
		return 100 * float64(cpu) / float64(b.Took) / float64(runtime.NumCPU())
	}
	r.got["beatServers"], r.got["beatReaders"], r.got["beat"] = share(b.Servers), share(b.Readers), share(b.Servers+b.Readers)
	r.got["late"] = max(100*(1-float64(b.Arrived)/float64(r.conns)), 0)
	return nil
}

func (r *round) publish() error {
	if err := r.shards.Mark(); err != nil {
		return err
	}
	before, _, err := r.shards.CPU()
	if err != nil {
		return err
	}
	published, err := work.Publish(r.shards[0].Server, 1, work.DataSize, 0)
	if err != nil {
		return err
	}
	if err := r.reachAll(); err != nil {
		return err
	}
	after, _, err := r.shards.CPU()
	if err != nil {
		return err
	}
	latencies, err := r.shards.Latencies()
	if err != nil {
		return err
	}
	if len(latencies) != r.conns {
		return fmt.Errorf("one event arrived %d times on %d connections", len(latencies), r.conns)
	}
	r.got["publish"], r.got["delivery"] = float64(published.Max), float64(after-before)/float64(r.conns)
	for figure, q := range map[string]float64{"first": 0, "half": 0.5, "most": 0.99, "last": 1} {
		r.got[figure] = float64(stats.Quantile(latencies, q))
	}
	return nil
}

// reachAll waits until each connection has the event, or none gets it for too long.
func (r *round) reachAll() error {
	const quiet = time.Minute
	pause := time.Second / 20
	if r.conns > 10_000 {
		pause = time.Second // asking costs the readers time
	}
	reached, last := 0, time.Now()
	for {
		s, err := r.shards.State()
		switch {
		case err != nil:
			return err
		case s.Open != r.conns:
			return fmt.Errorf("servers have ended %d of %d connections", r.conns-s.Open, r.conns)
		case s.Reached == r.conns:
			return nil
		case s.Reached > reached:
			reached, last = s.Reached, time.Now()
		case time.Since(last) > quiet:
			return fmt.Errorf("an event was lost: %d of %d connections have it, and nothing arrives for %v", reached, r.conns, quiet)
		}
		r.progress.count("have the event", reached, r.conns)
		<-time.After(pause)
	}
}

func (r *round) leave() error {
	closed, noticed, err := r.shards.Leave()
	if err != nil {
		return err
	}
	r.got["left"], r.got["noticed"] = float64(closed), float64(noticed-closed)
	for _, one := range r.shards {
		if err := one.Server.Settle(); err != nil {
			return err
		}
	}
	servers, _, err := r.shards.Memory()
	r.got["after"] = float64(servers.RSS)
	return err
}

// kernel is the kernel's memory, in bytes.
type kernel struct{ slab, buffers int64 }

func readKernel() (k kernel, err error) {
	kB, err := process.Field("/proc/meminfo", "Slab:")
	if err != nil {
		return k, err
	}
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return k, err
	}
	_, tcp, _ := strings.Cut(string(text), "TCP:")
	_, pages, _ := strings.Cut(tcp, " mem ")
	var n int64
	if _, err := fmt.Sscan(pages, &n); err != nil {
		return k, fmt.Errorf("/proc/net/sockstat: mem of TCP: %w", err)
	}
	return kernel{slab: kB << 10, buffers: n * int64(os.Getpagesize())}, nil
}

// A progress shows in one line what happens.
type progress struct {
	terminal bool
	said     atomic.Int64 // the time of the last count
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p *progress) sayf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K"+line)
	} else {
		fmt.Fprintln(os.Stderr, line)
	}
}

// count says how many of all are done, now and then. It may be called by any goroutine.
func (p *progress) count(what string, n, all int) {
	every := 10 * time.Second
	if p.terminal {
		every = time.Second / 4
	}
	now, said := time.Now().UnixNano(), p.said.Load()
	if now-said >= int64(every) && p.said.CompareAndSwap(said, now) {
		p.sayf("%s of %s %s", report.Thousands(n), report.Thousands(all), what)
	}
}

// clear clears the line, before a table is printed.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
