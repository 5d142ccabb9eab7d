package hub_test

import (
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest"
)

// 9,000 detached clients connect and are sent a state of ten events. It reports the goroutines that are left for
// each, and the time until all have the state.
func BenchmarkState(b *testing.B) {
	const (
		clients = 9_000 // as many as 20,000 descriptors allow
		others  = 20    // goroutines of the server and its workers that may be there, however many clients there are
	)
	state := stateOf("1 2 3 4 5 6 7 8 9 10")
	for b.Loop() {
		h := hub.New()
		url := ssetest.Serve(b, nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
			return h.SubscribeWith(r.Context(), []string{"a"}, state)
		}, core.WithDetach(), core.WithHeartbeat(0)))
		before := runtime.NumGoroutine()
		var conns []net.Conn
		buf := make([]byte, 4<<10)
		for range clients {
			conn := open(b, url)
			conns = append(conns, conn)
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			for got := ""; !strings.Contains(got, "data: 10\n"); {
				n, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				got += string(buf[:n])
			}
		}
		hosttest.Eventually(b, "the workers have nothing to do", func() bool { return runtime.NumGoroutine() <= before+others })
		b.ReportMetric(float64(max(runtime.NumGoroutine()-before, 0))/clients, "goroutines/client")
		for _, conn := range conns {
			_ = conn.Close()
		}
		hosttest.Eventually(b, "all have left", func() bool { return h.Len("a") == 0 })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients, "ns/client")
}
