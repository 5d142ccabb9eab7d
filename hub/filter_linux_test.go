package hub_test

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// A filter that drops 99 of 100 events, against delivering all of them, for 100 detached
// clients over sockets, with an event each 1.2 ms. It is the CPU time of this process, less
// that of publishing to nobody. The clients read when the clock has stopped. The median ratio is
// reported as x-delivering.
func BenchmarkFilter(b *testing.B) {
	const clients, events = 100, 200
	wanted := hub.WithAttributes(hub.Attributes{"region": "eu"})
	other := hub.WithAttributes(hub.Attributes{"region": "us"})
	event := core.Event{Data: strings.Repeat("x", 200)}
	side := func(n int, keep func(i int) bool, opts ...hub.SubscribeOption) (round func() float64) {
		h := hub.New()
		url := ssetest.Serve(b, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return h.SubscribeWith(r.Context(), []string{"a"}, opts...)
		}, core.WithDetach(), core.WithHeartbeat(0)))
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = open(b, url)
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
				time.Sleep(1200 * time.Microsecond) //nolint:forbidigo // longer than the flush window
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
	var ratios, each []float64
	for b.Loop() {
		idle, full, filtered := nobody(), all(), some()
		ratios = append(ratios, (filtered-idle)/(full-idle))
		each = append(each, (filtered-idle)/clients/events)
	}
	slices.Sort(ratios)
	slices.Sort(each)
	b.ReportMetric(ratios[len(ratios)/2], "x-delivering")
	b.ReportMetric(each[len(each)/2], "ns/event")
}

// cpu is how long this process has run on a CPU, in ns.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
