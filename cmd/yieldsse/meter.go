package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
)

// A meter counts what happens on many streams. Its memory does not grow with time.
type meter struct {
	now     func() time.Time
	next    http.RoundTripper
	dialing chan struct{} // its capacity is the number of streams that may connect at a time

	measuring atomic.Bool
	events    atomic.Int64
	bytes     atomic.Int64
	open      atomic.Int64
	gaveUp    atomic.Int64
	reconnect atomic.Int64
	conns     atomic.Int64 // new ones; with HTTP/2 fewer than streams
	remote    atomic.Bool  // the server is on another machine

	mu      sync.Mutex
	connect *hdrhistogram.Histogram
	proto   string
	errors  map[string]int64
	lost    int64         // the sum of errors
	ramp    time.Duration // see begin
	start   snapshot      // see begin

	shards   []shard
	lastTick snapshot // for progress alone
}

// A shard has the latencies of some of the streams, so that they wait less for
// each other.
type shard struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram
	early   int64 // events that arrived before their time
}

// A snapshot is the state of the counters at a time.
type snapshot struct {
	at            time.Time
	events, bytes int64
	open, gaveUp  int64
}

const (
	longestTime = time.Hour // the largest value of a histogram
	maxErrors   = 20        // different errors; all others are otherErrors
	otherErrors = "other errors"
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestTime.Microseconds(), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, 0), longestTime).Microseconds()) // it is in the histogram's range
}

func newMeter(next http.RoundTripper, dials int, now func() time.Time) *meter {
	m := &meter{
		now:     now,
		next:    next,
		dialing: make(chan struct{}, dials),
		connect: newHistogram(),
		errors:  make(map[string]int64),
		shards:  make([]shard, runtime.GOMAXPROCS(0)),
	}
	for i := range m.shards {
		m.shards[i].latency = newHistogram()
	}
	m.lastTick = m.snapshot()
	return m
}

func (m *meter) snapshot() snapshot {
	return snapshot{
		at:     m.now(),
		events: m.events.Load(), bytes: m.bytes.Load(),
		open: m.open.Load(), gaveUp: m.gaveUp.Load(),
	}
}

// begin begins the measurement; ramp is how long the streams took to open. end ends it
// and returns the state of the counters.
func (m *meter) begin(ramp time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ramp = ramp
	m.start = m.snapshot()
	m.measuring.Store(true)
}

func (m *meter) end() snapshot {
	m.measuring.Store(false)
	return m.snapshot()
}

// A probe measures one stream, and is its transport.
type probe struct {
	*meter

	shard    *shard
	took     time.Duration // from the last request to its response
	connects int
	isOpen   bool
}

func (m *meter) probe(i int) *probe {
	return &probe{meter: m, shard: &m.shards[i%len(m.shards)]}
}

// RoundTrip waits until it may make a connection.
func (p *probe) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	select {
	case p.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-p.dialing })
	defer release()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		release()
		if !info.Reused {
			p.conns.Add(1)
			p.remote.Store(!sameMachine(info.Conn))
		}
	}}
	start := p.now()
	res, err := p.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	p.took = p.now().Sub(start)
	if err != nil {
		return nil, err
	}
	res.Body = &countedBody{res.Body, &p.bytes}
	return res, nil
}

func sameMachine(c net.Conn) bool {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	return ok && ok2 && (remote.IP.IsLoopback() || remote.IP.Equal(local.IP))
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

func (p *probe) connected(res *http.Response) {
	p.isOpen = true
	p.open.Add(1)
	p.connects++
	if p.connects > 1 {
		p.reconnect.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proto = res.Proto
	record(p.connect, p.took)
}

func (p *probe) disconnected(err error) {
	if p.isOpen {
		p.isOpen = false
		p.open.Add(-1)
	}
	if errors.Is(err, client.ErrEnded) {
		return // it is not an error, but the reason to reconnect
	}
	if refused, ok := errors.AsType[*client.ResponseError](err); ok {
		err = refused.Err // without the body, which may be different each time
	}
	message := explain(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.errors[message]; !ok && len(p.errors) >= maxErrors {
		message = otherErrors
	}
	p.errors[message]++
	p.lost++
}

func (p *probe) event(e core.Event, times timeFields) {
	now := p.now()
	p.events.Add(1)
	if !p.measuring.Load() {
		return
	}
	sent, ok := times.of(e.Data)
	if !ok {
		return
	}
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if late := now.Sub(sent); late >= 0 {
		record(p.shard.latency, late)
	} else {
		p.shard.early++
	}
}
