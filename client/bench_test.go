package client_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/client"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
)

// frame is an event of 200 bytes.
var frame = "event: message-added\ndata: " + strings.Repeat("x", 200-len("event: message-added\ndata: \n\n")) + "\n\n"

// endless is a body of many frames in writes of 32 KiB.
type endless struct {
	wire string
	pos  int
	left int // bytes
}

func newEndless(events int) *endless {
	return &endless{wire: strings.Repeat(frame, 100), left: events * len(frame)}
}

func (b *endless) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), b.left)], b.wire[b.pos:])
	b.pos = (b.pos + n) % len(b.wire)
	b.left -= n
	return n, nil
}

// A stream of events in memory: the cost of reading one beyond parsing it, which makes
// a string of its data.
func BenchmarkStream(b *testing.B) {
	run := func(b *testing.B, s core.Stream) {
		b.Helper()
		b.SetBytes(int64(len(frame)))
		b.ReportAllocs()
		if got, _ := count(s); got != b.N {
			b.Errorf("got %d events, want %d", got, b.N)
		}
	}
	b.Run("client", func(b *testing.B) {
		run(b, client.Stream(get(b, "http://example.com").WithContext(b.Context()), once(),
			inMemory(func(*http.Request) (*http.Response, error) { return response(200, newEndless(b.N)), nil })))
	})
	b.Run("parser", func(b *testing.B) { run(b, core.Read(newEndless(b.N))) })
}

// The cost of a reconnection, in memory.
func BenchmarkReconnect(b *testing.B) {
	b.ReportAllocs()
	n := 0
	got, err := count(client.Stream(get(b, "http://example.com").WithContext(b.Context()), client.WithBackoff(0, 0),
		inMemory(func(*http.Request) (*http.Response, error) {
			if n++; n > b.N {
				return response(204, http.NoBody), nil
			}
			return response(200, strings.NewReader(frame)), nil
		})))
	wantErr(b, err, client.ErrStopped)
	if got != b.N {
		b.Errorf("got %d events, want %d", got, b.N)
	}
}

// count returns the number of a stream's events, and keeps nothing else.
func count(s core.Stream) (n int, err error) {
	for _, err = range s {
		if err == nil {
			n++
		}
	}
	return n, err
}

// An event costs one allocation, for its data, and memory does not grow with a stream's
// length.
func TestConstantMemory(t *testing.T) {
	const events = 200_000
	stream := func(n int) core.Stream {
		return client.Stream(get(t, "http://example.com").WithContext(t.Context()), once(),
			inMemory(func(*http.Request) (*http.Response, error) { return response(200, newEndless(n)), nil }))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	n := 0
	for _, err := range stream(events) {
		if err != nil {
			break
		}
		switch n++; n {
		case events / 100:
			early = heap()
		case events:
			late = heap()
		}
	}
	if n != events || late > early+64<<10 {
		t.Errorf("got %d events, with a heap of %d bytes at first and %d at last", n, early, late)
	}

	some := testing.AllocsPerRun(5, func() { _, _ = count(stream(1000)) })
	more := testing.AllocsPerRun(5, func() { _, _ = count(stream(3000)) })
	if got := (more - some) / 2000; got > 1.01 {
		t.Errorf("got %.2f allocations an event, want 1", got)
	}
}

// A relay is a session that carries a client's stream: its events cost as much as
// parsing them, and writing them allocates nothing.
func TestRelayAllocs(t *testing.T) {
	relay := func(n int) {
		s, err := host.NewSession(t.Context(), core.Request{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Serve(nowhere{}, client.Stream(get(t, "http://example.com").WithContext(s.Context()), once(),
			inMemory(func(*http.Request) (*http.Response, error) { return response(200, newEndless(n)), nil })))
		wantErr(t, err, client.ErrEnded)
	}
	some := testing.AllocsPerRun(5, func() { relay(10_000) })
	more := testing.AllocsPerRun(5, func() { relay(30_000) })
	if got := (more - some) / 20_000; got > 1.1 { // the race detector drops buffers from the pool
		t.Errorf("got %.2f allocations an event, want 1: its data", got)
	}
}

// nowhere is a host that drops everything.
type nowhere struct{}

func (nowhere) Send(host.Frames) error { return nil }
func (nowhere) End() error             { return nil }
func (nowhere) Abort()                 {}
