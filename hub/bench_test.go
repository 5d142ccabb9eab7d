package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/core/host"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

var benchEvent = core.Event{Data: strings.Repeat("x", 200)}

func mustPublish(b *testing.B, h *hub.Hub, topic string) {
	b.Helper()
	if _, err := h.Publish(context.Background(), topic, benchEvent); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPublish(b *testing.B) {
	h := hub.New()
	b.ReportAllocs()
	for b.Loop() {
		mustPublish(b, h, "topic")
	}
}

// Statistics cost the same whatever the hub holds, except for topics without events and
// subscribers, of which it remembers up to 16,384.
func BenchmarkStats(b *testing.B) {
	for _, n := range []struct{ topics, idle int }{{1, 0}, {100_000, 0}, {1, 100}, {1, 1 << 14}} {
		b.Run(fmt.Sprintf("%d topics and %d idle", n.topics, n.idle), func(b *testing.B) {
			h := hub.New(hub.WithMaxEvents(n.topics), hub.WithMaxBytes(0))
			for i := range n.topics + n.idle {
				mustPublish(b, h, strconv.Itoa(i))
			}
			for b.Loop() {
				if got := h.Stats(); got.Topics != n.topics {
					b.Fatalf("got %d topics, want %d", got.Topics, n.topics)
				}
			}
		})
	}
}

// A Publish for which 100,000 subscriptions wait, against one for which nobody waits. Between two of
// them, the event is sent to all. The times that 99 of 100 do not exceed are reported, and their ratio.
func BenchmarkPublishToWaiting(b *testing.B) {
	const clients = 100_000
	h, alone := hub.New(), hub.New()
	sent, stop := audience(b, h, clients, []string{"topic"}, false)
	defer stop()
	clock := func(h *hub.Hub) float64 {
		begin := time.Now()
		mustPublish(b, h, "topic")
		return float64(time.Since(begin))
	}
	var ours, none []float64
	for b.Loop() {
		none = append(none, clock(alone))
		ours = append(ours, clock(h))
		for range clients {
			<-sent
		}
		b.StopTimer()
		hosttest.Eventually(b, "all wait again", func() bool { return hub.Waiting(h, "topic") == clients })
		b.StartTimer()
	}
	p99 := func(all []float64) float64 {
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	b.ReportMetric(p99(ours), "p99-ns")
	b.ReportMetric(p99(none), "p99-ns-alone")
	b.ReportMetric(p99(ours)/p99(none), "x-alone")
}

// A countingConn counts what it is sent, and reports when that is enough.
type countingConn struct {
	sends, bytes atomic.Int64
	most         int64
	enough       chan<- struct{}
}

func (c *countingConn) Send(f host.Frames) error {
	c.sends.Add(1)
	if n := c.bytes.Add(int64(len(f.Bytes()))); n >= c.most && n-int64(len(f.Bytes())) < c.most {
		c.enough <- struct{}{}
	}
	return nil
}
func (*countingConn) End() error { return nil }
func (*countingConn) Abort()     {}

// sessions runs n sessions in memory, each of which subscribes to what name returns, and more.
func sessions(b *testing.B, h *hub.Hub, n int, name func(i int) string, more []string, conn func(i int) host.Conn, zips bool, opts ...hub.SubscribeOption) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	of := []core.Option{core.WithHeartbeat(0), core.WithWriteTimeout(0), core.WithFlushWindow(0)}
	if zips {
		of = append(of, core.WithCompression())
	}
	for i := range n {
		s, err := host.NewSession(ctx, core.Request{}, of...)
		if err != nil {
			b.Fatal(err)
		}
		s.SetHeaders(http.Header{}, "gzip")
		stream := h.SubscribeWith(s.Context(), append([]string{name(i)}, more...), opts...)
		running.Go(func() { _ = s.Serve(conn(i), stream) })
	}
	hosttest.Eventually(b, "all are subscribed", func() bool {
		for i := n - 1; i >= 0; i-- {
			if h.Len(name(i)) == 0 {
				return false
			}
		}
		return true
	})
	return func() { cancel(); running.Wait() }
}

// Publishing to one of 100,000 topics with a subscriber each, until the event is
// delivered, against publishing to the only topic. The median ratio is reported as
// x-alone.
func BenchmarkPublishToOneOfManyTopics(b *testing.B) {
	const topics = 100_000
	side := func(n int) (deliver func(), stop func()) {
		h := hub.New()
		sent := make(chan struct{}, n) // for the greetings
		conns := make([]signalConn, n)
		stop = sessions(b, h, n, strconv.Itoa, nil, func(i int) host.Conn {
			conns[i].sent = sent
			return &conns[i]
		}, false)
		for range n {
			<-sent
		}
		topic := strconv.Itoa(n / 2)
		return func() {
			mustPublish(b, h, topic)
			<-sent
		}, stop
	}
	many, stopMany := side(topics)
	defer stopMany()
	one, stopOne := side(1)
	defer stopOne()

	clock := func(f func(), n int) float64 {
		begin := time.Now()
		for range n {
			f()
		}
		return float64(time.Since(begin)) / float64(n)
	}
	var ratios, ours []float64
	clock(many, 100)
	clock(one, 100)
	const most = 1_000
	b.ResetTimer()
	for left := b.N; left > 0; left -= most {
		n := min(left, most)
		alone := clock(one, n)
		ours = append(ours, clock(many, n))
		ratios = append(ratios, ours[len(ours)-1]/alone)
	}
	b.StopTimer()
	slices.Sort(ratios)
	slices.Sort(ours)
	b.ReportMetric(ratios[len(ratios)/2], "x-alone")
	b.ReportMetric(ours[len(ours)/2], "ns/op")
}

// audience runs n sessions in memory that have subscribed to names, and returns when they have been
// greeted. sent then gets a value for each Send.
func audience(b *testing.B, h *hub.Hub, n int, names []string, zips bool) (sent chan struct{}, stop func()) {
	b.Helper()
	sent = make(chan struct{}, n)
	stop = sessions(b, h, n, func(int) string { return names[0] }, names[1:], func(int) host.Conn { return &signalConn{sent} }, zips)
	for range n {
		<-sent
	}
	hosttest.Eventually(b, "all are subscribed", func() bool { return h.Len(names[len(names)-1]) == n })
	return sent, stop
}

// A signalConn signals each Send.
type signalConn struct{ sent chan<- struct{} }

func (c *signalConn) Send(host.Frames) error { c.sent <- struct{}{}; return nil }
func (*signalConn) End() error               { return nil }
func (*signalConn) Abort()                   {}

// A client resumes that has missed the last 1,000 of 100,000 events.
func BenchmarkReplay(b *testing.B) {
	h := hub.New(hub.WithMaxEvents(100_000))
	size := int64(0)
	for i := range 100_000 {
		mustPublish(b, h, "topic")
		if i >= 99_000 {
			e := benchEvent
			e.ID = h.LastID()
			frame, err := e.AppendText(nil)
			if err != nil {
				b.Fatal(err)
			}
			size += int64(len(frame))
		}
	}
	last, greeting := idOf(h, 99_000), int64(len(": open\n\n"))
	var sends int64
	enough := make(chan struct{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		s, err := host.NewSession(ctx, core.Request{LastEventID: last}, core.WithFlushWindow(0)) // so that no time is spent waiting
		if err != nil {
			b.Fatal(err)
		}
		conn := &countingConn{most: greeting + size, enough: enough}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Serve(conn, h.Subscribe(s.Context(), "topic"))
		}()
		<-enough
		cancel()
		<-done
		if sends = conn.sends.Load(); sends > 10 {
			b.Errorf("got %d sends for 1,000 events, want at most 10", sends)
		}
	}
	b.ReportMetric(float64(sends), "sends")
}

// One event to 1,000 sessions, until it was sent to all of them, with and without compression.
func BenchmarkFanOut(b *testing.B) {
	const clients = 1_000
	for _, zips := range []bool{false, true} {
		b.Run(fmt.Sprintf("compressed=%t", zips), func(b *testing.B) {
			h := hub.New()
			sent, stop := audience(b, h, clients, []string{"topic"}, zips)
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				mustPublish(b, h, "topic")
				for range clients {
					<-sent
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients, "ns/delivery")
		})
	}
}

// An event of each of 250 topics to 200 sessions that all have these topics, until it was sent to all of
// them, against 250 events of their only topic. The median ratio is reported as x-one.
func BenchmarkSameTopics(b *testing.B) {
	const clients, topics = 200, 250
	side := func(names []string) (deliver func() time.Duration, stop func()) {
		h := hub.New()
		sent, stop := audience(b, h, clients, names, false)
		return func() time.Duration {
			begin := time.Now()
			for i := range topics {
				mustPublish(b, h, names[i%len(names)])
				for range clients {
					<-sent
				}
			}
			return time.Since(begin)
		}, stop
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf("topic.%d", i)
	}
	many, stopMany := side(names)
	defer stopMany()
	one, stopOne := side(names[:1])
	defer stopOne()
	many()
	one()
	var ratios, ours []float64
	for b.Loop() {
		alone, all := one(), many()
		ratios, ours = append(ratios, float64(all)/float64(alone)), append(ours, float64(all)/topics/clients)
	}
	slices.Sort(ratios)
	slices.Sort(ours)
	b.ReportMetric(ratios[len(ratios)/2], "x-one")
	b.ReportMetric(ours[len(ours)/2], "ns/delivery")
}

// A thousand events that 1,000 idle sessions do not want, from one or several publishers at once, and one
// that they want: until it was sent to all. It reports the time for each session and event.
func BenchmarkFilterDrops(b *testing.B) {
	const clients, events = 1_000, 1_000
	wanted := hub.WithAttributes(hub.Attributes{"region": "eu"})
	other := hub.WithAttributes(hub.Attributes{"region": "us"})
	for _, publishers := range []int{1, 2, 4} {
		b.Run(strconv.Itoa(publishers), func(b *testing.B) {
			h := hub.New()
			sent := make(chan struct{}, 2*clients)
			stop := sessions(b, h, clients, func(int) string { return "topic" }, nil, func(int) host.Conn { return &signalConn{sent} }, false, only("eu"))
			defer stop()
			for range clients {
				<-sent
			}
			hosttest.Eventually(b, "all are subscribed", func() bool { return h.Len("topic") == clients })
			publish := func(opt hub.PublishOption) {
				if _, err := h.Publish(context.Background(), "topic", benchEvent, opt); err != nil {
					b.Error(err)
				}
			}
			for b.Loop() {
				var all sync.WaitGroup
				for range publishers {
					all.Go(func() {
						for range events / publishers {
							publish(other)
						}
					})
				}
				all.Wait()
				publish(wanted)
				for range clients {
					<-sent
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients/events, "ns/drop")
		})
	}
}

// A thousand clients resume, 600 events behind, at a hub that has nothing in its
// memory. One operation is one herd.
func BenchmarkHerd(b *testing.B) {
	const clients, behind = 1_000, 600
	l := &trick{MemoryLog: new(hubtest.MemoryLog)}
	for range behind {
		if _, err := l.Append(b.Context(), hub.Entry{Topic: "topic", Event: benchEvent}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		h := hub.New(hub.WithLog(l))
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				n := 0
				for _, err := range h.SubscribeFrom(b.Context(), hub.Oldest, "topic") {
					if n++; err != nil || n == behind {
						return
					}
				}
			})
		}
		running.Wait()
		if err := h.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(l.reads.Load())/float64(b.N), "reads/op")
}
