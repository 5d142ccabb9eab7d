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
// over sockets, in CPU time of this process. All figures are medians for each event and client, less publishing
// to nobody; the clients read when the clock has stopped.
//
// ns/delivered is the denominator: what an event costs that is delivered, among others that all are. ns/dropped is what
// an event costs that the filter drops: the clients with the filter, less clients of the same 1 % that have a
// topic of their own, because those must be written with or without a filter. x-delivering is their ratio. x-total
// is that of all that the clients with the filter cost, with the 1 %.
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
	nobody, all := filterSide(b, 0, events, burst, "a"), filterSide(b, 100, events, burst, "a")
	some, few := filterSide(b, 100, events, burst, "a", only("eu")), filterSide(b, 100, events, burst, "other")
	got := make(map[string][]float64)
	each := 100 * float64(events)
	for b.Loop() {
		idle := nobody()
		delivered, filtered, wanted := all()-idle, some()-idle, few()-idle
		dropped := (filtered - wanted) / 0.99
		for name, value := range map[string]float64{
			"ns/delivered": delivered / each, "ns/dropped": dropped / each,
			"x-delivering": dropped / delivered, "x-total": filtered / delivered,
		} {
			got[name] = append(got[name], value)
		}
	}
	for name, values := range got {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
}

// filterSide returns a function that publishes events to n clients of the topic "a", and returns the CPU time in
// ns. What is not of the region eu is published to another topic.
func filterSide(b *testing.B, n, events, burst int, topicOfOthers string, opts ...hub.SubscribeOption) (round func() float64) {
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
			topic, opt := topicOfOthers, other
			if rare {
				topic, opt = "a", wanted
			}
			id, err := h.Publish(b.Context(), topic, benchEvent, opt)
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
