package redislog_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/redislog"
)

// serveCluster starts a cluster of one server.
func serveCluster(t testing.TB) *server {
	t.Helper()
	s := serve(t, "--cluster-enabled", "yes")
	c := s.client()
	if err := c.ClusterAddSlotsRange(soon(t), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(c.ClusterInfo(soon(t)).Val(), "cluster_state:ok"); {
		if time.Now().After(deadline) {
			t.Fatal("the cluster does not begin")
		}
		<-time.After(10 * time.Millisecond)
	}
	return s
}

func openCluster(t *testing.T, s *server, key string) *redislog.Log {
	t.Helper()
	l := redislog.New(&redis.UniversalOptions{Addrs: []string{s.addr}, IsClusterMode: true}, key)
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

// All keys of a log are in one slot, or the error says what is wrong with its key.
func TestCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t)
	for _, key := range []string{
		"events", "app:{one}:events", "{one}", "{one}{}", "}{one}", "a{b", "a{{b}", "{", "a b \u00e4",
	} {
		t.Run(key, func(t *testing.T) {
			l := openCluster(t, s, key)
			before := last(t, l)
			id, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: "1"}, IdempotencyKey: "{x}"})
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range l.Follow(soon(t), before) {
				if err != nil || e.ID != id || e.Event.Data != "1" {
					t.Errorf("got %+v, %v, want %s", e, err, id)
				}
				break
			}
		})
	}
	for _, key := range []string{"a}b", "a{}b", "{}{one}", "}"} {
		t.Run(key, func(t *testing.T) {
			l := openCluster(t, s, key)
			const want = "hash tag in a cluster, such as {events}"
			if _, err := l.Append(soon(t), hub.Entry{Topic: "a"}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("append: got %v, want %q", err, want)
			}
			if _, err := l.Last(soon(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("last: got %v, want %q", err, want)
			}
		})
	}
}

// Without a cluster, a key may be one for which no other key in the same slot can be made.
func TestAnyKey(t *testing.T) {
	s := serve(t)
	for _, key := range []string{"a}b", "a{}b", "{}{one}", "}", "{"} {
		l := redislog.New(&redis.UniversalOptions{Addrs: []string{s.addr}}, key)
		t.Cleanup(func() { closeLog(t, l) })
		before := last(t, l)
		add(t, l, "1")
		if got := brief(t, l, before); got != "1" {
			t.Errorf("%q: got %q, want 1", key, got)
		}
	}
}

// An event whose answer is lost with its connection is not sent again, and the
// error says so: only the caller knows whether it may be added twice.
func TestSentOnce(t *testing.T) {
	t.Parallel()
	const data = "is lost on the way back"
	for name, cluster := range map[string]bool{"one server": false, "a cluster": true} {
		t.Run(name, func(t *testing.T) {
			var s *server
			if cluster {
				s = serveCluster(t)
			} else {
				s = serve(t)
			}
			options := redis.UniversalOptions{Addrs: []string{s.addr}, IsClusterMode: cluster}
			options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &forgetful{Conn: c, word: []byte(data)}, err
			}
			l := openWith(t, &options)
			add(t, l, "1")
			_, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}})
			if !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want EOF", err)
			}
			if got := s.client().XLen(soon(t), "events").Val(); got != 2 {
				t.Errorf("got %d entries, want 2", got)
			}
		})
	}
}

// A slot moves to another server, key by key.
func TestSlotMoves(t *testing.T) {
	t.Parallel()
	const data = "is lost on the way back"
	from, to := serveCluster(t), serve(t, "--cluster-enabled", "yes")
	a, b := from.client(), to.client()
	host, port, _ := net.SplitHostPort(to.addr)
	do := func(c *redis.Client, args ...any) string {
		t.Helper()
		text, err := c.Do(soon(t), args...).Text()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return text
	}
	do(a, "CLUSTER", "MEET", host, port)
	for _, c := range []*redis.Client{a, b} {
		for deadline := time.Now().Add(patience); ; {
			info := c.ClusterInfo(soon(t)).Val()
			if strings.Contains(info, "cluster_known_nodes:2") && strings.Contains(info, "cluster_state:ok") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the servers do not meet: %s", info)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	options := redis.UniversalOptions{Addrs: []string{from.addr}, IsClusterMode: true}
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if addr != to.addr {
			return c, err
		}
		return &forgetful{Conn: c, word: []byte(data)}, err
	}
	l := openWith(t, &options)
	add(t, l, "1")
	slot := a.ClusterKeySlot(soon(t), "events").Val()
	idA, idB := do(a, "CLUSTER", "MYID"), do(b, "CLUSTER", "MYID")
	do(b, "CLUSTER", "SETSLOT", slot, "IMPORTING", idA)
	do(a, "CLUSTER", "SETSLOT", slot, "MIGRATING", idB)
	add(t, l, "2") // the old server still has all keys
	for _, key := range []string{"events", "{events}:epoch"} {
		if err := a.Migrate(soon(t), host, port, key, 0, patience).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, "3") // it has none of them
	_, err := l.Append(soon(t), hub.Entry{Topic: "a", Event: core.Event{Data: data}})
	if !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	do(b, "CLUSTER", "SETSLOT", slot, "NODE", idB)
	do(a, "CLUSTER", "SETSLOT", slot, "NODE", idB)
	if got, want := brief(t, l, ""), "1 2 3 "+data; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	add(t, l, "4")
}

// A forgetful connection breaks when it should read the answer to a command with that word.
type forgetful struct {
	net.Conn
	word []byte
	gone atomic.Bool
}

func (f *forgetful) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	if bytes.Contains(p, f.word) {
		f.gone.Store(true)
		_, _ = f.Conn.Read(make([]byte, 1)) // so that the command was executed
	}
	return n, err
}

func (f *forgetful) Read(p []byte) (int, error) {
	if f.gone.Load() {
		return 0, io.EOF
	}
	return f.Conn.Read(p)
}

// A hub's shutdown does not wait for Redis to answer.
func TestShutdownAtOnce(t *testing.T) {
	t.Parallel()
	for name, cluster := range map[string]bool{"one server": false, "a cluster": true} {
		t.Run(name, func(t *testing.T) {
			var s *server
			if cluster {
				s = serveCluster(t)
			} else {
				s = serve(t)
			}
			slow := 0
			for range 5 { // at five times of the beat
				l := openWith(t, &redis.UniversalOptions{Addrs: []string{s.addr}, IsClusterMode: cluster})
				h := hub.New(hub.WithLog(l))
				for deadline := time.Now().Add(patience); h.LastID() == ""; {
					if time.Now().After(deadline) {
						t.Fatal("the hub hears nothing")
					}
					<-time.After(10 * time.Millisecond)
				}
				began := time.Now()
				if err := h.Shutdown(soon(t)); err != nil {
					t.Fatal(err)
				}
				closeLog(t, l)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Logf("the shutdown and the close took %v", took)
					slow++
				}
				if _, err := l.Last(soon(t)); !errors.Is(err, redis.ErrClosed) {
					t.Errorf("after the close: got %v, want ErrClosed", err)
				}
			}
			if slow > 2 { // if the machine stalls, that makes one or two
				t.Errorf("%d of 5 have waited", slow)
			}
		})
	}
}
