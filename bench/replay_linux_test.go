package bench_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/bench/internal/process"
	"github.com/yieldsse/yieldsse/bench/internal/reader"
	"github.com/yieldsse/yieldsse/bench/internal/server"
	"github.com/yieldsse/yieldsse/bench/internal/stats"
)

// Who reconnects has missed so many of the events that the log holds.
const (
	held   = 100_000
	missed = 1_000
)

// mostWrites is how many write calls that may take.
const mostWrites = 10

// fill fills a hub's log, and returns the ID after which events are missed.
func fill(tb testing.TB, p *process.Process) (id string) {
	tb.Helper()
	published, err := publish(p, held, dataSize, 0)
	if err != nil {
		tb.Fatal(err)
	}
	epoch, digits, _ := strings.Cut(published.LastID, "-")
	last, err := strconv.Atoi(digits)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%s-%d", epoch, last-missed)
}

// replay reconnects after id, and reads what was missed.
func replay(tb testing.TB, p *process.Process, id string) *reader.Conn {
	tb.Helper()
	c, err := reader.Open(p.Addr, netip.Addr{}, server.Events, "Last-Event-ID: "+id)
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Await(missed); err != nil {
		c.Close()
		tb.Fatal(err)
	}
	return c
}

// replays does it several times and returns what that took.
func replays(tb testing.TB, p *process.Process, id string, times int) process.Usage {
	tb.Helper()
	before, err := p.Usage()
	if err != nil {
		tb.Fatal(err)
	}
	open := make([]*reader.Conn, times)
	for i := range open {
		open[i] = replay(tb, p, id)
	}
	after, err := p.Usage()
	for _, c := range open { // not before, for a response's end is a write too
		c.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return after.Sub(before)
}

// BenchmarkReplay has clients reconnect one after the other: what that takes, the
// connection and the request included, and what publishers notice of it.
func BenchmarkReplay(b *testing.B) {
	b.Run("cpu", func(b *testing.B) {
		const (
			times = 100
			limit = 0.5 // ms
		)
		unpin, err := process.Pin()
		if err != nil {
			b.Fatal(err)
		}
		defer unpin()
		p := start(b, server.Hub)
		id := fill(b, p)
		replays(b, p, id, times) // warms up
		var cpu, writes []float64
		rounds(b, 10, func() {
			u := replays(b, p, id, times)
			cpu = append(cpu, ms(u.CPU)/times)
			writes = append(writes, float64(u.Writes)/times)
		})
		b.Logf("CPU %s ms for %d of %d events; at most %.2f: %s",
			stats.Of(cpu), missed, held, limit, verdict(stats.Of(cpu).Median, limit))
		b.Logf("%s writes; at most %d: %s", stats.Of(writes), mostWrites, verdict(stats.Of(writes).Median, mostWrites))
		b.ReportMetric(stats.Of(cpu).Median, "cpu-ms/replay")
		b.ReportMetric(stats.Of(writes).Median, "writes/replay")
	})
	b.Run("publish", func(b *testing.B) {
		const (
			rate  = 1_000 // events a second
			pause = 5 * time.Millisecond
		)
		p := start(b, server.Hub)
		id := fill(b, p)
		var quiet, busy []float64
		wait := func() { <-time.After(pause) }
		rounds(b, 5, func() {
			quiet = append(quiet, ms(during(b, p, rate, wait).P99))
			busy = append(busy, ms(during(b, p, rate, func() {
				replay(b, p, id).Close()
				wait()
			}).P99))
		})
		b.Logf("p99 of Publish: %s ms, %s while clients reconnect", stats.Of(quiet), stats.Of(busy))
		b.ReportMetric(stats.Of(quiet).Median, "quiet-p99-ms")
		b.ReportMetric(stats.Of(busy).Median, "busy-p99-ms")
	})
}

// during calls work again and again, for the second in which events are published.
func during(tb testing.TB, p *process.Process, rate int, work func()) (published server.Published) {
	tb.Helper()
	done := make(chan error, 1)
	go func() {
		var err error
		published, err = publish(p, rate, dataSize, rate)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				tb.Fatal(err)
			}
			return published
		default:
			work()
		}
	}
}

func TestReplayWriteCalls(t *testing.T) {
	const times = 50
	p := start(t, server.Hub)
	id := fill(t, p)
	replays(t, p, id, 1) // warms up
	if got := float64(replays(t, p, id, times).Writes) / times; got > mostWrites {
		t.Errorf("got %.2f write calls for %d events, want at most %d", got, missed, mostWrites)
	}
}
