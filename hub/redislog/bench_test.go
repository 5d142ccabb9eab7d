package redislog_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
)

// fill adds n events to the log, and returns the ID before them.
func fill(b *testing.B, s *server, n int) (front string) {
	b.Helper()
	epoch, _, _ := strings.Cut(last(b, s.open()), "-")
	data := strings.Repeat("x", 100)
	c := s.client()
	for at := 0; at < n; {
		_, err := c.Pipelined(context.Background(), func(p redis.Pipeliner) error {
			for range min(n-at, 1000) {
				before := epoch + "-" + strconv.Itoa(at) + "-0"
				at++
				p.XAdd(context.Background(), &redis.XAddArgs{Stream: "events", ID: strconv.Itoa(at) + "-0", Values: []any{
					"topic", "a", "type", "add", "data", data, "after", before,
				}})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return epoch + "-0-0"
}

// How fast one follower reads what there is: as a log, as a hub on it, and as a
// loop around XREAD for comparison. Each b.N is an event.
func BenchmarkFollow(b *testing.B) {
	const size = 100_000
	s := serve(b)
	front := fill(b, s, size)
	b.Run("xread", func(b *testing.B) {
		c := s.client()
		at := "0-0"
		for n := 0; n < b.N; {
			streams, err := c.XRead(context.Background(), &redis.XReadArgs{Streams: []string{"events", at}, Count: 512, Block: time.Second}).Result()
			if err != nil {
				b.Fatal(err)
			}
			messages := streams[0].Messages
			n += len(messages)
			if at = messages[len(messages)-1].ID; len(messages) < 512 {
				at = "0-0"
			}
		}
		reportRate(b)
	})
	b.Run("log", func(b *testing.B) {
		l := s.open()
		for n := 0; n < b.N; {
			for e, err := range l.Follow(context.Background(), front) {
				if err != nil {
					b.Fatal(err)
				}
				if e.Topic != "" {
					n++
				}
				if n == b.N || n > 0 && n%size == 0 {
					break
				}
			}
		}
		reportRate(b)
	})
	b.Run("hub", func(b *testing.B) {
		for n := 0; n < b.N; n += size {
			want := int64(min(b.N-n, size))
			h := hub.New(hub.WithLog(fromOldest{s.open(), front}))
			for h.Stats().Log.Events < want {
				<-time.After(time.Millisecond)
			}
			b.StopTimer()
			if err := h.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		reportRate(b)
	})
}

func reportRate(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// fromOldest is a log whose followers begin with the oldest event.
type fromOldest struct {
	*redislog.Log

	front string
}

func (l fromOldest) Follow(ctx context.Context, after string) iter.Seq2[hub.Entry, error] {
	if after == "" {
		after = l.front
	}
	return l.Log.Follow(ctx, after)
}

// How long an event takes from Publish to a subscriber in another process, at
// 1,000 events a second. Each b.N is an event.
func BenchmarkLatency(b *testing.B) {
	for _, durability := range durabilities {
		b.Run(durability.name, func(b *testing.B) {
			s := serve(b, durability.args...)
			h, other := hub.New(hub.WithLog(s.open())), hub.New(hub.WithLog(s.open()))
			defer func() { _, _ = h.Shutdown(context.Background()), other.Shutdown(context.Background()) }()
			for h.LastID() == "" || other.LastID() == "" {
				<-time.After(time.Millisecond)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			took := make([]time.Duration, 0, b.N)
			done := make(chan error, 1)
			stream := other.Subscribe(ctx, "a")
			began := time.Now()
			go func() {
				for e, err := range stream {
					sent, _ := strconv.ParseInt(e.Data, 10, 64)
					took = append(took, time.Since(began)-time.Duration(sent))
					if err != nil || len(took) == b.N {
						done <- err
						return
					}
				}
				done <- ctx.Err()
			}()
			const every = time.Millisecond
			slots := make(chan struct{}, 64) // publishes under way
			var publishing sync.WaitGroup
			n := 0
			for range core.Every(ctx, every) {
				for ; n < b.N && time.Since(began) > time.Duration(n)*every; n++ {
					slots <- struct{}{}
					publishing.Go(func() {
						defer func() { <-slots }()
						data := fmt.Sprint(int64(time.Since(began)))
						if _, err := h.Publish(ctx, "a", core.Event{Data: data}); err != nil {
							b.Error(err)
						}
					})
				}
				if n == b.N {
					break
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			publishing.Wait() // the event may arrive before its ID
			reportTimes(b, took)
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
		})
	}
}

// How fast one process appends, one event after another or 64 at once.
func BenchmarkAppend(b *testing.B) {
	for _, durability := range durabilities {
		for _, at := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/at once=%d", durability.name, at), func(b *testing.B) {
				l := serve(b, durability.args...).open()
				entry := hub.Entry{Topic: "a", Event: core.Event{Type: "add", Data: strings.Repeat("x", 100)}}
				for range at { // connections
					last(b, l)
				}
				var all sync.WaitGroup
				var mu sync.Mutex
				left, took := b.N, make([]time.Duration, 0, b.N)
				b.ResetTimer()
				for range at {
					all.Go(func() {
						for {
							mu.Lock()
							left--
							mine := left >= 0
							mu.Unlock()
							if !mine {
								return
							}
							began := time.Now()
							if _, err := l.Append(context.Background(), entry); err != nil {
								b.Error(err)
								return
							}
							mu.Lock()
							took = append(took, time.Since(began))
							mu.Unlock()
						}
					})
				}
				all.Wait()
				reportRate(b)
				reportTimes(b, took)
			})
		}
	}
}

// How long a page takes, as a hub reads it for a client.
func BenchmarkPage(b *testing.B) {
	const size, page = 100_000, 256
	s := serve(b)
	front := fill(b, s, size)
	epoch, _, _ := strings.Cut(front, "-")
	l := s.open()
	for i := range b.N {
		after := fmt.Sprintf("%s-%d-0", epoch, i*page%(size-page))
		if entries, err := l.Range(context.Background(), after, page); err != nil || len(entries) != page {
			b.Fatalf("got %d entries, %v, want %d", len(entries), err, page)
		}
	}
	b.ReportMetric(float64(b.N*page)/b.Elapsed().Seconds(), "events/s")
}

var durabilities = []struct {
	name string
	args []string
}{{"memory", nil}, {"appendfsync=everysec", []string{"--appendonly", "yes"}}, {"appendfsync=always", durable}}

func reportTimes(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	quantile := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(quantile(0.5), "p50-ms")
	b.ReportMetric(quantile(0.99), "p99-ms")
}
