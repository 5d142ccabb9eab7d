//go:build linux

package python_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMigrate measures the originals and the ports of the Flask app in turn,
// YIELDSSE_BENCH_ROUNDS times, and logs a table. The number of connections to hold is
// YIELDSSE_BENCH_CONNS, and events are counted for YIELDSSE_BENCH_WINDOW ms. An original runs
// in one Gunicorn worker with half as many threads.
func BenchmarkMigrate(b *testing.B) {
	python := findPython(b)
	program := buildPort(b, "flask")
	conns, rounds := setting(b, "YIELDSSE_BENCH_CONNS", 2000), setting(b, "YIELDSSE_BENCH_ROUNDS", 1)
	window := time.Duration(setting(b, "YIELDSSE_BENCH_WINDOW", 2000)) * time.Millisecond
	tick := window / 2 // of the streams that are held
	threads := max(conns/2, 100)
	type contender struct {
		name  string
		start func() *migrated
		costs []cost
	}
	var all []*contender
	for _, app := range []string{"flask", "django"} {
		all = append(all, &contender{name: app, start: func() *migrated {
			return startOriginal(b, python, app, threads, tick)
		}})
	}
	for _, framework := range ports {
		all = append(all, &contender{name: framework, start: func() *migrated {
			return startPort(b, program, "flask", framework, tick)
		}})
	}
	for range rounds {
		for _, c := range all {
			c.costs = append(c.costs, measure(b, c.start(), conns, window))
		}
	}
	b.ReportMetric(0, "ns/op") // hides it, because it means nothing here

	var table strings.Builder // at most 10 lines, because go test does not show more
	fmt.Fprintf(&table, "median (least to most) of %d, %s, one worker with %d threads\n", rounds, versions(b, python), threads)
	fmt.Fprintf(&table, "| | held of %d | kB a connection | us CPU an event, paced | events/s, 1 connection "+
		"| us CPU an event | events/s, 100 connections | us CPU an event |\n|%s\n", conns, strings.Repeat(" --- |", 8))
	for _, c := range all {
		fmt.Fprintf(&table, "| %s |", c.name)
		for i := range c.costs[0] {
			var values []float64
			for _, round := range c.costs {
				values = append(values, round[i])
			}
			slices.Sort(values)
			fmt.Fprintf(&table, " %s (%s to %s) |", short(values[len(values)/2]), short(values[0]), short(values[len(values)-1]))
		}
		table.WriteString("\n")
	}
	b.Log(table.String())
}

// versions says what the originals run on.
func versions(b *testing.B, python string) string {
	b.Helper()
	out, err := exec.Command(python, "-c", `
import platform
from importlib.metadata import version
print("Python " + platform.python_version(), *(f"{name} {version(name)}" for name in ("Flask", "Django", "Gunicorn")), sep=", ")
`).Output()
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func setting(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s: got %q, want a number above 0", name, text)
	}
	return n
}

// short formats v with three digits, or with all digits before the point.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// A cost has the values of a row of the table.
type cost [7]float64

// measure measures a server and ends it.
func measure(b *testing.B, s *migrated, conns int, window time.Duration) (c cost) {
	b.Helper()
	defer s.kill(b)
	warm := openCrowd(b, s, "/events?n=1000", 1)
	if !warm.wait(1000, patience) {
		b.Fatalf("%s: got %d events, want 1000", s.name, warm.events.Load())
	}
	warm.close()

	_, before := s.usage(b)
	held := openCrowd(b, s, "/stream?user_id=ada", conns)
	held.wait(int64(2*conns), 10*time.Second) // long enough to serve all connections that are served
	n := float64(held.served.Load())
	if n == 0 {
		b.Fatalf("%s: got no event on any of %d connections", s.name, conns)
	}
	_, after := s.usage(b)
	_, perEvent := held.count(b, s, window)
	held.close()
	c[0], c[1], c[2] = n, float64(after-before)/n/1e3, perEvent

	for i, conns := range []int{1, 100} {
		crowd := openCrowd(b, s, "/events?n=1000000000", conns)
		if !crowd.wait(int64(10*conns), patience) {
			b.Fatalf("%s: got %d events on %d connections, want ten for each", s.name, crowd.events.Load(), conns)
		}
		c[3+2*i], c[4+2*i] = crowd.count(b, s, window)
		crowd.close()
	}
	return c
}

// A crowd is readers that count events.
type crowd struct {
	conns   []net.Conn
	reading sync.WaitGroup
	events  atomic.Int64
	served  atomic.Int64 // readers that have received an event
}

func openCrowd(b *testing.B, s *migrated, path string, n int) *crowd {
	b.Helper()
	c := new(crowd)
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path); err != nil {
			b.Fatal(err)
		}
		c.reading.Go(func() { c.read(conn) })
	}
	return c
}

// read counts lines of data. It keeps the end of what it has read, because a mark may
// continue in the next read.
func (c *crowd) read(conn net.Conn) {
	mark := []byte("\ndata: ")
	buf := make([]byte, 16<<10)
	kept, first := 0, true
	for {
		n, err := conn.Read(buf[kept:])
		if err != nil {
			return
		}
		text := buf[:kept+n]
		found := bytes.Count(text, mark)
		c.events.Add(int64(found))
		if first && found > 0 {
			first = false
			c.served.Add(1)
		}
		kept = copy(buf, text[max(0, len(text)-len(mark)+1):])
	}
}

// wait waits for n events, for at most d, and reports whether they arrived.
func (c *crowd) wait(n int64, d time.Duration) bool {
	ticker, timeout := time.NewTicker(time.Millisecond), time.After(d)
	defer ticker.Stop()
	for c.events.Load() < n {
		select {
		case <-ticker.C:
		case <-timeout:
			return false
		}
	}
	return true
}

// count counts events for a window. It returns how many arrive in a second, and how much CPU
// time of the server each costs, in microseconds.
func (c *crowd) count(b *testing.B, s *migrated, window time.Duration) (perSecond, perEvent float64) {
	b.Helper()
	begin, events := time.Now(), c.events.Load()
	cpu, _ := s.usage(b)
	<-time.After(window)
	cpuAfter, _ := s.usage(b)
	n := float64(c.events.Load() - events)
	if n == 0 {
		b.Fatalf("%s: got no event in %v", s.name, window)
	}
	return n / time.Since(begin).Seconds(), float64((cpuAfter - cpu).Microseconds()) / n
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.reading.Wait()
}

// usage returns the CPU time and the resident memory of the server's processes.
func (s *migrated) usage(b *testing.B) (cpu time.Duration, resident int) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name) //nolint:gosec // a file of /proc
		if err != nil {
			continue // the process has ended
		}
		_, rest, _ := bytes.Cut(text, []byte(") ")) // a name precedes this
		fields := strings.Fields(string(rest))      // see proc(5), from number 3 on
		number := func(i int) int { n, _ := strconv.Atoi(fields[i-3]); return n }
		if number(5) != s.cmd.Process.Pid { // the process group
			continue
		}
		cpu += time.Duration(number(14)+number(15)) * 10 * time.Millisecond // 100 ticks a second, on all of today's Linux
		resident += number(24) * os.Getpagesize()
	}
	return cpu, resident
}
