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

// A filter that drops 99 of 100 events, against delivering all of them without a filter, for 100 detached clients
// over sockets. It compares the CPU time of this process, less that of publishing to nobody. The clients
// read when the clock has stopped. x-delivering is the median ratio; its denominator is
// reported as ns/delivered, for each event and client, and the numerator as ns/filtered.
//
// What a delivery costs depends on how many events share a write. "one by one" publishes an event each 1.2 ms, so that
// each is a write of its own. "at once" publishes 400 as fast as it can, so that few writes have all of
// them: a delivery is as cheap then as it can be.
func BenchmarkFilter(b *testing.B) {
	b.Run("one by one", func(b *testing.B) { compareFilter(b, 200, 1200*time.Microsecond) }) // longer than the flush window
	b.Run("at once", func(b *testing.B) { compareFilter(b, 400, 0) })
}

func compareFilter(b *testing.B, events int, pause time.Duration) {
	b.Helper()
	nobody, all, some := filterSide(b, 0, events, pause), filterSide(b, 100, events, pause), filterSide(b, 100, events, pause, only("eu"))
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
func filterSide(b *testing.B, n, events int, pause time.Duration, opts ...hub.SubscribeOption) (round func() float64) {
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
			if pause > 0 {
				time.Sleep(pause) //nolint:forbidigo // so that each event is a write
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
