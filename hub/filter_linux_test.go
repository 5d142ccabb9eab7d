package hub_test

import (
	"net"
	"net/http"
	"slices"
	"strconv"
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

// A filter that drops 99 of 100 events, against delivering all of them without a filter, for 100 detached clients
// over sockets. It compares the CPU time of this process, less that of publishing to nobody. The clients
// read when the clock has stopped. x-delivering is the median ratio; its denominator is
// reported as ns/delivered, for each event and client, and the numerator as ns/filtered.
//
// What a delivery costs depends on how many events share a write: some are published as fast as that can be, and the
// next 1.2 ms later. With one, each event is a write of its own. With 400, few writes have all of them, and a
// delivery is as cheap as it can be.
func BenchmarkFilter(b *testing.B) {
	for _, burst := range []int{1, 10, 400} {
		b.Run(strconv.Itoa(burst), func(b *testing.B) { compareFilter(b, burst) })
	}
}

func compareFilter(b *testing.B, burst int) {
	b.Helper()
	events := max(burst, 200)
	nobody, all, some := filterSide(b, 0, events, burst), filterSide(b, 100, events, burst), filterSide(b, 100, events, burst, only("eu"))
	var ratios, filtered, delivered []float64
	for b.Loop() {
		idle := nobody()
		f, d := some()-idle, all()-idle
		ratios, filtered, delivered = append(ratios, f/d), append(filtered, f/100/float64(events)), append(delivered, d/100/float64(events))
	}
	for name, values := range map[string][]float64{"x-delivering": ratios, "ns/filtered": filtered, "ns/delivered": delivered} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
}

// filterSide returns a function that publishes events to n clients, of which they get all or those of
// the region eu, and returns the CPU time in ns.
func filterSide(b *testing.B, n, events, burst int, opts ...hub.SubscribeOption) (round func() float64) {
	b.Helper()
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
	wanted, other := in("eu"), in("us")
	return func() float64 {
		begin, last := cpu(), ""
		for i := range events {
			rare := i%100 == 99
			opt := other
			if rare {
				opt = wanted
			}
			id, err := h.Publish(b.Context(), "a", benchEvent, opt)
			if err != nil {
				b.Fatal(err)
			}
			if rare {
				last = id
			}
			if i%burst == burst-1 {
				time.Sleep(1200 * time.Microsecond) //nolint:forbidigo // longer than the flush window
			}
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // until all is written
		used := cpu() - begin
		drain("id: " + last + "\n")
		return float64(used)
	}
}

// cpu is how long this process has run on a CPU, in ns.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
