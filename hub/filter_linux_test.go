package hub_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"net/http"
)

// A filter that drops 99 of 100 events, against delivering all of them, to 100 detached
// clients over sockets: CPU time of this process, less that of publishing to nobody. The clients read when the clock
// has stopped. The median ratios are reported as x-delivering, for events that come one by one,
// and for many at once.
func BenchmarkFilter(b *testing.B) {
	for _, paced := range []bool{true, false} {
		name := map[bool]string{true: "one by one", false: "many at once"}[paced]
		b.Run(name, func(b *testing.B) { benchmarkFilter(b, paced) })
	}
}

func benchmarkFilter(b *testing.B, paced bool) {
	const clients, events = 100, 200
	wanted := hub.WithAttributes(hub.Attributes{"region": "eu"})
	other := hub.WithAttributes(hub.Attributes{"region": "us"})
	event := core.Event{Data: strings.Repeat("x", 200)}
	side := func(n int, keep func(i int) bool, opts ...hub.SubscribeOption) (round func() float64) {
		h := hub.New()
		srv := &http.Server{Handler: nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return h.SubscribeWith(r.Context(), []string{"a"}, opts...)
		}, core.WithDetach(), core.WithHeartbeat(0))}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = srv.Serve(l) }()
		b.Cleanup(func() { _ = srv.Close() })
		conns := make([]net.Conn, n)
		for i := range conns {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			conns[i] = conn
		}
		hosttest.Eventually(b, "all are subscribed", func() bool { return h.Len("a") == n })
		buf := make([]byte, 64<<10)
		drain := func(until string) {
			for _, conn := range conns {
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				for got := ""; !strings.Contains(got, until); {
					n, err := conn.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					got = got[max(len(got)-len(until), 0):] + string(buf[:n])
				}
			}
		}
		drain("\r\n\r\n")
		return func() float64 {
			begin, last := cpu(), ""
			for i := range events {
				opt := other
				if keep(i) {
					opt = wanted
				}
				id, err := h.Publish(b.Context(), "a", event, opt)
				if err != nil {
					b.Fatal(err)
				}
				if keep(i) {
					last = id
				}
				if paced {
					time.Sleep(1200 * time.Microsecond)
				}
			}
			if !paced {
				time.Sleep(20 * time.Millisecond)
			}
			used := cpu() - begin
			if n > 0 {
				drain("id: " + last + "\n")
			}
			return float64(used)
		}
	}
	rarely := func(i int) bool { return i%100 == 50 }
	filter := hub.WithFilter(func(_ string, a hub.Attributes) bool { return a["region"] == "eu" })
	nobody, all, some := side(0, rarely), side(clients, rarely), side(clients, rarely, filter)
	always := side(clients, func(int) bool { return true }, filter)
	var ratios, ratios2, alls, somes []float64
	for b.Loop() {
		idle, full, filtered, passed := nobody(), all(), some(), always()
		ratios = append(ratios, (filtered-idle)/(full-idle))
		ratios2 = append(ratios2, (passed-idle)/(full-idle))
		alls, somes = append(alls, (full-idle)/clients/events), append(somes, (filtered-idle)/clients/events)
	}
	median := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
	b.ReportMetric(median(ratios), "x-delivering")
	b.ReportMetric(median(ratios2), "pass-x-delivering")
	b.ReportMetric(median(alls), "ns-all")
	b.ReportMetric(median(somes), "ns-filtered")
}

// cpu is how long this process has run on a CPU, in ns.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
