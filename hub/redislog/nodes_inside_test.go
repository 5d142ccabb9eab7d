package redislog

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A cluster's servers change their addresses. Those that are gone would delay each new client, but
// when none can be reached, all of them may come back.
func TestForgetsServersThatAreGone(t *testing.T) {
	down := make(map[string]bool)
	l := New(&redis.UniversalOptions{
		Addrs: []string{"first:1", "second:1"},
		Dialer: func(_ context.Context, _, addr string) (net.Conn, error) {
			if down[addr] {
				return nil, errors.New("unreachable")
			}
			c, _ := net.Pipe()
			return c, nil
		},
	}, "log")
	t.Cleanup(func() { _ = l.Close() })
	for _, test := range []struct {
		name string
		down []string
		want []string
	}{
		{"all are there", nil, []string{"first:1", "second:1", "a:1", "b:1", "c:1"}},
		{"none is there", []string{"a:1", "b:1", "c:1"}, []string{"first:1", "second:1", "a:1", "b:1", "c:1"}},
		{"one is back", []string{"b:1", "c:1"}, []string{"first:1", "second:1", "a:1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clear(down)
			for _, addr := range test.down {
				down[addr] = true
			}
			for _, addr := range []string{"a:1", "b:1", "c:1"} {
				l.nodes.LoadOrStore(addr, true)
				c, err := l.options.Dialer(t.Context(), "tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
			}
			l.renew()
			got := l.link.client.(*redis.ClusterClient).Options().Addrs
			slices.Sort(got[2:])
			if !slices.Equal(got, test.want) {
				t.Errorf("got the addresses %q, want %q", got, test.want)
			}
		})
	}
}
