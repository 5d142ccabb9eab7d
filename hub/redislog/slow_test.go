package redislog_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/hub/redislog"
)

// A link is a connection that reads at most so many bytes at each tick.
type link struct {
	net.Conn
	most int
	tick *time.Ticker
}

func (l link) Read(p []byte) (int, error) {
	<-l.tick.C
	return l.Conn.Read(p[:min(l.most, len(p))])
}

// throttle limits the connections to rate bytes a second.
func throttle(options *redis.UniversalOptions, rate int) {
	const ticks = 100
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return link{c, rate / ticks, time.NewTicker(time.Second / ticks)}, err
	}
}

// A short link is a connection that carries at most so many bytes until each deadline, so that it
// looks slow whatever time it is.
type shortLink struct {
	net.Conn
	most, left int
}

func (l *shortLink) SetReadDeadline(t time.Time) error {
	l.left = l.most
	return l.Conn.SetReadDeadline(t)
}

func (l *shortLink) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	n, err := l.Conn.Read(p[:min(l.left, len(p))])
	l.left -= n
	return n, err
}

// wantAll follows until n events have come, again after each of up to fails failures.
func wantAll(t *testing.T, l *redislog.Log, after string, n, fails int) {
	t.Helper()
	ctx := soon(t)
	for n > 0 {
		for e, err := range l.Follow(ctx, after) {
			if err != nil {
				if fails--; fails < 0 {
					t.Fatalf("%d events to come: %v", n, err)
				}
				break
			}
			if e.Gap {
				t.Fatalf("got %+v, want no gap", e)
			}
			if e.Topic != "" {
				after = e.ID
				if n--; n == 0 {
					break
				}
			}
		}
	}
}

// There are more events than a link carries before the follower loses patience: it reads
// fewer at once.
func TestSlowLinkLarge(t *testing.T) {
	s := serve(t)
	fast := s.open(redislog.WithMaxEvents(0))
	front := last(t, fast)
	const n = 50
	for range n {
		add(t, fast, strings.Repeat("x", 200_000))
	}
	options := redis.UniversalOptions{Addrs: []string{s.addr}}
	throttle(&options, 3_000_000)
	wantAll(t, openWith(t, &options), front, n, 0)
}

// Pages also read fewer at once. After each that comes in time, the next one may be too large again.
func TestSlowLinkPages(t *testing.T) {
	s := serve(t)
	fast := s.open()
	after := last(t, fast)
	const n = 150
	for range n {
		add(t, fast, strings.Repeat("x", 5_000))
	}
	options := redis.UniversalOptions{
		Addrs: []string{s.addr}, ReadTimeout: time.Minute,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &shortLink{Conn: c, most: 300_000}, err
		},
	}
	l := openWith(t, &options)
	fails := 0
	for left := n; left > 0; {
		entries, err := l.Range(soon(t), after, 256)
		if err != nil {
			if fails++; fails > 10 {
				t.Fatalf("%d events to come: %v", left, err)
			}
			continue
		}
		if len(entries) == 0 {
			t.Fatalf("got no entry, want some of %d", left)
		}
		left -= len(entries)
		after = entries[len(entries)-1].ID
	}
	if fails == 0 {
		t.Error("the link carries all events at once")
	}
	// And more at once when the events are small.
	for range 600 {
		after = add(t, fast, "x")
	}
	front := after
	for range 600 {
		add(t, fast, "x")
	}
	most := 0
	for range 20 {
		entries, err := l.Range(soon(t), front, 600)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(entries))
	}
	if most < 128 {
		t.Errorf("got up to %d entries at once, want the number to grow", most)
	}
}

// The number of bytes that are read at once does not depend on the events' size.
func TestPageBytes(t *testing.T) {
	l := serve(t).open()
	after := last(t, l)
	const n, size = 20, 2 << 20
	for range n {
		add(t, l, strings.Repeat("x", size))
	}
	for left := n; left > 0; {
		entries, err := l.Range(soon(t), after, 256)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(entries); got == 0 || got > 2 {
			t.Fatalf("got %d of %d events of %d bytes in one page, want one or two", got, left, size)
		}
		left -= len(entries)
		after = entries[len(entries)-1].ID
	}
}

// A call returns an error if the server does not answer, even without a context's deadline
// or a timeout of go-redis.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	p := hubtest.NewProxy(t, serve(t).addr)
	l := openWith(t, &redis.UniversalOptions{Addrs: []string{p.Addr}, ReadTimeout: -1})
	last(t, l)
	p.Stall(true, true)
	for name, call := range map[string]func(ctx context.Context) error{
		"last":  func(ctx context.Context) error { _, err := l.Last(ctx); return err },
		"range": func(ctx context.Context) error { _, err := l.Range(ctx, "", 1); return err },
		"follow": func(ctx context.Context) error {
			for _, err := range l.Follow(ctx, "") {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := call(ctx); err == nil || ctx.Err() != nil {
				t.Errorf("got %v, want an error before the context ends", err)
			}
		})
	}
}
