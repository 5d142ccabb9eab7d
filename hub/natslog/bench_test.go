package natslog_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/natslog"
)

// fill adds n events of 100 bytes of data.
func fill(b *testing.B, js jetstream.JetStream, n int, header nats.Header) {
	b.Helper()
	data := []byte(strings.Repeat("x", 100))
	for i := range n {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "events.t", Data: data, Header: header}); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 || i == n-1 {
			<-js.PublishAsyncComplete()
		}
	}
}

// A follower compared with a loop over an ordered consumer: events a second, and the ratio
// to the bare loop.
func BenchmarkFollow(b *testing.B) {
	const events = 100_000
	for _, test := range []struct {
		name   string
		header nats.Header
	}{
		{"data", nil},
		{"type", nats.Header{"Event-Type": {"price"}}},
	} {
		b.Run(test.name, func(b *testing.B) {
			l, js := open(b)
			if _, err := l.Last(context.Background()); err != nil {
				b.Fatal(err)
			}
			fill(b, js, events, test.header)
			first, err := l.Range(context.Background(), "", 1)
			if err != nil {
				b.Fatal(err)
			}
			var bare, ours time.Duration
			for b.Loop() {
				bare += ordered(b, js, events)
				begin := time.Now()
				n := 0
				for e, err := range l.Follow(context.Background(), first[0].ID) {
					if err != nil {
						b.Fatal(err)
					}
					if e.Topic != "" {
						n++
					}
					if n == events {
						break
					}
				}
				ours += time.Since(begin)
			}
			b.ReportMetric(float64(events*b.N)/ours.Seconds(), "events/s")
			b.ReportMetric(float64(events*b.N)/bare.Seconds(), "bare/s")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "of-bare")
		})
	}
}

func ordered(b *testing.B, js jetstream.JetStream, events int) time.Duration {
	b.Helper()
	begin := time.Now()
	c, err := js.OrderedConsumer(context.Background(), "events", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	messages, err := c.Messages()
	if err != nil {
		b.Fatal(err)
	}
	defer messages.Stop()
	for range events {
		if _, err := messages.Next(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin)
}

// A page of 256 events.
func BenchmarkRange(b *testing.B) {
	l, js := open(b)
	if _, err := l.Last(context.Background()); err != nil {
		b.Fatal(err)
	}
	fill(b, js, 1000, nats.Header{"Event-Type": {"price"}})
	for b.Loop() {
		if entries, err := l.Range(context.Background(), "", 256); err != nil || len(entries) != 257 {
			b.Fatal(len(entries), err)
		}
	}
}

// From Publish to another hub's subscriber, at 1,000 events a second.
func BenchmarkDelivery(b *testing.B) {
	const rate, events = 1000, 5000
	url := runServer(b, server.Options{JetStream: true}).ClientURL()
	var hubs [2]*hub.Hub
	for i := range hubs {
		hubs[i] = hub.New(hub.WithLog(natslog.New(connect(b, url), "events")))
		defer func() { _ = hubs[i].Shutdown(context.Background()) }()
	}
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		joined := make(chan struct{})
		delays := make([]time.Duration, 0, events)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e, err := range hubs[1].Subscribe(ctx, ">") {
				if err != nil {
					b.Error(err)
					return
				}
				if e.Data == "begin" {
					close(joined)
					continue
				}
				sent, _ := strconv.ParseInt(e.Data, 10, 64)
				delays = append(delays, time.Duration(time.Now().UnixNano()-sent))
				if len(delays) == events {
					return
				}
			}
		}()
		for hubs[1].Len(">") == 0 {
			<-time.After(time.Millisecond)
		}
		publish := func(data string) {
			if _, err := hubs[0].Publish(ctx, "t", core.Event{Data: data}); err != nil {
				b.Fatal(err)
			}
		}
		publish("begin")
		<-joined
		clock := time.NewTicker(time.Second / rate)
		for range events {
			<-clock.C
			publish(fmt.Sprint(time.Now().UnixNano()))
		}
		clock.Stop()
		<-done
		cancel()
		slices.Sort(delays)
		b.ReportMetric(float64(delays[len(delays)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(delays[len(delays)*99/100])/1e6, "p99-ms")
	}
}
